#include "compile/ops/lowering.h"

#include <fmt/format.h>

#include "compile/support/error.h"
#include "intrt/plan_format.h"

namespace lockstep::ops {

namespace {

constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

}  // namespace

Lowering::Lowering(ir::Program& program, const Node& node, const NodeParameters& parameters,
                   ir::ValueId input)
    : program_(program), node_(node), parameters_(parameters), input_(input) {}

void Lowering::refuse(const std::string& reason) const {
  throw InputError(fmt::format("layer '{}': {}", node_.name, reason));
}

std::string Lowering::input_shape() const {
  const ir::Shape& shape = input().shape;
  if (shape.logical_rank == 3) return fmt::format("[{}, {}, {}]", shape.c, shape.h, shape.w);
  if (shape.logical_rank == 2) return fmt::format("[{}, {}]", shape.c, shape.w);
  return fmt::format("[{}]", shape.count());
}

const std::string& Lowering::accumulator_origin() const {
  ir::ValueId id = input_;
  for (auto op = program_.ops.rbegin(); op != program_.ops.rend(); ++op) {
    if (op->output != id) continue;
    if (std::holds_alternative<ir::Conv2d>(op->kind) ||
        std::holds_alternative<ir::Linear>(op->kind))
      break;
    id = op->input;
  }
  return program_.values[id].node;
}

std::vector<ir::Accumulator> Lowering::bounds(ir::OpKind kind) const {
  return ir::accumulator_bounds(program_, {.node = node_.name,
                                           .input = input_,
                                           .more_inputs = {},
                                           .output = input_,
                                           .kind = std::move(kind)});
}

ir::ValueId Lowering::emit(ir::OpKind kind, Format format) {
  require_plan_size(*this, format.shape);
  const ir::ValueId output = program_.values.size();
  program_.values.push_back({.node = node_.name,
                             .shape = format.shape,
                             .bits = format.bits,
                             .decimals = ir::collapse(std::move(format.decimals)),
                             .ranges = {},
                             .keep = false,
                             .arena_offset = {}});
  ir::Op op{.node = node_.name,
            .input = input_,
            .more_inputs = {},
            .output = output,
            .kind = std::move(kind)};
  program_.values.back().ranges = ir::output_ranges(program_, op);
  program_.ops.push_back(std::move(op));
  return output;
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

}  // namespace lockstep::ops
