// Sparse weights save bytes and products, but a dense row needs no search for what is there, and
// compilers turn it into vector instructions. A cost model decides (storage_cost.h).
#include "compile/passes/choose_storage.h"

#include <fmt/format.h>

#include "compile/ir/storage.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

std::string reason(Objective objective, bool is_sparse, const StorageCost& dense,
                   const StorageCost& sparse) {
  const StorageCost &chosen = is_sparse ? sparse : dense, &other = is_sparse ? dense : sparse;
  const std::string_view name = is_sparse ? "sparse" : "dense",
                         other_name = is_sparse ? "dense" : "sparse";
  if (objective == Objective::kSize && chosen.bytes != other.bytes)
    return fmt::format("{}: {} bytes less than {}", name, other.bytes - chosen.bytes, other_name);
  if (chosen.picoseconds * 100 > other.picoseconds * 95)
    return fmt::format("{}: {} is {}", name, other_name,
                       other.bytes > chosen.bytes ? "larger" : "not clearly faster everywhere");
  return fmt::format(
      "{}: {:.1f} times as fast as {}", name,
      static_cast<double>(other.picoseconds) / static_cast<double>(chosen.picoseconds), other_name);
}

// What the weights would need if they were brought to the finest grid instead.
template <typename Kind>
std::int64_t widened_bytes(const Kind& kind, std::int64_t channels) {
  const std::vector<int> shifts = weight_shifts(kind.segments, channels);
  std::int64_t lo = 0, hi = 0;
  for (std::size_t i = 0; i < kind.weights.size(); ++i) {
    const std::int64_t w = std::int64_t{kind.weights.data()[i]}
                           << shifts[i % static_cast<std::size_t>(channels)];
    lo = std::min(lo, w);
    hi = std::max(hi, w);
  }
  const int bits = bits_to_hold(lo, hi);
  return static_cast<std::int64_t>(kind.weights.size()) * (bits <= 8 ? 1 : bits <= 16 ? 2 : 4);
}

template <typename Kind>
StorageChoice choose(const Program& program, const Op& op, const Kind& kind, Objective objective) {
  const Shape& out = program.values[op.output].shape;
  const WeightShape shape = weight_shape(program, op);
  const std::int64_t element_bytes = storage_size(kind.weights, kind.wide).element_bytes;
  const StorageCost sparse = sparse_cost(shape, element_bytes);
  const StorageCost dense = kind.segments.empty()
                                ? dense_cost(shape, element_bytes)
                                : segments_cost(shape, element_bytes, kind.segments.size());
  const auto microseconds = [&](const StorageCost& cost) {
    return static_cast<double>(cost.picoseconds) * 1e-6 * static_cast<double>(out.h * out.w);
  };
  StorageChoice choice{.node = op.node,
                       .weights = shape.count(),
                       .zeros = shape.count() - shape.nonzeros,
                       .several_decimals = program.values[op.input()].decimals.size() > 1,
                       .segments = kind.segments.size(),
                       .dense_bytes = dense.bytes,
                       .sparse_bytes = sparse.bytes,
                       .dense_us = microseconds(dense),
                       .sparse_us = microseconds(sparse),
                       .reason = {}};
  if (!kind.segments.empty()) {
    choice.reason =
        fmt::format("{} segments: {} bytes less than weights on one grid", kind.segments.size(),
                    widened_bytes(kind, program.values[op.input()].shape.c) - dense.bytes);
    return choice;
  }
  choice.sparse = sparse.is_better_than(dense, objective);
  choice.reason = reason(objective, choice.sparse, dense, sparse);
  if (element_bytes > 1)
    choice.reason += fmt::format(", {} bits{}{}", 8 * element_bytes,
                                 choice.several_decimals ? " for several decimals" : "",
                                 kind.wide ? ", sums of 64" : "");
  return choice;
}

// Calls f(kind) where the op is a convolution or linear layer.
template <typename AnyOp, typename F>
void with_weights(AnyOp& op, F&& f) {
  if (auto* conv = std::get_if<Conv2d>(&op.kind)) f(*conv);
  if (auto* linear = std::get_if<Linear>(&op.kind)) f(*linear);
}

}  // namespace

std::vector<StorageChoice> storage_choices(const Program& program, Objective objective) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  std::vector<StorageChoice> choices;
  for (const Op& op : program.ops)
    with_weights(op, [&](const auto& kind) {
      StorageChoice choice = choose(program, op, kind, objective);
      if (choice.zeros > 0 || choice.several_decimals) choices.push_back(std::move(choice));
    });
  return choices;
}

Program choose_storage(Program program, Objective objective) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  for (Op& op : program.ops)
    with_weights(op,
                 [&](auto& kind) { kind.sparse = choose(program, op, kind, objective).sparse; });
  return program;
}

}  // namespace lockstep::passes
