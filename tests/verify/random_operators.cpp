#include "tests/verify/random_operators.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>

#include "compile/graph/shapes.h"
#include "compile/support/error.h"
#include "tests/compile/random_network.h"

namespace lockstep::test {
namespace {

using Shape = std::vector<std::int64_t>;

struct Value {
  std::string name;
  Shape shape;
  bool is_quantized = false;
};

class Builder {
 public:
  explicit Builder(std::uint64_t seed) : random_(seed) {}

  OperatorNetwork build() {
    add_inputs();
    const std::int64_t steps = random_.between(3, 9);
    for (std::int64_t i = 0; i < steps; ++i) {
      step();
      if (random_.chance(70) && !current_.is_quantized) quantize();
      values_.push_back(current_);
    }
    finish();
    network_.graph = parse();
    for (const Node& node : network_.graph.nodes) network_.parameters.nodes[node.name];
    return std::move(network_);
  }

 private:
  std::int64_t pick(std::int64_t lo, std::int64_t hi) { return random_.between(lo, hi); }
  std::int64_t channels() const { return current_.shape[0]; }
  std::size_t rank() const { return current_.shape.size(); }

  Graph parse() const {
    return parse_graph(
        fmt::format(R"({{"format":"lockstep-graph","version":1,"name":"random","inputs":[{}],)"
                    R"("nodes":[{}],"outputs":["{}"]}})",
                    fmt::join(inputs_, ","), fmt::join(nodes_, ","), current_.name),
        "random");
  }

  void add_inputs() {
    const Shape shapes[] = {{4, 6, 6}, {3, 5, 8}, {1, 8, 8}, {4, 12}, {6, 9}, {8}, {12}};
    const std::int64_t count = pick(1, 2);
    const Shape shape = shapes[static_cast<std::size_t>(pick(0, 6))];
    for (std::int64_t i = 0; i < count; ++i) {
      current_ = {fmt::format("in{}", i), shape, true};
      inputs_.push_back(fmt::format(R"({{"name":"{}","shape":[{}],"bits":{},"decimal":{}}})",
                                    current_.name, fmt::join(shape, ","), pick(4, 8), pick(1, 6)));
      values_.push_back(current_);
    }
  }

  // Adds a node that reads `inputs`; its shape is what the graph library says of it. Adds none
  // where that says that it does not fit.
  NodeParameters& add(const std::string& op, const std::vector<std::string>& inputs,
                      const std::string& attributes, const std::string& wrap = "") {
    const std::string name = fmt::format("{}_{}", op, nodes_.size());
    std::vector<std::string> quoted;
    for (const std::string& input : inputs) quoted.push_back('"' + input + '"');
    nodes_.push_back(fmt::format(R"({{"name":"{}","op":"{}","inputs":[{}],"attrs":{{{}}}{}}})",
                                 name, op, fmt::join(quoted, ","), attributes,
                                 wrap.empty() ? "" : R"(,"wrap":[)" + wrap + "]"));
    const Value before = current_;
    current_ = {name, {}, false};
    try {
      current_.shape = infer_shapes(parse(), "random").at(name);
    } catch (const InputError&) {  // a window that does not fit, for example
      nodes_.pop_back();
      current_ = before;
      return nobody_;
    }
    return network_.parameters.nodes[name];
  }
  NodeParameters& add(const std::string& op, const std::string& attributes = "",
                      const std::string& wrap = "") {
    return add(op, {current_.name}, attributes, wrap);
  }

  std::vector<int> decimals(std::int64_t count, int lo, int hi) {
    std::vector<int> result;
    const auto middle = pick(lo, hi);
    for (std::int64_t i = 0; i < count; ++i)
      result.push_back(static_cast<int>(middle + (count > 1 ? pick(-1, 1) : 0)));
    return result;
  }

  void quantize() {
    const bool is_per_channel = random_.chance(50);
    const char* const modes[] = {"toward_zero", "floor", "half_even"};
    const std::int64_t count = is_per_channel ? channels() : 1;
    NodeParameters& parameters =
        add("quantize", fmt::format(R"("channelwise":{},"rounding":"{}")", is_per_channel ? 1 : -1,
                                    modes[pick(0, 2)]));
    parameters.quantize = QuantizeParameters{decimals(count, 0, 5), static_cast<int>(pick(4, 8))};
    current_.is_quantized = true;
  }
  void require_quantized() {
    if (!current_.is_quantized && random_.chance(95)) quantize();
  }

  MaskParameters mask(const Shape& shape) {
    MaskParameters result = {shape, {}};
    std::int64_t count = 1;
    for (std::int64_t& size : result.shape) {
      if (random_.chance(25)) size = 1;
      count *= size;
    }
    for (std::int64_t i = 0; i < count; ++i) result.keep.push_back(random_.chance(70) ? 1 : 0);
    return result;
  }

  void weigh(NodeParameters& parameters, Shape shape, std::int64_t outputs, std::int64_t axis,
             int bias_kind) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    const int middle = static_cast<int>(pick(3, 6));
    for (std::int64_t i = 0; i < count; ++i)
      parameters.weight.push_back(random_.real(std::ldexp(80.0F, -middle)));
    QuantizeParameters quantized = {{}, static_cast<int>(pick(5, 8))};
    const std::int64_t entries = axis < 0 ? 1 : shape[static_cast<std::size_t>(axis)];
    for (std::int64_t i = 0; i < entries; ++i)
      quantized.decimals.push_back(middle + static_cast<int>(pick(-1, 1)));
    parameters.weight_quantize = quantized;
    if (bias_kind > 0)
      for (std::int64_t o = 0; o < outputs; ++o) parameters.bias.push_back(random_.real(3));
    if (bias_kind == 1) parameters.bias_quantize = QuantizeParameters{decimals(outputs, 3, 8), 12};
    parameters.weight_shape = std::move(shape);
  }

  void linear_layer() {
    require_quantized();
    const std::int64_t in = channels();
    // 0: no bias, 1: quantized, 2: float.
    const auto bias_kind = static_cast<int>(pick(0, 2));
    const std::string bias = fmt::format(R"("bias":{})", bias_kind > 0 ? "true" : "false");
    const auto axis = static_cast<std::int64_t>(pick(-1, 1));
    const std::string wrap = fmt::format(R"({{"type":"quantize","channelwise":{}{}}})", axis,
                                         bias_kind == 1 ? R"(,"bias_bits":12)" : "");
    if (rank() == 1) {
      const std::int64_t out = pick(1, 9);
      weigh(add("linear", fmt::format(R"("in_features":{},"out_features":{},{})", in, out, bias),
                wrap),
            {out, in}, out, axis, bias_kind);
      return;
    }
    const bool transposed = random_.chance(40);
    const std::int64_t groups = in % 2 == 0 && random_.chance(30) ? 2 : 1;
    const std::int64_t out = groups * pick(1, 3);
    const std::int64_t kernel = pick(1, 3);
    std::string attributes = fmt::format(
        R"("in_channels":{},"out_channels":{},"kernel_size":{},"stride":{},"padding":{},"dilation":{},"groups":{},{})",
        in, out, kernel, pick(1, 2), transposed ? pick(0, 1) : pick(0, 2), pick(1, 2), groups,
        bias);
    Shape shape = {transposed ? in : out, (transposed ? out : in) / groups};
    for (std::size_t d = 1; d < rank(); ++d) shape.push_back(kernel);
    const std::string name = fmt::format("conv{}{}d", transposed ? "_transpose" : "", rank() - 1);
    weigh(add(name, attributes, wrap), shape, out, axis, bias_kind);
  }

  void pooling() {
    const std::size_t axes = rank() - 1;
    if (axes == 0) return activation();
    const std::string suffix = fmt::format("{}d", axes);
    if (random_.chance(40)) {
      add("max_pool" + suffix, fmt::format(R"("kernel_size":{},"stride":{},"padding":{})",
                                           pick(2, 3), pick(1, 2), pick(0, 1)));
    } else if (random_.chance(70)) {
      require_quantized();
      add("avg_pool" + suffix,
          fmt::format(
              R"("kernel_size":{},"stride":{},"padding":{},"ceil_mode":{},"count_include_pad":{})",
              pick(2, 3), pick(1, 2), pick(0, 1), random_.chance(50), random_.chance(50)));
    } else {
      require_quantized();
      add("adaptive_avg_pool" + suffix, fmt::format(R"("output_size":{})", pick(1, 3)));
    }
  }

  void moving() {
    const std::int64_t axis = pick(1, static_cast<std::int64_t>(rank()));
    const Shape& shape = current_.shape;
    switch (pick(0, 8)) {
      case 0:
        if (rank() == 3 && shape[0] % 4 == 0)
          return void(add("pixel_shuffle", R"("upscale_factor":2)"));
        [[fallthrough]];
      case 1:
        if (rank() == 3 && shape[1] % 2 == 0 && shape[2] % 2 == 0)
          return void(add("pixel_unshuffle", R"("downscale_factor":2)"));
        [[fallthrough]];
      case 2:
        if (rank() == 3 && random_.chance(50)) {
          require_quantized();
          return void(add("upsample", R"("scale_factor":[2,1],"mode":"bilinear")"));
        }
        if (rank() > 1) return void(add("upsample", R"("scale_factor":2)"));
        [[fallthrough]];
      case 3:
        if (rank() > 1) {
          const char* const modes[] = {"zeros", "reflect", "replicate"};
          const std::int64_t most = shape.back() > 1 ? 1 : 0;
          return void(add("pad", fmt::format(R"("padding":[{},{}],"mode":"{}")", pick(0, most),
                                             most, modes[pick(0, 2)])));
        }
        [[fallthrough]];
      case 4:
        return void(
            add("transpose", fmt::format(R"("dim0":{},"dim1":{})",
                                         pick(1, static_cast<std::int64_t>(rank())), axis)));
      case 5:
        return void(add("slice", fmt::format(R"("dim":{},"start":{},"step":{})", axis,
                                             shape[static_cast<std::size_t>(axis - 1)] > 2 ? 1 : 0,
                                             pick(1, 2))));
      case 6:
        return void(add("flatten"));
      case 7:
        return void(add("reshape", fmt::format(R"("shape":[{},-1])", shape.back())));
      default:
        return void(add("concat", {current_.name, like_current(), current_.name},
                        fmt::format(R"("dim":{})", axis)));
    }
  }

  // Another value of the same shape, or the current one.
  std::string like_current() {
    std::vector<std::string> names = {current_.name};
    for (const Value& value : values_)
      if (value.shape == current_.shape) names.push_back(value.name);
    return names[static_cast<std::size_t>(pick(0, static_cast<std::int64_t>(names.size()) - 1))];
  }

  void two_inputs() {
    require_quantized();
    const char* const ops[] = {"add", "sub", "mul"};
    const std::string first = current_.name;
    std::string second = like_current();
    if (random_.chance(30)) {
      const Value kept = current_;
      add("slice", std::vector<std::string>{second}, R"("end":1)");
      second = current_.name;
      current_ = kept;
    }
    add(ops[pick(0, 2)], {first, second}, "");
  }

  void activation() {
    const std::pair<const char*, const char*> ops[] = {{"relu", ""},
                                                       {"relu6", ""},
                                                       {"leaky_relu", R"("negative_slope":0.2)"},
                                                       {"hard_sigmoid", ""},
                                                       {"hard_swish", ""},
                                                       {"tanh", ""},
                                                       {"sigmoid", ""},
                                                       {"gelu", ""},
                                                       {"silu", ""},
                                                       {"elu", R"("alpha":0.8)"},
                                                       {"softplus", R"("beta":1.5)"}};
    const auto& [op, attributes] = ops[pick(0, 10)];
    const bool was_quantized = current_.is_quantized;
    add(op, attributes);
    current_.is_quantized = was_quantized && std::string_view(op) == "relu";
  }

  void batch_norm() {
    const std::int64_t count = channels();
    NodeParameters& parameters = add(rank() == 3 ? "batch_norm2d" : "batch_norm1d",
                                     fmt::format(R"("num_features":{})", count));
    BatchNormParameters norm;
    for (std::int64_t c = 0; c < count; ++c) {
      norm.weight.push_back(random_.real(2));
      norm.bias.push_back(random_.real(2));
      norm.running_mean.push_back(random_.real(2));
      norm.running_var.push_back(0.3F + std::fabs(random_.real(2)));
    }
    parameters.batch_norm = norm;
  }

  void step() {
    const std::int64_t kind = pick(0, 9);
    if (kind <= 2) return linear_layer();
    if (kind == 3) return pooling();
    if (kind <= 5) return moving();
    if (kind == 6) return two_inputs();
    if (kind == 7) return activation();
    if (kind == 8) return batch_norm();
    const bool was_quantized = current_.is_quantized;
    if (random_.chance(60)) {
      const MaskParameters kept = mask(current_.shape);
      add("prune").mask = kept;
    } else {
      add(random_.chance(50) ? "dropout" : "identity");
    }
    current_.is_quantized = was_quantized;
  }

  void finish() {
    if (random_.chance(10)) {
      require_quantized();
      add("argmax");
    } else if (!current_.is_quantized && random_.chance(80)) {
      quantize();
    }
    if (random_.chance(10)) add("softmax");
  }

  Random random_;
  OperatorNetwork network_;
  NodeParameters nobody_;  // those of nodes that were not added
  std::vector<std::string> inputs_, nodes_;
  std::vector<Value> values_;
  Value current_;
};

}  // namespace

OperatorNetwork random_operators(std::uint64_t seed) { return Builder(seed).build(); }

}  // namespace lockstep::test
