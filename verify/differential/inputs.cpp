#include "verify/differential/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace lockstep::verify {
namespace {

// Sebastiano Vigna's splitmix64: a good 64-bit mix of a counter, so every code has a number of its
// own.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

enum Constant : std::int64_t { kLow, kHigh, kZero, kOne, kMinusOne, kConstants };
constexpr const char* kConstantNames[] = {"all lowest", "all highest", "all 0", "all 1",
                                          "all -1 (raw bytes: all 254)"};

}  // namespace

GeneratedInputs::GeneratedInputs(const ExactNetwork& network, std::int64_t random_samples,
                                 std::uint64_t seed, WorstInputs worst)
    : network_(network), seed_(seed), worst_(std::move(worst)) {
  if (random_samples <= 0) return;
  add_corners();
  first_worst_ = count();
  add_worst();
  first_random_ = count();
  for (std::int64_t i = 0; i < random_samples; ++i)
    kinds_.push_back({Kind::kRandom, i, fmt::format("random {}, seed {}", i, seed)});
}

void GeneratedInputs::add_corners() {
  for (std::int64_t constant = 0; constant < kConstants; ++constant)
    kinds_.push_back({Kind::kConstant, constant, kConstantNames[constant]});
  for (std::int64_t phase = 0; phase < 2; ++phase)
    kinds_.push_back({Kind::kAlternating, phase, "alternating extremes"});
  for (std::int64_t place = 0; place < 6; ++place)
    kinds_.push_back({Kind::kImpulse, place, "impulse"});
}

// Named after the first case that the input is the best for.
void GeneratedInputs::add_worst() {
  std::vector<Sample> samples(worst_.inputs.size());
  for (const WorstCase& worst : worst_.cases) {
    Sample& sample = samples[worst.input];
    if (!sample.name.empty()) continue;
    sample = {Kind::kWorst, static_cast<std::int64_t>(worst.input),
              fmt::format("{} accumulator{} of layer '{}', channel {}",
                          worst.largest ? "largest" : "smallest",
                          worst.is_attained() ? "" : " found", worst.layer, worst.channel)};
  }
  for (Sample& sample : samples) kinds_.push_back(std::move(sample));
  for (std::size_t i = 0; i < worst_.tries.size(); ++i) {
    const WitnessTry& one = worst_.tries[i];
    kinds_.push_back({Kind::kTry, static_cast<std::int64_t>(i),
                      fmt::format("try {} near the {} accumulator of layer '{}', channel {}", i,
                                  one.largest ? "largest" : "smallest", one.layer, one.channel)});
  }
}

std::string GeneratedInputs::name(std::int64_t sample) const {
  return kinds_[static_cast<std::size_t>(sample)].name;
}

Batch GeneratedInputs::make(std::int64_t first, std::int64_t count) const {
  Batch batch;
  const Graph& graph = network_.graph();
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const Format& format = network_.fed_format(graph.inputs[i].name);
    TensorCodes tensor;
    tensor.shape = format.shape;
    tensor.decimals = format.decimals;
    const std::int64_t elements = format.element_count();
    tensor.codes.resize(static_cast<std::size_t>(elements * count));
    for (std::int64_t s = 0; s < count; ++s)
      fill(kinds_[static_cast<std::size_t>(first + s)], i, first + s,
           tensor.codes.data() + s * elements);
    batch.push_back(std::move(tensor));
  }
  return batch;
}

void GeneratedInputs::fill(const Sample& sample, std::size_t input, std::int64_t number,
                           std::int64_t* codes) const {
  const Format& format = network_.fed_format(network_.graph().inputs[input].name);
  const std::int64_t elements = format.element_count();
  const std::int64_t lo = format.lo, hi = format.hi;
  switch (sample.kind) {
    case Kind::kConstant: {
      const std::int64_t values[] = {lo, hi, 0, 1, lo < 0 ? -1 : hi - 1};
      std::fill(codes, codes + elements, values[sample.value]);
      return;
    }
    case Kind::kAlternating:
      for (std::int64_t e = 0; e < elements; ++e) codes[e] = (e + sample.value) % 2 == 0 ? lo : hi;
      return;
    case Kind::kImpulse: {
      const std::int64_t places[] = {0, elements / 2, elements - 1};
      std::fill(codes, codes + elements, 0);
      codes[places[sample.value / 2]] = sample.value % 2 == 0 ? lo : hi;
      return;
    }
    case Kind::kWorst:
      std::ranges::copy(worst_.inputs[static_cast<std::size_t>(sample.value)][input], codes);
      return;
    case Kind::kTry:
      std::ranges::copy(worst_.tries[static_cast<std::size_t>(sample.value)].input[input], codes);
      return;
    case Kind::kRandom: {
      const std::uint64_t stream =
          mix(mix(seed_) + static_cast<std::uint64_t>(number) * 1024 + input);
      const auto range =
          static_cast<std::uint64_t>(hi - lo + 1);  // a power of two, so % has no bias
      for (std::int64_t e = 0; e < elements; ++e)
        codes[e] =
            lo + static_cast<std::int64_t>(mix(stream + static_cast<std::uint64_t>(e)) % range);
      return;
    }
  }
}

}  // namespace lockstep::verify
