#include "compile/passes/storage_cost.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "compile/ir/storage.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

// In picoseconds, measured with tools/bench/storage_bench. A run is a piece of a row of weights
// that meets codes side by side in memory. The constants were measured once (docs/compiler.md), so
// that the choice is the same on every machine.
struct DenseTimes {
  std::int64_t per_weight, per_run;
};
struct SparseTimes {
  std::int64_t per_byte_of_bits, per_nonzero, per_run;
};
struct Times {
  DenseTimes dense[3];  // weights of 8, 16 and 32 bits
  SparseTimes sparse;

  const DenseTimes& dense_of(std::int64_t element_bytes) const {
    return dense[element_bytes == 1 ? 0 : element_bytes == 2 ? 1 : 2];
  }
};
// A convolution whose output is at least four wide uses each sparse weight four times.
constexpr Times kFourWide = {{{74, 3700}, {24, 3500}, {565, 1600}}, {125, 530, 720}};
constexpr Times kOneByOne = {{{95, 2000}, {40, 2500}, {540, 2000}}, {95, 860, 2800}};
constexpr std::int64_t kPerOutput = 2700;  // in every form: what happens to the sum
constexpr std::int64_t kClearlyPercent = 125;
// On a Cortex-M4 a sparse weight took about three times as long as a dense one, and sums of 64 bits
// take two instructions where 32 bits take one.
constexpr std::int64_t kStepsPerNonzero = 3, kStepsPerRun = 4;

constexpr std::string_view kMachines[] = {"portable", "x86-64-v4", "x86-64-v3", "aarch64"};
// What every variant of vector kernels takes; some take smaller groups and larger windows.
constexpr int kMostPreparedBits = 16;
constexpr std::int64_t kMostPreparedBytes = 2;  // of a weight
constexpr std::int64_t kFewestGroupOutputs = 8, kMostWindowCodes = 12 * 1024;

const Times& times_of(const WeightShape& shape) { return shape.four_wide ? kFourWide : kOneByOne; }

std::int64_t dense_steps(const WeightShape& shape, std::int64_t element_bytes, std::int64_t runs) {
  return shape.count() * (element_bytes == 4 ? 2 : 1) + shape.outputs * runs * kStepsPerRun;
}

// For all outputs, with so many runs each.
std::int64_t dense_time(const WeightShape& shape, std::int64_t element_bytes, std::int64_t runs) {
  const DenseTimes& each = times_of(shape).dense_of(element_bytes);
  return shape.count() * each.per_weight + shape.outputs * (runs * each.per_run + kPerOutput);
}

}  // namespace

bool StorageCost::is_better_than(const StorageCost& other, Objective objective) const {
  if (objective == Objective::kSpeed)
    return picoseconds * kClearlyPercent < other.picoseconds * 100 &&
           steps * kClearlyPercent < other.steps * 100 && bytes <= other.bytes;
  return std::tuple(bytes, picoseconds) < std::tuple(other.bytes, other.picoseconds);
}

std::string_view machine_name(Machine machine) {
  return kMachines[static_cast<std::size_t>(machine)];
}

std::vector<std::string> machine_names() { return {std::begin(kMachines), std::end(kMachines)}; }

std::optional<Machine> machine_named(std::string_view name) {
  const auto* const found = std::ranges::find(kMachines, name);
  if (found == std::end(kMachines)) return std::nullopt;
  return static_cast<Machine>(found - std::begin(kMachines));
}

WeightShape weight_shape(const Program& program, const Op& op) {
  const bool logical = program.layout == Layout::kLogical;
  WeightShape shape;
  const auto count_nonzeros = [&](const xt::xarray<std::int32_t>& weights) {
    shape.outputs = static_cast<std::int64_t>(weights.shape(0));
    shape.nonzeros =
        static_cast<std::int64_t>(weights.size()) - std::count(weights.begin(), weights.end(), 0);
  };
  if (const auto* conv = std::get_if<Conv2d>(&op.kind)) {
    count_nonzeros(conv->weights);
    shape.kernel_h = conv->window.kernel[0];
    shape.kernel_w = conv->window.kernel[1];
    shape.inputs = static_cast<std::int64_t>(conv->weights.shape(logical ? 1 : 3));
    shape.contiguous = conv->groups == 1 && conv->window.dilation[1] == 1;
    shape.four_wide = program.values[op.output].shape.w >= 4;
    return shape;
  }
  const auto* linear = std::get_if<Linear>(&op.kind);
  LOCKSTEP_ASSERT(linear != nullptr);
  count_nonzeros(linear->weights);
  shape.inputs = static_cast<std::int64_t>(linear->weights.shape(1));
  shape.places = shape.inputs / program.values[op.input()].shape.c;
  return shape;
}

bool prepares_weights(const Program& program, const Op& op, Machine machine) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  const Value& input = program.values[op.input()];
  if (machine == Machine::kPortable || input.bits > kMostPreparedBits) return false;
  const auto are_narrow = [](const auto& kind) {
    return kind.segments.empty() &&
           storage_size(kind.weights, kind.wide).element_bytes <= kMostPreparedBytes;
  };
  if (const auto* linear = std::get_if<Linear>(&op.kind))
    return are_narrow(*linear) && input.shape.count() <= kMostWindowCodes;
  const auto* conv = std::get_if<Conv2d>(&op.kind);
  LOCKSTEP_ASSERT(conv != nullptr);
  const std::int64_t group_outputs = program.values[op.output].shape.c / conv->groups;
  const bool depthwise = group_outputs == 1 && input.shape.c == conv->groups;
  const auto reach = [&](std::size_t axis) {
    return (conv->window.kernel[axis] - 1) * conv->window.dilation[axis] + 1;
  };
  return are_narrow(*conv) &&
         (conv->groups == 1 || depthwise || group_outputs >= kFewestGroupOutputs) &&
         reach(0) * reach(1) * input.shape.c <= kMostWindowCodes;
}

StorageCost dense_cost(const WeightShape& shape, std::int64_t element_bytes) {
  const std::int64_t runs = shape.contiguous ? shape.kernel_h : shape.taps();
  return {shape.count() * element_bytes, dense_time(shape, element_bytes, runs),
          dense_steps(shape, element_bytes, runs)};
}

StorageCost sparse_cost(const WeightShape& shape, std::int64_t element_bytes) {
  const SparseTimes& each = times_of(shape).sparse;
  const StorageSize size = {.outputs = shape.outputs,
                            .taps = shape.taps(),
                            .inputs = shape.inputs,
                            .nonzeros = shape.nonzeros,
                            .element_bytes = element_bytes};
  // Bits of a tap fill whole bytes, so that taps may not follow one another without a gap.
  const std::int64_t runs =
      shape.contiguous && shape.inputs % 8 == 0 ? shape.kernel_h : shape.taps();
  return {size.sparse_bytes(),
          size.bitmap_bytes() * each.per_byte_of_bits + shape.nonzeros * each.per_nonzero +
              shape.outputs * (runs * each.per_run + kPerOutput),
          size.bitmap_bytes() + shape.nonzeros * kStepsPerNonzero +
              shape.outputs * runs * kStepsPerRun};
}

StorageCost segments_cost(const WeightShape& shape, std::int64_t element_bytes,
                          std::size_t segments) {
  const auto count = static_cast<std::int64_t>(segments);
  return {shape.count() * element_bytes + count * kSegmentBytes,
          dense_time(shape, element_bytes, count * shape.taps() * shape.places),
          dense_steps(shape, element_bytes, count * shape.taps() * shape.places)};
}

}  // namespace lockstep::passes
