// Sparse weights save bytes and products, but a dense row needs no search for what is there, and
// compilers turn it into vector instructions. A cost model decides (storage_cost.h).
#include "compile/passes/choose_storage.h"

#include <fmt/format.h>

#include "compile/ir/storage.h"
#include "compile/passes/group_channels.h"
#include "compile/support/error.h"

namespace lockstep::passes {
namespace {

using namespace ir;

struct Form {
  std::string name;
  StorageCost cost;
};

// Why `chosen` and not `other`, which lost to it, where both are equally fast on a machine.
std::string reason(Machine machine, const Form& chosen, const Form& other) {
  const std::int64_t saved = other.cost.bytes - chosen.cost.bytes;
  return fmt::format("{}: equally fast on {}, {}", chosen.name, machine_name(machine),
                     saved > 0 ? fmt::format("{} bytes less than {}", saved, other.name)
                               : fmt::format("as many bytes as {}", other.name));
}

// Why, where they may not be.
std::string reason(Objective objective, const Form& chosen, const Form& other) {
  const std::int64_t saved = other.cost.bytes - chosen.cost.bytes;
  if (objective == Objective::kSize && saved != 0)
    return fmt::format("{}: {} bytes less than {}", chosen.name, saved, other.name);
  if (chosen.cost.picoseconds * 100 > other.cost.picoseconds * 95)
    return fmt::format("{}: {} is {}", chosen.name, other.name,
                       saved > 0 ? "larger" : "not clearly faster everywhere");
  return fmt::format(
      "{}: {:.1f} times as fast as {}", chosen.name,
      static_cast<double>(other.cost.picoseconds) / static_cast<double>(chosen.cost.picoseconds),
      other.name);
}

// Why not in segments, of a layer whose input has several decimals.
std::string reason_without(Objective objective, const Form& chosen, const SegmentOffer& offer) {
  if (offer.segments == 0) return fmt::format("; segments: {}", offer.obstacle);
  const std::int64_t more = offer.cost.bytes - chosen.cost.bytes;
  std::string why = "not clearly faster everywhere";
  if (objective == Objective::kSize)
    why = more > 0 ? fmt::format("{} bytes more", more) : "as many bytes, and not faster";
  else if (more > 0)
    why = "larger";
  return fmt::format("; {} segments: {}", offer.segments, why);
}

// The bytes of a weight that was brought to the finest grid.
template <typename Kind>
std::int64_t bytes_on_one_grid(const Kind& kind, std::int64_t channels) {
  const std::vector<int> shifts = weight_shifts(kind.segments, channels);
  std::int64_t lo = 0, hi = 0;
  for (std::size_t i = 0; i < kind.weights.size(); ++i) {
    const std::int64_t w = std::int64_t{kind.weights.data()[i]}
                           << shifts[i % static_cast<std::size_t>(channels)];
    lo = std::min(lo, w);
    hi = std::max(hi, w);
  }
  const int bits = bits_to_hold(lo, hi);
  return bits <= 8 ? 1 : bits <= 16 ? 2 : 4;
}

// `offer`: of segments, where the op has none.
template <typename Kind>
StorageChoice choose(const Program& program, const Op& op, const Kind& kind, const Goal& goal,
                     const SegmentOffer& offer) {
  const Shape& out = program.values[op.output].shape;
  const WeightShape shape = weight_shape(program, op);
  const bool in_segments = !kind.segments.empty();
  const std::int64_t element_bytes = storage_size(kind.weights, kind.wide).element_bytes;
  const std::int64_t one_grid =
      in_segments ? bytes_on_one_grid(kind, program.values[op.input()].shape.c) : element_bytes;
  const Form dense{"dense", dense_cost(shape, one_grid)},
      sparse{"sparse", sparse_cost(shape, one_grid)};
  const std::size_t count = in_segments ? kind.segments.size() : offer.segments;
  const Form segments{fmt::format("{} segments", count),
                      in_segments ? segments_cost(shape, element_bytes, count) : offer.cost};
  const auto microseconds = [&](const Form& form) {
    return static_cast<double>(form.cost.picoseconds) * 1e-6 * static_cast<double>(out.h * out.w);
  };
  StorageChoice choice{.node = op.node,
                       .weights = shape.count(),
                       .zeros = shape.count() - shape.nonzeros,
                       .several_decimals = program.values[op.input()].decimals.size() > 1,
                       .dense_bytes = dense.cost.bytes,
                       .sparse_bytes = sparse.cost.bytes,
                       .dense_us = microseconds(dense),
                       .sparse_us = microseconds(sparse),
                       .equally_fast = prepares_weights(program, op, goal.machine),
                       .segments = count,
                       .segment_bytes = segments.cost.bytes,
                       .segment_us = microseconds(segments),
                       .in_segments = in_segments,
                       .reason = {}};
  const bool sparse_wins = sparse.cost.is_better_than(
      dense.cost, choice.equally_fast ? Objective::kSize : goal.objective);
  const Form &best = sparse_wins ? sparse : dense, &other = sparse_wins ? dense : sparse;
  if (in_segments) {
    choice.reason = reason(goal.objective, segments, best);
    return choice;
  }
  choice.sparse = sparse_wins;
  choice.reason =
      choice.equally_fast ? reason(goal.machine, best, other) : reason(goal.objective, best, other);
  if (element_bytes > 1)
    choice.reason += fmt::format(", {} bits{}{}", 8 * element_bytes,
                                 choice.several_decimals ? " for several decimals" : "",
                                 kind.wide ? ", sums of 64" : "");
  if (choice.several_decimals) choice.reason += reason_without(goal.objective, best, offer);
  return choice;
}

// Calls f(kind) where the op is a convolution or linear layer.
template <typename AnyOp, typename F>
void with_weights(AnyOp& op, F&& f) {
  if (auto* conv = std::get_if<Conv2d>(&op.kind)) f(*conv);
  if (auto* linear = std::get_if<Linear>(&op.kind)) f(*linear);
}

}  // namespace

std::vector<StorageChoice> storage_choices(const Program& program, const Goal& goal) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  const std::vector<SegmentOffer> offers = segment_offers(program, goal.objective);
  std::vector<StorageChoice> choices;
  for (std::size_t i = 0; i < program.ops.size(); ++i)
    with_weights(program.ops[i], [&](const auto& kind) {
      StorageChoice choice = choose(program, program.ops[i], kind, goal, offers[i]);
      if (choice.zeros > 0 || choice.several_decimals) choices.push_back(std::move(choice));
    });
  return choices;
}

Program choose_storage(Program program, const Goal& goal) {
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical);
  for (Op& op : program.ops)
    with_weights(op, [&](auto& kind) {
      kind.sparse = choose(program, op, kind, goal, SegmentOffer{}).sparse;
    });
  return program;
}

}  // namespace lockstep::passes
