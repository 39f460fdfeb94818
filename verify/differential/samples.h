// All samples of a run, numbered: first the caller's data, then what the verifier makes up. A
// sample exists while it is looked at and no longer, so that memory does not grow with their
// number.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "verify/differential/inputs.h"
#include "verify/semantics/exact_network.h"
#include "verify/verify.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {

class Samples {
 public:
  // Keeps references to the first three. InputError for batches of `data` that do not fit the
  // graph; those of options.source are looked at when they are taken. `worst`: of this network.
  Samples(const ExactNetwork& network, std::span<const Batch> data, const Options& options,
          WorstInputs worst = {});

  // Of the caller: `data`, then options.source.
  std::int64_t data_count() const { return given_ + source_.samples; }
  std::int64_t count() const { return data_count() + generated_.count(); }
  std::string name(std::int64_t sample) const;  // "data 3", "all lowest", "random 7"
  const WorstInputs& worst() const { return generated_.worst(); }
  // The sample that is WorstInputs::inputs[input].
  std::int64_t worst_sample(std::size_t input) const {
    return data_count() + generated_.first_worst() + static_cast<std::int64_t>(input);
  }

  // Samples [first, first + count), or fewer where a batch of the data ends: `count` becomes how
  // many. InputError when options.source gives something else than it was asked for.
  Batch take(std::int64_t first, std::int64_t& count) const;

  // The numbers of the samples that generated C runs on, at most `wanted`: in turn one of the data,
  // one random, one worst input, one corner. Witness tries are for the float path.
  std::vector<std::int64_t> choose(std::int64_t wanted) const;

 private:
  void check(const Batch& batch, std::int64_t samples) const;

  const Graph& graph_;
  std::span<const Batch> data_;
  const DataSource& source_;
  GeneratedInputs generated_;
  std::vector<std::int64_t> batch_samples_;  // of data_
  std::int64_t given_ = 0;                   // all of them
};

}  // namespace lockstep::verify
