// What the weights of a convolution or linear layer cost in each of the forms in which a plan can
// keep them: exact bytes, and an estimate of the time of one position of the output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::passes {

// What a form of the weights is chosen for: a run that is estimated to be clearly faster, or fewer
// bytes.
enum class Objective : std::uint8_t { kSpeed, kSize };

// The kind of machine that a run is to be fast on. Any other runs the plan, too, with the same
// codes.
enum class Machine : std::uint8_t { kPortable, kX86V4, kX86V3, kAArch64 };
std::string_view machine_name(Machine machine);  // "portable", "x86-64-v4", ...
std::vector<std::string> machine_names();        // "portable" first
std::optional<Machine> machine_named(std::string_view name);

struct Goal {
  Objective objective = Objective::kSpeed;
  Machine machine = Machine::kPortable;
};

struct StorageCost {
  std::int64_t bytes = 0;
  std::int64_t picoseconds = 0;  // on a machine with vector instructions
  std::int64_t steps = 0;        // of a machine without: multiplications, loads, branches

  // For speed, another form must be clearly faster on either kind of machine and no larger: the
  // estimates err by up to a fifth, and a plan runs anywhere.
  bool is_better_than(const StorageCost& other, Objective objective) const;
};

// What these costs depend on.
struct WeightShape {
  std::int64_t outputs = 1, kernel_h = 1, kernel_w = 1;
  std::int64_t inputs = 1;  // of one tap; a linear layer has one tap
  std::int64_t places = 1;  // of a linear layer's input, which repeat its channels
  std::int64_t nonzeros = 0;
  bool contiguous = true;  // the taps of a row of the kernel meet codes side by side in memory
  bool four_wide = false;  // a convolution whose output is at least four wide

  std::int64_t taps() const { return kernel_h * kernel_w; }
  std::int64_t count() const { return outputs * taps() * inputs; }
};
// Of a Conv2d or Linear, in either order of the weights.
WeightShape weight_shape(const ir::Program& program, const ir::Op& op);

// Whether the kernels of that kind of machine bring the weights of this Conv2d or Linear into an
// order of their own when a plan is prepared (docs/kernels.md), so that dense and sparse weights
// are equally fast. No where that is in doubt. Needs: physical order.
bool prepares_weights(const ir::Program& program, const ir::Op& op, Machine machine);

// `element_bytes`: of a weight, 1, 2 or 4.
StorageCost dense_cost(const WeightShape& shape, std::int64_t element_bytes);
StorageCost sparse_cost(const WeightShape& shape, std::int64_t element_bytes);
StorageCost segments_cost(const WeightShape& shape, std::int64_t element_bytes,
                          std::size_t segments);

}  // namespace lockstep::passes
