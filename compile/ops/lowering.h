// How an operator of graph.json becomes ops of the integer IR. One file per operator, <op>.cpp,
// with one function; operators.cpp lists them. A function infers the output's shape, refuses what
// has no exact integer form (InputError with the layer's name), and adds its ops with proved
// ranges.
//
// Lowering is deliberately plain: one op per node, accumulators as values of their own. The passes
// make it fast.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/graph/graph.h"
#include "compile/ir/ir.h"
#include "compile/ops/float_function.h"

namespace lockstep::ops {

// Float functions that are still to be applied to an integer value: value = mask * chain(code *
// 2^-decimal). They stay pending until a quantize node turns them into a post-op.
struct Pending {
  std::vector<FloatChain> chains;  // one per channel of the integer value
  std::vector<std::uint8_t> mask;  // empty, or one 0/1 per element, (C,H,W)
  bool filled = false;             // some elements are zeros that a pad put in
  std::string origin;              // the node where the first function came in
};

// The value of a node on its way through lowering.
struct NodeValue {
  ir::ValueId id = 0;  // the integers
  std::optional<Pending> pending;
  // The node is a softmax: only the order of the channels is kept, which is that of node
  // `order_of`. Nothing but an output may read it. Empty otherwise.
  std::string order_of;
  // A relu is still to be applied to sums of more than 32 bits. Nothing but a quantize node, whose
  // limits it becomes, may read them.
  bool rectified = false;
};

// One node on its way into the program.
class Lowering {
 public:
  Lowering(ir::Program& program, const Node& node, const NodeParameters& parameters,
           std::vector<NodeValue> inputs);

  const Node& node() const { return node_; }
  const NodeParameters& parameters() const { return parameters_; }
  std::size_t input_count() const { return inputs_.size(); }
  const NodeValue& input(std::size_t k = 0) const { return inputs_.at(k); }
  // The integers of an input, whatever is still to be applied to them.
  const ir::Value& value(std::size_t k = 0) const { return value_of(input(k).id); }
  const ir::Value& value_of(ir::ValueId id) const { return program_.values[id]; }

  // Throws InputError("layer 'NAME': REASON").
  [[noreturn]] void refuse(const std::string& reason) const;
  // Refuses an input to which float functions are still to be applied, and says which.
  void require_exact(std::size_t k = 0) const;
  // Refuses an input that is not quantized to at most 16 bits.
  void require_codes(std::size_t k = 0) const;

  // The shape of an input as PyTorch sees it: "[C, H, W]".
  std::string shape_text(std::size_t k = 0) const;

  // Advice where a sum or product has `excess` bits too many: how many bits an input may have.
  std::string fitting_bits(int excess, std::size_t k = 0) const;

  // Bounds of the sums that an op would make of `inputs`.
  std::vector<ir::Accumulator> bounds(const ir::OpKind& kind,
                                      const std::vector<ir::ValueId>& inputs) const;

  // Appends an op that reads `inputs`. The format of the output is given; its ranges are derived.
  struct Format {
    ir::Shape shape;
    int bits = 8;
    std::vector<int> decimals;
    bool exact = true;  // the output holds the value of this node, not what is pending
  };
  ir::ValueId emit(ir::OpKind kind, const std::vector<ir::ValueId>& inputs, Format format);

  // The same values on a grid that is finer in some channels, in as many bits as that takes; `id`
  // itself when nothing changes. Refuses more than 16 bits for codes and 32 for accumulators.
  ir::ValueId refine(ir::ValueId id, const std::vector<int>& decimals);
  // The same codes in elements of at least `bits` bits.
  ir::ValueId widen(ir::ValueId id, int bits);

 private:
  // The node whose accumulators a value holds, or whose channel numbers.
  const std::string& accumulator_origin(ir::ValueId id) const;
  ir::ValueId copy_of(ir::ValueId id, std::vector<int> shifts, int bits, std::vector<int> decimals);

  ir::Program& program_;
  const Node& node_;
  const NodeParameters& parameters_;
  std::vector<NodeValue> inputs_;
};

// Returns the node's value: new integers, or the input's for operators that do nothing to them.
using LowerFunction = NodeValue (*)(Lowering&);

NodeValue lower_adaptive_avg_pool1d(Lowering&);
NodeValue lower_adaptive_avg_pool2d(Lowering&);
NodeValue lower_add(Lowering&);
NodeValue lower_argmax(Lowering&);
NodeValue lower_avg_pool1d(Lowering&);
NodeValue lower_avg_pool2d(Lowering&);
NodeValue lower_batch_norm1d(Lowering&);
NodeValue lower_batch_norm2d(Lowering&);
NodeValue lower_concat(Lowering&);
NodeValue lower_conv1d(Lowering&);
NodeValue lower_conv2d(Lowering&);
NodeValue lower_conv_transpose1d(Lowering&);
NodeValue lower_conv_transpose2d(Lowering&);
NodeValue lower_dropout(Lowering&);
NodeValue lower_elu(Lowering&);
NodeValue lower_flatten(Lowering&);
NodeValue lower_gelu(Lowering&);
NodeValue lower_hard_sigmoid(Lowering&);
NodeValue lower_hard_swish(Lowering&);
NodeValue lower_identity(Lowering&);
NodeValue lower_leaky_relu(Lowering&);
NodeValue lower_linear(Lowering&);
NodeValue lower_log_softmax(Lowering&);
NodeValue lower_max_pool1d(Lowering&);
NodeValue lower_max_pool2d(Lowering&);
NodeValue lower_mul(Lowering&);
NodeValue lower_pad(Lowering&);
NodeValue lower_pixel_shuffle(Lowering&);
NodeValue lower_pixel_unshuffle(Lowering&);
NodeValue lower_prune(Lowering&);
NodeValue lower_quantize(Lowering&);
NodeValue lower_relu(Lowering&);
NodeValue lower_relu6(Lowering&);
NodeValue lower_reshape(Lowering&);
NodeValue lower_sigmoid(Lowering&);
NodeValue lower_silu(Lowering&);
NodeValue lower_slice(Lowering&);
NodeValue lower_softmax(Lowering&);
NodeValue lower_softplus(Lowering&);
NodeValue lower_sub(Lowering&);
NodeValue lower_tanh(Lowering&);
NodeValue lower_transpose(Lowering&);
NodeValue lower_upsample(Lowering&);

// nullptr when the compiler has no lowering for the operator.
LowerFunction find_lowering(std::string_view op);

// Largest dimension and tensor that plans can describe.
void require_plan_size(const Lowering& lowering, const ir::Shape& shape);

// The input with one more float function, the same in all channels or one per channel. Refuses one
// that follows a mask and does not keep zero.
NodeValue append(const Lowering& lowering, const std::vector<FloatStep>& steps);

// (C,L) as (C,1,L): the sizes of an attribute or shape with one or two spatial axes along height
// and width; `none` stands for the height that a one-dimensional operator does not have.
std::array<std::int64_t, 2> height_width(const std::vector<std::int64_t>& spatial,
                                         std::int64_t none);

// Refuses an input that has not `axes` spatial axes behind its channels; one where `axes` is 0.
void require_spatial(const Lowering& lowering, std::size_t axes);

}  // namespace lockstep::ops
