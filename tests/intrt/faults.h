// Damages plans field by field and compares what intrt_open says.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "tests/intrt/small_network.h"

namespace lockstep::testing {

constexpr std::uint32_t kNoOp = UINT32_MAX;

struct Opened {
  intrt_status status;
  std::uint32_t op;
  bool operator==(const Opened&) const = default;
};

inline Opened open_plan(const AlignedBytes& bytes) {
  intrt_plan plan;
  Opened result{};
  result.status = intrt_open(&plan, bytes.data(), bytes.size(), &result.op);
  if (result.status != INTRT_OK) CHECK(plan.bytes == nullptr);
  return result;
}

struct Fault {
  const char* name;
  intrt_status status;
  std::uint32_t op;
  std::function<void(EditablePlan&)> damage;
};

// Each damage alone, done to a fresh copy of the network, gives its own status and operator.
inline void check_faults(const std::vector<Fault>& faults,
                         const std::vector<std::uint8_t>& network = small_network()) {
  for (const Fault& fault : faults) {
    EditablePlan plan(network);
    fault.damage(plan);
    const Opened got = open_plan(plan.sealed());
    INFO(std::string(fault.name), ": ", std::string(intrt_status_text(got.status)));
    CHECK(got.status == fault.status);
    CHECK(got.op == fault.op);
  }
}

constexpr intrt_status kBounds = INTRT_ERROR_BOUNDS, kValue = INTRT_ERROR_VALUE,
                       kShape = INTRT_ERROR_SHAPE;

using P = EditablePlan;

}  // namespace lockstep::testing
