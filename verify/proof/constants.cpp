#include "verify/proof/constants.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <functional>
#include <map>

#include "verify/proof/finding.h"
#include "verify/proof/memory_plan.h"
#include "verify/proof/plan_reader.h"
#include "verify/proof/post_op.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr int kAccumulatorBits = 32;

std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

// An element of a tensor that is stored HWC, by its place in (C,H,W) order.
struct Place {
  std::int64_t channel, y, x;
};
Place place_of(const VisibleTensor& tensor, std::int64_t logical) {
  const std::int64_t width = tensor.width, plane = tensor.height * width;
  return {logical / plane, logical % plane / width, logical % width};
}
std::int64_t physical_index(const VisibleTensor& tensor, std::int64_t logical) {
  const Place place = place_of(tensor, logical);
  return (place.y * tensor.width + place.x) * tensor.channels + place.channel;
}
std::string place_text(const VisibleTensor& tensor, std::int64_t logical) {
  const Place place = place_of(tensor, logical);
  return fmt::format("channel {}, position ({}, {})", place.channel, place.y, place.x);
}

// A run of graph nodes that one operator of the plan computes, first to last.
using Chain = std::vector<const Node*>;

// What is known about codes or accumulators, per element in (C,H,W) order.
struct ElementFacts {
  std::vector<int> decimals;
  std::vector<std::int64_t> lo, hi;  // every value that can occur lies in between

  void push_back(int decimal, std::int64_t lowest, std::int64_t highest) {
    decimals.push_back(decimal);
    lo.push_back(lowest);
    hi.push_back(highest);
  }
};

class ConstantsCheck {
 public:
  ConstantsCheck(const ExactNetwork& network, const Parameters& parameters, const OpenPlan& plan)
      : network_(network), graph_(network.graph()), parameters_(parameters), plan_(plan) {}

  ConstantsResult run() {
    ConstantsResult result;
    try {
      check();
    } catch (const Difference& difference) {
      result.refuted = Refuted{difference.layer, difference.text};
    } catch (const NotUnderstood& reason) {
      result.unknown = reason.reason;
    }
    result.checked = checked_;
    return result;
  }

 private:
  void check() {
    expect(graph_.name, "name of the network", graph_.name,
           std::string(intrt_network_name(plan_.get())));
    for (std::uint32_t t = 0; t < intrt_tensor_count(plan_.get()); ++t)
      tensors_.push_back(plan_.tensor(t));
    held_.resize(tensors_.size());
    made_.assign(tensors_.size(), false);
    for (std::uint32_t t = 0; t < tensors_.size(); ++t) check_tensor(t);
    check_ends();
    for (std::uint32_t k = 0; k < intrt_op_count(plan_.get()); ++k) check_op(read_op(plan_, k));
    for (std::size_t t = 0; t < tensors_.size(); ++t)
      if (!made_[t])
        throw Difference{
            tensors_[t].name,
            fmt::format("layer '{}': no operator of the plan computes it", tensors_[t].name)};
    checked_ += check_memory_plan(plan_);
  }

  template <typename T>
  void expect(const std::string& layer, const std::string& what, const T& expected,
              const T& found) {
    checked_ += 1;
    if (expected != found)
      throw Difference{layer, fmt::format("layer '{}': {}: expected {}, found {}", layer, what,
                                          expected, found)};
  }

  // Dropout, identity and flatten keep every element's value and its place in (C,H,W) order.
  std::string without_identities(std::string name) const {
    for (const Node* node = graph_.find_node(name);
         node != nullptr &&
         (node->op == "dropout" || node->op == "identity" || node->op == "flatten");
         node = graph_.find_node(name))
      name = node->inputs[0];
    return name;
  }

  void check_tensor(std::uint32_t index) {
    const VisibleTensor& tensor = tensors_[index];
    const std::string& name = tensor.name;
    if (graph_.find_node(name) == nullptr && graph_.find_input(name) == nullptr)
      throw Difference{
          name, fmt::format("layer '{}': the plan has a tensor of this name, the graph has no such "
                            "node",
                            name)};
    const Format& format = network_.format(name);
    expect<std::int64_t>(name, "rank", static_cast<std::int64_t>(format.shape.size()),
                         tensor.logical_rank);
    if (format.shape.size() ==
        1) {  // a flattened map keeps the height and width of what was flattened
      expect(name, "number of elements", format.shape[0], tensor.element_count());
    } else {
      expect<std::int64_t>(name, "channels", format.shape[0], tensor.channels);
      expect<std::int64_t>(name, "height", format.shape.size() == 3 ? format.shape[1] : 1,
                           tensor.height);
      expect<std::int64_t>(name, "width", format.shape.back(), tensor.width);
    }
    const int bits = format.bits == 0 ? kAccumulatorBits : format.bits;
    expect<std::int64_t>(name, "bits", bits, tensor.bits);
    expect<std::int64_t>(name, "bytes per code", bits <= 8 ? 1 : (bits <= 16 ? 2 : 4),
                         tensor.element_bytes);
    if (format.bits == 0) return;  // an accumulator's decimals follow from the weights that make it
    checked_ += static_cast<std::int64_t>(tensor.decimals.size());
    for (std::int64_t e = 0; e < format.element_count(); ++e) {
      expect_decimal(tensor, e, format.decimal(e));
      held_[index].push_back(format.decimal(e), format.lo, format.hi);
    }
  }

  static void expect_decimal(const VisibleTensor& tensor, std::int64_t element, int expected) {
    if (tensor.decimal(element) != expected)
      throw Difference{tensor.name,
                       fmt::format("layer '{}': decimal of {}: expected {}, found {}", tensor.name,
                                   place_text(tensor, element), expected, tensor.decimal(element))};
  }

  // The network's inputs and outputs, and that tensors say so.
  void check_ends() {
    const auto ends = [&](const char* what, std::uint32_t count,
                          std::uint32_t (*index)(const intrt_plan*, std::uint32_t),
                          const std::vector<std::string>& names, std::uint32_t flag) {
      expect<std::size_t>(graph_.name, fmt::format("number of {}s", what), names.size(), count);
      std::vector<bool> is_end(tensors_.size(), false);
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint32_t tensor = index(plan_.get(), i);
        expect(names[i], fmt::format("{} {}", what, i), names[i], tensors_[tensor].name);
        is_end[tensor] = true;
      }
      for (std::uint32_t t = 0; t < tensors_.size(); ++t)
        expect<bool>(tensors_[t].name, fmt::format("flag '{}'", what), is_end[t],
                     (tensor_record(plan_, t).flags & flag) != 0);
      return is_end;
    };
    std::vector<std::string> inputs;
    for (const GraphInput& input : graph_.inputs) inputs.push_back(input.name);
    made_ = ends("input", intrt_input_count(plan_.get()), intrt_input, inputs, INTRT_TENSOR_INPUT);
    ends("output", intrt_output_count(plan_.get()), intrt_output, graph_.outputs,
         INTRT_TENSOR_OUTPUT);
    for (std::uint32_t t = 0; t < tensors_.size(); ++t)
      expect<bool>(tensors_[t].name, "flag 'named'", true,
                   (tensor_record(plan_, t).flags & INTRT_TENSOR_NAMED) != 0);
  }

  void check_op(const PlanOp& op) {
    const VisibleTensor& input = tensors_[op.inputs[0]];
    const VisibleTensor& output = tensors_[op.output];
    const Chain chain = find_chain(op, output);
    if (made_[op.output])
      throw Difference{output.name,
                       fmt::format("layer '{}': the plan computes it twice", output.name)};
    if (!made_[op.inputs[0]])
      throw Difference{op.node, fmt::format("layer '{}': reads '{}' before it is computed", op.node,
                                            input.name)};
    const std::string& source = chain.front()->inputs[0];
    checked_ += 1;
    if (without_identities(input.name) != without_identities(source))
      throw Difference{op.node, fmt::format("layer '{}': reads '{}', but the graph says '{}'",
                                            op.node, input.name, source)};
    switch (op.code) {
      case PlanOp::kConv2d:
        check_conv2d(op, chain, input, output);
        break;
      case PlanOp::kLinear:
        check_linear(op, chain, input, output);
        break;
      case PlanOp::kMaxPool2d:
        check_max_pool2d(op, chain, input, output);
        break;
      case PlanOp::kRequantize:
        check_requantize(op, chain, input, output);
        break;
      default:
        check_transpose(op, chain, input, output);
        break;
    }
    made_[op.output] = true;
  }

  Chain find_chain(const PlanOp& op, const VisibleTensor& output) const {
    if (graph_.find_node(op.node) == nullptr)
      throw Difference{
          op.node,
          fmt::format("layer '{}': the plan has an operator of this name, the graph has no "
                      "such node",
                      op.node)};
    Chain chain;
    for (const Node* node = graph_.find_node(output.name);;
         node = graph_.find_node(node->inputs[0])) {
      if (node == nullptr)
        throw Difference{
            op.node,
            fmt::format("layer '{}': its operator writes '{}', but in the graph that does not "
                        "depend on it",
                        op.node, output.name)};
      chain.insert(chain.begin(), node);
      if (node->name == op.node) return chain;
    }
  }

  void expect_first_op(const PlanOp& op, const Chain& chain, const std::string& found) {
    expect(op.node, "operator", chain.front()->op, found);
  }

  static bool only_identities(const Chain& chain, std::size_t from) {
    return std::all_of(
        chain.begin() + static_cast<std::ptrdiff_t>(from), chain.end(), [](const Node* node) {
          return node->op == "dropout" || node->op == "identity" || node->op == "flatten";
        });
  }

  // A convolution or pooling reads the map itself, not some other view of it.
  void expect_map(const PlanOp& op, const Chain& chain, const VisibleTensor& input) {
    const std::vector<std::int64_t>& shape = network_.format(chain.front()->inputs[0]).shape;
    expect<std::int64_t>(op.node, "channels of its input", shape.at(0), input.channels);
    expect<std::int64_t>(op.node, "height of its input", shape.at(1), input.height);
    expect<std::int64_t>(op.node, "width of its input", shape.at(2), input.width);
  }

  // `pad_end`: how far the windows reach behind the input, height and width.
  void check_window(const PlanOp& op, const Node& node, HeightWidth pad_end) {
    const SlidingWindow window = sliding_window(node);
    expect(op.node, "kernel height", window.kernel.height, op.window.kernel_h);
    expect(op.node, "kernel width", window.kernel.width, op.window.kernel_w);
    expect(op.node, "vertical stride", window.stride.height, op.window.stride_h);
    expect(op.node, "horizontal stride", window.stride.width, op.window.stride_w);
    expect(op.node, "vertical dilation", window.dilation.height, op.window.dilation_h);
    expect(op.node, "horizontal dilation", window.dilation.width, op.window.dilation_w);
    expect(op.node, "padding at the top", window.padding.height, op.window.pad_top);
    expect(op.node, "padding at the left", window.padding.width, op.window.pad_left);
    expect(op.node, "padding at the bottom", pad_end.height, op.window.pad_bottom);
    expect(op.node, "padding at the right", pad_end.width, op.window.pad_right);
  }

  void check_conv2d(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                    const VisibleTensor& output) {
    expect_first_op(op, chain, "conv2d");
    expect_map(op, chain, input);
    const Node& node = *chain.front();
    check_window(op, node, sliding_window(node).padding);
    expect(op.node, "groups", node.integer("groups"), op.groups);
    const LinearConstants& constants = *network_.constants(node.name);
    expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
    const std::int64_t taps = op.window.kernel_h * op.window.kernel_w;
    const std::int64_t group_inputs = constants.fan_in / taps;
    const auto weight_place = [&](std::int64_t o, std::int64_t k) {
      return (o * taps + k % taps) * group_inputs + k / taps;  // [O][kh][kw][I] from [O][I][kh][kw]
    };
    const auto weight_name = [&](std::int64_t o, std::int64_t k) {
      return fmt::format("weight of channel {}, input channel {}, position ({}, {})", o, k / taps,
                         k % taps / op.window.kernel_w, k % op.window.kernel_w);
    };
    check_weighted(op, chain, input, output, weight_place, weight_name);
  }

  void check_linear(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                    const VisibleTensor& output) {
    expect_first_op(op, chain, "linear");
    const LinearConstants& constants = *network_.constants(chain.front()->name);
    expect(op.node, "number of inputs", constants.fan_in, input.element_count());
    expect(op.node, "number of outputs", constants.outputs, output.element_count());
    expect<std::int64_t>(op.node, "output channels", constants.outputs, output.channels);
    const auto weight_place = [&](std::int64_t o, std::int64_t k) {
      return o * constants.fan_in + physical_index(input, k);
    };
    const auto weight_name = [&](std::int64_t o, std::int64_t k) {
      return fmt::format("weight of channel {}, input {}", o, k);
    };
    check_weighted(op, chain, input, output, weight_place, weight_name);
  }

  using WeightPlace = std::function<std::int64_t(std::int64_t output, std::int64_t k)>;
  using WeightName = std::function<std::string(std::int64_t output, std::int64_t k)>;

  // Weights and bias of every channel, then what is done with the sums.
  void check_weighted(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                      const VisibleTensor& output, const WeightPlace& weight_place,
                      const WeightName& weight_name) {
    const LinearConstants& constants = *network_.constants(chain.front()->name);
    const Format& input_format = network_.format(input.name);
    if (input_format.bits == 0)
      throw NotUnderstood{fmt::format("layer '{}' reads accumulators ('{}')", op.node, input.name)};
    ElementFacts before;
    const std::int64_t plane = output.element_count() / constants.outputs;
    for (std::int64_t o = 0; o < constants.outputs; ++o) {
      std::vector<std::int64_t> found;
      for (std::int64_t k = 0; k < constants.fan_in; ++k)
        found.push_back(op.weights.at(at(weight_place(o, k))));
      found.push_back(op.bias.empty() ? 0 : op.bias.at(at(o)));
      std::vector<std::int64_t> expected(
          constants.aligned_weights.begin() + o * constants.fan_in,
          constants.aligned_weights.begin() + (o + 1) * constants.fan_in);
      expected.push_back(constants.aligned_bias.empty() ? 0 : constants.aligned_bias[at(o)]);
      const int finer = grid_change(expected, found);
      for (std::int64_t k = 0; k <= constants.fan_in; ++k) {
        checked_ += 1;
        if (is_scaled(expected[at(k)], found[at(k)], finer)) continue;
        const std::string what =
            k == constants.fan_in ? fmt::format("bias of channel {}", o) : weight_name(o, k);
        throw Difference{op.node, fmt::format("layer '{}': {}: expected {}, found {}", op.node,
                                              what, expected[at(k)], found[at(k)])};
      }
      Int128 lo = found.back(), hi = found.back();
      for (std::int64_t k = 0; k < constants.fan_in; ++k) {
        const Int128 a = Int128{found[at(k)]} * input_format.lo,
                     b = Int128{found[at(k)]} * input_format.hi;
        lo += std::min<Int128>({a, b, 0});  // 0: positions in the padding
        hi += std::max<Int128>({a, b, 0});
      }
      if (lo < INT32_MIN || hi > INT32_MAX)
        throw Difference{
            op.node,
            fmt::format("layer '{}': the accumulator of channel {} can leave 32 bits", op.node, o)};
      for (std::int64_t i = 0; i < plane; ++i) {
        before.push_back(constants.accumulator_decimals[at(o)] + finer,
                         static_cast<std::int64_t>(lo), static_cast<std::int64_t>(hi));
      }
    }
    check_post(op, chain, 1, before, output);
  }

  // found == expected * 2^finer.
  static bool is_scaled(std::int64_t expected, std::int64_t found, int finer) {
    if (expected == 0 || found == 0) return expected == found;
    Int128 a = expected, b = found;
    (finer > 0 ? a : b) *= Int128{1} << std::abs(finer);
    return a == b;
  }

  // By how many bits the channel's grid is finer than the canonical one: 0 unless all its numbers
  // agree on another.
  static int grid_change(const std::vector<std::int64_t>& expected,
                         const std::vector<std::int64_t>& found) {
    const auto agree = [&](int finer) {
      for (std::size_t k = 0; k < expected.size(); ++k)
        if (!is_scaled(expected[k], found[k], finer)) return false;
      return true;
    };
    for (std::size_t k = 0; k < expected.size(); ++k) {
      if (expected[k] == 0 || found[k] == 0) continue;
      const int finer = std::countr_zero(static_cast<std::uint64_t>(found[k])) -
                        std::countr_zero(static_cast<std::uint64_t>(expected[k]));
      return agree(finer) ? finer : 0;
    }
    return 0;
  }

  void check_max_pool2d(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                        const VisibleTensor& output) {
    expect_first_op(op, chain, "max_pool2d");
    if (!only_identities(chain, 1))
      throw Difference{
          op.node, fmt::format("layer '{}': its operator writes '{}', which is more than a pooling",
                               op.node, output.name)};
    expect_map(op, chain, input);
    const Node& node = *chain.front();
    const SlidingWindow window = sliding_window(node);
    const std::vector<std::int64_t>& shape = network_.format(node.name).shape;
    const auto reach = [](std::int64_t extent, std::int64_t stride, std::int64_t kernel,
                          std::int64_t dilation, std::int64_t pad, std::int64_t size) {
      return std::max(pad, (extent - 1) * stride + dilation * (kernel - 1) + 1 - size - pad);
    };
    check_window(op, node,
                 {reach(shape[1], window.stride.height, window.kernel.height,
                        window.dilation.height, window.padding.height, input.height),
                  reach(shape[2], window.stride.width, window.kernel.width, window.dilation.width,
                        window.padding.width, input.width)});
    expect<std::int64_t>(op.node, "output channels", shape[0], output.channels);
    expect<std::int64_t>(op.node, "output height", shape[1], output.height);
    expect<std::int64_t>(op.node, "output width", shape[2], output.width);
    pass_on_pooled(op, input, output);
  }

  void check_transpose(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                       const VisibleTensor& output) {
    expect_first_op(op, chain, "flatten");
    if (!only_identities(chain, 1))
      throw Difference{
          op.node, fmt::format("layer '{}': its operator writes '{}', which is more than a flatten",
                               op.node, output.name)};
    expect(op.node, "number of elements", input.element_count(), output.element_count());
    expect<std::int64_t>(op.node, "output channels", input.element_count(), output.channels);
    pass_on_moved(op, output);
  }

  void check_requantize(const PlanOp& op, const Chain& chain, const VisibleTensor& input,
                        const VisibleTensor& output) {
    expect<std::int64_t>(op.node, "channels of its input", output.channels, input.channels);
    expect<std::int64_t>(op.node, "height of its input", output.height, input.height);
    expect<std::int64_t>(op.node, "width of its input", output.width, input.width);
    check_post(op, chain, 0, held_[op.inputs[0]], output);
  }

  // What a pooling passes on: the decimal that the whole channel shares, and the range over it.
  void pass_on_pooled(const PlanOp& op, const VisibleTensor& input, const VisibleTensor& output) {
    if (!held_[op.output].decimals.empty()) return;  // codes: check_tensor has compared them
    const ElementFacts& facts = held_[op.inputs[0]];
    const std::int64_t in_plane = input.height * input.width;
    const std::int64_t out_plane = output.height * output.width;
    for (std::int64_t c = 0; c < output.channels; ++c) {
      const std::int64_t first = c * in_plane;
      const int decimal = facts.decimals[at(first)];
      std::int64_t lo = facts.lo[at(first)], hi = facts.hi[at(first)];
      for (std::int64_t e = first; e < first + in_plane; ++e) {
        if (facts.decimals[at(e)] != decimal)
          throw NotUnderstood{fmt::format(
              "operator '{}' of the plan pools accumulators of different decimals", op.node)};
        lo = std::min(lo, facts.lo[at(e)]);
        hi = std::max(hi, facts.hi[at(e)]);
      }
      for (std::int64_t e = c * out_plane; e < (c + 1) * out_plane; ++e) {
        checked_ += 1;
        expect_decimal(output, e, decimal);
        held_[op.output].push_back(decimal, lo, hi);
      }
    }
  }

  // What a flatten passes on: everything, because an element keeps its place in (C,H,W) order.
  void pass_on_moved(const PlanOp& op, const VisibleTensor& output) {
    if (!held_[op.output].decimals.empty()) return;  // codes: check_tensor has compared them
    const ElementFacts& facts = held_[op.inputs[0]];
    for (std::int64_t e = 0; e < output.element_count(); ++e) {
      checked_ += 1;
      expect_decimal(output, e, facts.decimals[at(e)]);
    }
    held_[op.output] = facts;
  }

  // What the graph does between the sums and the output tensor, for one element.
  struct Expected {
    std::vector<PostStep> steps;
    bool keep = true;
    int decimal = 0;  // of the result
  };

  // Masks commute with everything else here, because all other steps leave zero at zero.
  struct ChainMasks {
    std::map<const Node*, std::vector<std::uint8_t>> keep;
  };
  ChainMasks masks_of(const Chain& chain, std::size_t from) const {
    ChainMasks masks;
    for (std::size_t n = from; n < chain.size(); ++n)
      if (chain[n]->op == "prune")
        masks.keep[chain[n]] = spread_mask(*parameters_.of(*chain[n]).mask,
                                           network_.format(chain[n]->name).shape, chain[n]->name);
    return masks;
  }

  Expected expected_of(const PlanOp& op, const Chain& chain, std::size_t from,
                       const ChainMasks& masks, std::int64_t element, int decimal) const {
    Expected result;
    for (std::size_t n = from; n < chain.size(); ++n) {
      const Node& node = *chain[n];
      if (node.op == "relu") {
        result.steps.push_back({0, Rounding::kTowardZero, 0, INT64_MAX});
      } else if (node.op == "quantize") {
        const Format& format = network_.format(node.name);
        result.steps.push_back({decimal - format.decimal(element), node.quantize->rounding,
                                lowest_code(format.bits), highest_code(format.bits)});
        decimal = format.decimal(element);
      } else if (node.op == "prune") {
        result.keep = result.keep && masks.keep.at(&node)[at(element)] != 0;
      } else if (node.op != "dropout" && node.op != "identity" && node.op != "flatten") {
        throw Difference{
            op.node, fmt::format("layer '{}': its operator writes '{}', but leaves out '{}' ({})",
                                 op.node, chain.back()->name, node.name, node.op)};
      }
    }
    result.decimal = decimal;
    return result;
  }

  static std::vector<PostStep> found_steps(const PlanPost& post, std::int64_t channel) {
    if (post.kind == INTRT_POST_NONE) return {};
    const int shift = post.shifts.size() == 1 ? post.shifts[0] : post.shifts.at(at(channel));
    return {{shift, static_cast<Rounding>(post.rounding), post.lo, post.hi}};
  }

  static bool always_zero(const std::vector<PostStep>& steps, std::int64_t lo, std::int64_t hi) {
    return apply_steps(steps, lo) == 0 &&
           apply_steps(steps, hi) == 0;  // it never decreases in between
  }

  // `from`: the first node of the chain that belongs to the post-processing.
  void check_post(const PlanOp& op, const Chain& chain, std::size_t from,
                  const ElementFacts& before, const VisibleTensor& output) {
    if (op.post.kind != INTRT_POST_NONE && op.post.kind != INTRT_POST_SHIFT)
      throw NotUnderstood{
          fmt::format("operator '{}' of the plan has post-processing {}", op.node, op.post.kind)};
    const bool is_accumulator = network_.format(output.name).bits == 0;
    const ChainMasks masks = masks_of(chain, from);
    checked_ +=
        op.post.kind == INTRT_POST_NONE ? 1 : static_cast<std::int64_t>(op.post.shifts.size()) + 4;
    checked_ += static_cast<std::int64_t>(op.post.keep.size());
    std::vector<PostStep> proved_expected,
        proved_found;  // what the element before this one proved equal
    std::array<std::int64_t, 2> proved_range = {1, 0};
    for (std::int64_t e = 0; e < output.element_count(); ++e) {
      const Expected expected = expected_of(op, chain, from, masks, e, before.decimals[at(e)]);
      const std::vector<PostStep> found = found_steps(op.post, place_of(output, e).channel);
      const bool keeps = op.post.keep.empty() || op.post.keep[at(physical_index(output, e))] != 0;
      const std::int64_t lo = before.lo[at(e)], hi = before.hi[at(e)];
      if (is_accumulator) {
        expect_decimal(output, e, expected.decimal);
        held_[op.output].push_back(expected.decimal,
                                   std::min<std::int64_t>(apply_steps(expected.steps, lo), 0),
                                   std::max<std::int64_t>(apply_steps(expected.steps, hi), 0));
      }
      if (keeps != expected.keep && !always_zero(keeps ? found : expected.steps, lo, hi))
        throw Difference{op.node,
                         fmt::format("layer '{}': mask at {}: expected {}, found {}", op.node,
                                     place_text(output, e), expected.keep ? 1 : 0, keeps ? 1 : 0)};
      if (!keeps || !expected.keep) continue;
      if (proved_range == std::array{lo, hi} && proved_expected == expected.steps &&
          proved_found == found)
        continue;
      if (const auto x = find_difference(expected.steps, found, lo, hi))
        throw Difference{op.node, post_difference(op, output, e, expected.steps, found, *x)};
      proved_expected = expected.steps;
      proved_found = found;
      proved_range = {lo, hi};
    }
  }

  // The field that is wrong, where one can be named, and an accumulator that shows it.
  static std::string post_difference(const PlanOp& op, const VisibleTensor& output,
                                     std::int64_t element, const std::vector<PostStep>& expected,
                                     const std::vector<PostStep>& found, std::int64_t x) {
    std::string field;
    PostStep canonical = {0, Rounding::kTowardZero, lowest_code(static_cast<int>(output.bits)),
                          highest_code(static_cast<int>(output.bits))};
    std::size_t rounding_steps = 0;
    bool relu = false;
    for (const PostStep& step : expected) {
      if (step.hi == INT64_MAX) {
        relu = true;
        continue;
      }
      rounding_steps += 1;
      canonical = step;
    }
    if (relu) canonical.lo = 0;
    if (rounding_steps <= 1 && found.size() == 1) {
      const PostStep& step = found[0];
      if (step.drop != canonical.drop)
        field = fmt::format("shift: expected {}, found {}", canonical.drop, step.drop);
      else if (step.lo != canonical.lo)
        field = fmt::format("lower limit: expected {}, found {}", canonical.lo, step.lo);
      else if (step.hi != canonical.hi)
        field = fmt::format("upper limit: expected {}, found {}", canonical.hi, step.hi);
      else if (step.rounding != canonical.rounding)
        field = fmt::format("rounding: expected {}, found {}", rounding_name(canonical.rounding),
                            rounding_name(step.rounding));
    }
    return fmt::format("layer '{}': {}: {}{}accumulator {} must become {}, but becomes {}", op.node,
                       place_text(output, element), field, field.empty() ? "" : "; ", x,
                       apply_steps(expected, x), apply_steps(found, x));
  }

  const ExactNetwork& network_;
  const Graph& graph_;
  const Parameters& parameters_;
  const OpenPlan& plan_;
  std::vector<VisibleTensor> tensors_;
  std::vector<ElementFacts> held_;  // per tensor; empty until known
  std::vector<bool> made_;          // per tensor: an input, or already computed
  std::int64_t checked_ = 0;
};

}  // namespace

ConstantsResult check_constants(const ExactNetwork& network, const Parameters& parameters,
                                const OpenPlan& plan) {
  return ConstantsCheck(network, parameters, plan).run();
}

}  // namespace lockstep::verify
