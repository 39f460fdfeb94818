#include "compile/ops/lowering.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "compile/support/error.h"
#include "intrt/arith.h"
#include "intrt/plan_format.h"

namespace lockstep::ops {
namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;
using ir::kMostCodeBits;
using ir::kMostStoredBits;

}  // namespace

Lowering::Lowering(ir::Program& program, const Node& node, const NodeParameters& parameters,
                   std::vector<NodeValue> inputs)
    : program_(program), node_(node), parameters_(parameters), inputs_(std::move(inputs)) {
  for (std::size_t k = 0; k < inputs_.size(); ++k)
    if (!inputs_[k].order_of.empty() && node.op != "identity" && node.op != "dropout")
      refuse(fmt::format(
          "its input '{}' is a softmax, which has no integer form; only an output may read one",
          node.inputs.at(k)));
}

void Lowering::refuse(const std::string& reason) const {
  throw InputError(fmt::format("layer '{}': {}", node_.name, reason));
}

void Lowering::require_exact(std::size_t k) const {
  if (!input(k).pending) return;
  const std::string& origin = input(k).pending->origin;
  refuse(fmt::format("its input '{}' is not quantized{}; put a quantize node before this layer",
                     node_.inputs.at(k),
                     origin == node_.inputs.at(k)
                         ? std::string()
                         : fmt::format(" (it carries what '{}' computes in float)", origin)));
}

void Lowering::require_codes(std::size_t k) const {
  require_exact(k);
  if (value(k).bits <= kMostCodeBits) return;
  const std::string& origin = accumulator_origin(input(k).id);
  refuse(fmt::format("its input '{}' is not quantized{}; put a quantize node before this layer",
                     node_.inputs.at(k),
                     origin == node_.inputs.at(k)
                         ? std::string()
                         : fmt::format(" (it carries the accumulators of '{}')", origin)));
}

const std::string& Lowering::accumulator_origin(ir::ValueId id) const {
  for (auto op = program_.ops.rbegin(); op != program_.ops.rend(); ++op) {
    if (op->output != id) continue;
    if (ir::accumulators_of(op->kind) != nullptr || std::holds_alternative<ir::ArgMax>(op->kind))
      break;
    id = op->input();
  }
  return program_.values[id].node;
}

std::string Lowering::fitting_bits(int excess, std::size_t k) const {
  constexpr int kLeastBits = 2;
  const int bits = value(k).bits;
  if (bits - excess < kLeastBits)
    return fmt::format("no width of its input '{}' would fit: it has {} bits, {} too many",
                       node_.inputs.at(k), bits, excess);
  return fmt::format("{} bits of its input '{}' would fit (it has {})", bits - excess,
                     node_.inputs.at(k), bits);
}

std::string Lowering::shape_text(std::size_t k) const {
  const ir::Shape& shape = value(k).shape;
  if (shape.logical_rank == 3) return fmt::format("[{}, {}, {}]", shape.c, shape.h, shape.w);
  if (shape.logical_rank == 2) return fmt::format("[{}, {}]", shape.c, shape.w);
  return fmt::format("[{}]", shape.count());
}

std::vector<ir::Accumulator> Lowering::bounds(const ir::OpKind& kind,
                                              const std::vector<ir::ValueId>& inputs) const {
  return ir::accumulator_bounds(
      program_, {.node = node_.name, .inputs = inputs, .output = inputs.front(), .kind = kind});
}

ir::ValueId Lowering::emit(ir::OpKind kind, const std::vector<ir::ValueId>& inputs, Format format) {
  require_plan_size(*this, format.shape);
  for (const int decimal : format.decimals)
    if (decimal < std::numeric_limits<std::int8_t>::min() ||
        decimal > std::numeric_limits<std::int8_t>::max())
      refuse(fmt::format(
          "its values have decimal {}, but plans hold -128 to 127; put a quantize node before it",
          decimal));
  const ir::ValueId output = program_.values.size();
  program_.values.push_back({.node = node_.name,
                             .shape = format.shape,
                             .bits = format.bits,
                             .decimals = ir::collapse(std::move(format.decimals)),
                             .ranges = {},
                             .keep = false,
                             .bytes = false,
                             .exact = format.exact,
                             .offsets = {},
                             .arena_offset = {}});
  ir::Op op{.node = node_.name, .inputs = inputs, .output = output, .kind = std::move(kind)};
  if (std::vector<ir::Accumulator>* accumulators = ir::accumulators_of(op.kind))
    *accumulators = ir::accumulator_bounds(program_, op);
  program_.values.back().ranges = ir::output_ranges(program_, op);
  program_.ops.push_back(std::move(op));
  return output;
}

ir::ValueId Lowering::copy_of(ir::ValueId id, std::vector<int> shifts, int bits,
                              std::vector<int> decimals) {
  ir::Requantize requantize = ir::identity_requantize(bits);
  requantize.shifts = ir::collapse(std::move(shifts));
  const ir::Shape shape = value_of(id).shape;
  const std::string node = value_of(id).node;
  const ir::ValueId copy =
      emit(ir::RequantizeOp{{.function = requantize, .mask = {}}}, {id},
           {.shape = shape, .bits = bits, .decimals = std::move(decimals), .exact = false});
  program_.values[copy].node = node;
  program_.ops.back().node = node;
  return copy;
}

ir::ValueId Lowering::refine(ir::ValueId id, const std::vector<int>& decimals) {
  const ir::Value& value = value_of(id);
  std::vector<int> shifts;
  int bits = value.bits;
  for (std::int64_t c = 0; c < value.shape.c; ++c) {
    const int finer = decimals.at(static_cast<std::size_t>(c)) - value.decimal(c);
    LOCKSTEP_ASSERT(finer >= 0);
    shifts.push_back(-finer);
    // Beyond 32 bits it is refused below, so shifts stay in what plans hold.
    bits = std::max(bits, value.bits + std::min(finer, kMostStoredBits));
  }
  if (value.bits > kMostStoredBits)
    refuse(
        fmt::format("its input '{}' holds sums of {} bits, but memory holds {}; put a quantize "
                    "node before this "
                    "layer",
                    value.node, value.bits, kMostStoredBits));
  const int most = value.bits <= kMostCodeBits ? kMostCodeBits : kMostStoredBits;
  if (bits > most)
    refuse(fmt::format(
        "the codes of '{}' brought to one grid need {} bits, but there are {}; let the quantize "
        "nodes before this layer choose decimals that lie closer together (channelwise = -1 gives "
        "one decimal for all channels)",
        value.node, bits, most));
  if (std::all_of(shifts.begin(), shifts.end(), [](int s) { return s == 0; })) return id;
  return copy_of(id, std::move(shifts), bits, decimals);
}

ir::ValueId Lowering::widen(ir::ValueId id, int bits) {
  const ir::Value& value = value_of(id);
  if (value.bits >= bits) return id;
  return copy_of(id, {0}, bits, value.decimals);
}

void require_plan_size(const Lowering& lowering, const ir::Shape& shape) {
  for (const std::int64_t extent : {shape.c, shape.h, shape.w})
    if (extent > std::int64_t{INTRT_MAX_DIM})
      lowering.refuse(fmt::format("its output has a dimension of {}, but plans hold at most {}",
                                  extent, INTRT_MAX_DIM));
  if (shape.count() > kMaxElements)
    lowering.refuse(fmt::format("its output has {} elements, but plans hold at most {}",
                                shape.count(), kMaxElements));
}

NodeValue append(const Lowering& lowering, const std::vector<FloatStep>& steps) {
  if (lowering.value().bits > kMostStoredBits)
    lowering.refuse(fmt::format(
        "its input holds sums of {} bits, but a float function takes at most {}; use fewer bits of "
        "the input or weight before it, or put a quantize node before this layer",
        lowering.value().bits, kMostStoredBits));
  NodeValue result = lowering.input();
  const auto channels = static_cast<std::size_t>(lowering.value().shape.c);
  LOCKSTEP_ASSERT(steps.size() == 1 || steps.size() == channels);
  if (!result.pending)
    result.pending = Pending{
        .chains = std::vector<FloatChain>(channels), .mask = {}, .origin = lowering.node().name};
  for (std::size_t c = 0; c < channels; ++c) {
    const FloatStep& step = steps[steps.size() == 1 ? 0 : c];
    if (!result.pending->mask.empty() && step(0.0F) != 0.0F)
      lowering.refuse(
          "it acts on values that a prune node has set to zero, and does not keep zero; put the "
          "prune node behind it");
    result.pending->chains[c].push_back(step);
  }
  return result;
}

std::array<std::int64_t, 2> height_width(const std::vector<std::int64_t>& spatial,
                                         std::int64_t none) {
  if (spatial.size() == 1) return {none, spatial[0]};
  return {spatial.at(0), spatial.at(1)};
}

void require_spatial(const Lowering& lowering, std::size_t axes) {
  constexpr std::string_view kShapes[] = {"[C]", "[C, L]", "[C, H, W]"};
  if (lowering.value().shape.logical_rank != static_cast<int>(axes) + 1)
    lowering.refuse(fmt::format("its input has shape {}, but {} needs {}", lowering.shape_text(),
                                lowering.node().op, kShapes[axes]));
}

}  // namespace lockstep::ops
