// Plans with single numbers changed, sealed again: what a verifier must notice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "intrt/plan_format.h"

namespace lockstep::test {

using Bytes = std::vector<std::byte>;

struct Mutant {
  std::string kind;              // "weight", "shift", ...
  std::set<std::string> layers;  // a refutation must name one of these
  std::size_t offset, size;      // the bytes that change
  std::uint64_t value;           // what they become
};

// All mutants of one plan, made from its records; the same ones each time.
std::vector<Mutant> mutants_of(const Bytes& plan);

// Whether the runtime opens it.
bool opens(const Bytes& plan);

// The plan with the mutant's number in it and a checksum that fits.
Bytes apply(const Bytes& plan, const Mutant& mutant);

}  // namespace lockstep::test
