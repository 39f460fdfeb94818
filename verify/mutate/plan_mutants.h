// Plans with one number changed, to measure what a checker of plans misses.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::mutate {

// Pseudo-random numbers that are the same everywhere (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(next() % end); }
  std::int64_t between(std::int64_t lo, std::int64_t hi);  // inclusive

 private:
  std::uint64_t state_;
};

// One change of the bytes of a plan.
struct Mutant {
  std::string kind;         // one of kKinds
  std::string layer;        // the node of the operator, or the name of the tensor
  std::string description;  // "weight 17 of 'conv1': 5 -> 6"
  std::size_t offset = 0;
  std::vector<std::byte> bytes;  // what is there instead
};

// All kinds of changes.
inline constexpr std::array<std::string_view, 26> kKinds = {
    "weight",       "bias",       "mask bit",   "shift",       "rounding",
    "clamp limit",  "window",     "groups",     "table entry", "table of a channel",
    "threshold",    "step code",  "step start", "multiplier",  "addend",
    "pool span",    "move piece", "segment",    "sparse bit",  "row start",
    "arena offset", "order",      "wiring",     "decimal",     "channel map",
    "tensor field"};

// Draws mutants of one plan: evenly over the kinds that the plan has something of, and for each
// kind evenly over the layers. The plan must be one that the checker proves; the bytes must outlive
// it.
class PlanMutants {
 public:
  PlanMutants(std::span<const std::byte> plan, std::uint64_t seed);
  // Always another plan than the original.
  Mutant next();
  // The plan with the change, and a checksum that fits.
  std::vector<std::byte> apply(const Mutant& mutant) const;

  // What can be changed in the same way: `count` numbers, one after the other.
  struct Site {
    enum class Change : std::uint8_t {
      kStep,      // plus or minus one
      kWeight,    // also the sign, 0, or one bit
      kLarge,     // plus or minus one, or a power of two
      kBit,       // `count` bits
      kMovedBit,  // two neighbouring bits, one of which is set, change places; `count` bits
      kChoice,    // another of `choices`
      kArena,     // plus or minus a multiple of 16
      kSwap       // two neighbours of `count` numbers change places
    };
    Change change = Change::kStep;
    std::string layer, what;
    std::size_t offset = 0, count = 1, width = 4;
    std::vector<std::int64_t> choices;
  };

 private:
  bool change(const Site& site, Mutant& mutant);

  std::span<const std::byte> plan_;
  Random random_;
  struct Kind {
    std::string_view name;
    std::vector<std::vector<Site>> layers;
    std::size_t next_layer = 0;
  };
  std::vector<Kind> kinds_;  // those that the plan has
  std::size_t next_kind_ = 0;
};

}  // namespace lockstep::mutate
