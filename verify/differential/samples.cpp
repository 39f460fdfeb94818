#include "verify/differential/samples.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

Batch slice(const Batch& batch, std::int64_t first, std::int64_t count) {
  Batch result;
  for (const TensorCodes& tensor : batch) {
    const std::int64_t elements = tensor.element_count();
    TensorCodes part = {tensor.shape, tensor.decimals, {}};
    part.codes.assign(tensor.codes.begin() + first * elements,
                      tensor.codes.begin() + (first + count) * elements);
    result.push_back(std::move(part));
  }
  return result;
}

}  // namespace

Samples::Samples(const ExactNetwork& network, std::span<const Batch> data, const Options& options,
                 WorstInputs worst)
    : graph_(network.graph()),
      data_(data),
      source_(options.source),
      generated_(network, options.random_samples, options.seed, std::move(worst)) {
  for (const Batch& batch : data) {
    std::int64_t samples = 0;
    if (!batch.empty()) {
      const std::int64_t elements = batch[0].element_count();
      LOCKSTEP_ASSERT(elements > 0);
      samples = static_cast<std::int64_t>(batch[0].codes.size()) / elements;
    }
    check(batch, samples);
    batch_samples_.push_back(samples);
    given_ += samples;
  }
}

// Shapes and ranges: the exact semantics check them, batch by batch.
void Samples::check(const Batch& batch, std::int64_t samples) const {
  if (batch.size() != graph_.inputs.size())
    throw InputError(fmt::format("network '{}': {} input tensors given, {} declared", graph_.name,
                                 batch.size(), graph_.inputs.size()));
  for (const TensorCodes& tensor : batch)
    if (static_cast<std::int64_t>(tensor.codes.size()) != samples * tensor.element_count())
      throw InputError(fmt::format("network '{}': an input has {} codes, which is no {} samples",
                                   graph_.name, tensor.codes.size(), samples));
}

std::string Samples::name(std::int64_t sample) const {
  return sample < data_count() ? fmt::format("data {}", sample)
                               : generated_.name(sample - data_count());
}

Batch Samples::take(std::int64_t first, std::int64_t& count) const {
  if (first >= data_count()) {
    count = std::min(count, this->count() - first);
    return generated_.make(first - data_count(), count);
  }
  if (first >= given_) {
    count = std::min(count, data_count() - first);
    Batch batch = source_.take(first - given_, count);
    check(batch, count);
    return batch;
  }
  std::size_t b = 0;
  for (; first >= batch_samples_[b]; ++b) first -= batch_samples_[b];
  count = std::min(count, batch_samples_[b] - first);
  return slice(data_[b], first, count);
}

std::vector<std::int64_t> Samples::choose(std::int64_t wanted) const {
  struct Source {
    std::int64_t next, end;
  };
  const std::int64_t first_worst = data_count() + generated_.first_worst(),
                     first_try = data_count() + generated_.first_try(),
                     first_random = data_count() + generated_.first_random();
  // Random codes before corners: they reach more of a network.
  Source sources[] = {{0, data_count()},
                      {first_random, count()},
                      {first_worst, first_try},
                      {data_count(), first_worst}};
  std::vector<std::int64_t> chosen;
  bool any = true;
  while (any && static_cast<std::int64_t>(chosen.size()) < wanted) {
    any = false;
    for (Source& source : sources) {
      if (source.next == source.end || static_cast<std::int64_t>(chosen.size()) == wanted) continue;
      chosen.push_back(source.next++);
      any = true;
    }
  }
  return chosen;
}

}  // namespace lockstep::verify
