// How an operator of graph.json becomes ops of the integer IR. One file per operator, <op>.cpp,
// with one function; operators.cpp lists them. A function infers the output's shape, refuses what
// has no exact integer form (InputError with the layer's name), and adds its op with proved ranges.
//
// Lowering is deliberately plain: one op per node, accumulators as 32-bit values of their own. The
// passes make it fast.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "compile/ir/ir.h"

namespace lockstep::ops {

// One node on its way into the program.
class Lowering {
 public:
  Lowering(ir::Program& program, const Node& node, const NodeParameters& parameters,
           ir::ValueId input);

  const Node& node() const { return node_; }
  const NodeParameters& parameters() const { return parameters_; }
  ir::ValueId input_id() const { return input_; }
  const ir::Value& input() const { return program_.values[input_]; }

  // Throws InputError("layer 'NAME': REASON").
  [[noreturn]] void refuse(const std::string& reason) const;

  // The input as PyTorch sees it: "[C, H, W]".
  std::string input_shape() const;

  // The operator whose accumulators the input holds, when the input is not quantized.
  const std::string& accumulator_origin() const;

  // Bounds of the sums that `kind`, a conv2d or linear, would make of the input.
  std::vector<ir::Accumulator> bounds(ir::OpKind kind) const;

  // Appends `kind`, reading the node's input. The format of the output is given; its ranges are
  // derived.
  struct Format {
    ir::Shape shape;
    int bits = 8;
    std::vector<int> decimals;
  };
  ir::ValueId emit(ir::OpKind kind, Format format);

 private:
  ir::Program& program_;
  const Node& node_;
  const NodeParameters& parameters_;
  ir::ValueId input_;
};

// Returns the value that holds the node's result: a new one, or the input for operators that do
// nothing.
using LowerFunction = ir::ValueId (*)(Lowering&);

ir::ValueId lower_conv2d(Lowering& lowering);
ir::ValueId lower_dropout(Lowering& lowering);
ir::ValueId lower_flatten(Lowering& lowering);
ir::ValueId lower_identity(Lowering& lowering);
ir::ValueId lower_linear(Lowering& lowering);
ir::ValueId lower_max_pool2d(Lowering& lowering);
ir::ValueId lower_prune(Lowering& lowering);
ir::ValueId lower_quantize(Lowering& lowering);
ir::ValueId lower_relu(Lowering& lowering);

// nullptr when the compiler has no lowering for the operator.
LowerFunction find_lowering(std::string_view op);

// Largest dimension and tensor that plans can describe.
void require_plan_size(const Lowering& lowering, const ir::Shape& shape);

}  // namespace lockstep::ops
