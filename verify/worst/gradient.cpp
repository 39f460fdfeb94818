#include "verify/worst/gradient.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "verify/semantics/index.h"
#include "verify/semantics/move.h"

namespace lockstep::verify {
namespace {

// Each element of the result is a function of the one element at its place.
bool is_in_place(const Node& node) {
  constexpr std::string_view kOps[] = {
      "relu",  "relu6",   "leaky_relu", "hard_sigmoid", "hard_swish",   "tanh",         "sigmoid",
      "gelu",  "silu",    "elu",        "softplus",     "batch_norm1d", "batch_norm2d", "quantize",
      "prune", "flatten", "dropout",    "identity",     "softmax",      "log_softmax"};
  return std::ranges::find(kOps, node.op) != std::end(kOps);
}

// Where the value changes at all, it changes as much as its argument.
bool is_clamp(const Node& node) {
  return node.op == "quantize" || node.op == "relu" || node.op == "relu6";
}

// An end of the values that an element can have, as Values hold it.
std::int64_t end_of(const Format& format, std::int64_t element, bool upper) {
  if (format.real) {
    const FloatRange range = format.source(element).range;
    return real_to_bits(upper ? range.hi : range.lo);
  }
  const CodeRange range = format.range(element);
  return upper ? range.hi : range.lo;
}

}  // namespace

struct Gradient::Step {
  const Node& node;
  const SampleValues& values;
  const Wishes& wishes;         // of the node's value
  std::vector<Wishes*> inputs;  // with an entry per element each; one per input of the node

  const std::vector<std::int64_t>& input(std::size_t i) const {
    return values.find(node.inputs[i])->second;
  }
  template <typename Visit>  // visit(element, wish)
  void each(const Visit& visit) const {
    for (std::size_t e = 0; e < wishes.size(); ++e)
      if (wishes[e] != 0) visit(static_cast<std::int64_t>(e), wishes[e]);
  }
};

std::vector<std::vector<double>> Gradient::of_fed(const SumLayer& layer, const Ancestors& ancestors,
                                                  const SampleValues& values, const Wish& wish,
                                                  std::int64_t& work) {
  std::map<std::string, Wishes, std::less<>> wishes;
  const auto wishes_of = [&](const std::string& name) -> Wishes& {
    Wishes& result = wishes[name];
    result.resize(at(network_.format(name).element_count()));
    return result;
  };
  Wishes& read = wishes_of(layer.node().inputs[0]);
  for (const std::int64_t position : wish.positions)
    layer.each_coefficient(wish.channel, position, [&](std::int64_t element, double coefficient) {
      read[at(element)] += wish.largest ? coefficient : -coefficient;
    });
  work += layer.fan_in() * std::ssize(wish.positions);
  for (auto node = ancestors.nodes().rbegin(); node != ancestors.nodes().rend(); ++node) {
    const auto found = wishes.find((*node)->name);
    if (found == wishes.end()) continue;
    if (wish.only_open)
      drop_satisfied((*node)->name, values.find((*node)->name)->second, found->second);
    Step step = {**node, values, found->second, {}};
    for (const std::string& input : (*node)->inputs) step.inputs.push_back(&wishes_of(input));
    work += std::ssize(found->second);
    pass_on(step, work);
    wishes.erase(found);
  }
  std::vector<std::vector<double>> result;
  // A code of a raw input grows with its byte.
  for (const GraphInput& input : network_.graph().inputs)
    result.push_back(std::move(wishes_of(input.name)));
  return result;
}

void Gradient::drop_satisfied(const std::string& name, const std::vector<std::int64_t>& values,
                              Wishes& wishes) const {
  const Format& format = network_.format(name);
  for (std::size_t e = 0; e < wishes.size(); ++e)
    if (wishes[e] != 0 && values[e] == end_of(format, static_cast<std::int64_t>(e), wishes[e] > 0))
      wishes[e] = 0;
}

// Behind an argmax nothing is wished of anything.
void Gradient::pass_on(const Step& step, std::int64_t& work) {
  const Node& node = step.node;
  if (network_.constants(node.name) != nullptr) return pass_products(step, work);
  if (is_in_place(node)) return pass_in_place(step);
  if (!network_.moves(node.name).empty()) return pass_moves(step);
  if (node.op == "add" || node.op == "sub" || node.op == "mul") return pass_pairs(step);
  if (node.op.starts_with("max_pool")) return pass_max_pool(step);
  if (node.op.find("avg_pool") != std::string::npos) return pass_mean(step);
  if (node.op == "upsample") return pass_bilinear(step);
}

void Gradient::pass_products(const Step& step, std::int64_t& work) {
  if (fast_.has(step.node)) {
    fast_.pass_back(step.node, step.wishes, *step.inputs[0]);
    work += network_.constants(step.node.name)->fan_in * std::ssize(step.wishes);
    return;
  }
  std::unique_ptr<SumLayer>& layer = layers_[step.node.name];
  if (!layer) layer = std::make_unique<SumLayer>(network_, step.node);
  step.each([&](std::int64_t e, double wish) {
    layer->each_coefficient(e / layer->positions(), e % layer->positions(),
                            [&](std::int64_t element, double coefficient) {
                              (*step.inputs[0])[at(element)] += wish * coefficient;
                            });
    work += layer->fan_in();
  });
}

const std::vector<float>& Gradient::slopes(const Node& node) {
  const auto found = slopes_.find(node.name);
  if (found != slopes_.end()) return found->second;
  const Format &input = network_.format(node.inputs[0]), &output = network_.format(node.name);
  const std::int64_t count = output.element_count();
  std::vector<std::int64_t> argument[2], value[2];
  for (std::size_t upper = 0; upper < 2; ++upper) {
    for (std::int64_t e = 0; e < count; ++e)
      argument[upper].push_back(end_of(input, e, upper == 1));
    value[upper].resize(at(count));
    network_.run_node(node.name, argument[upper], value[upper]);
  }
  std::vector<float> result;
  for (std::int64_t e = 0; e < count; ++e) {
    const auto difference = [e](const Format& format, const std::vector<std::int64_t>* ends) {
      return value_of(format, e, ends[1][at(e)]) - value_of(format, e, ends[0][at(e)]);
    };
    const double run = difference(input, argument), rise = difference(output, value);
    const double slope = run == 0 || rise == 0 ? 0 : is_clamp(node) ? 1 : rise / run;
    result.push_back(static_cast<float>(slope));
  }
  return slopes_[node.name] = std::move(result);
}

void Gradient::pass_in_place(const Step& step) {
  const std::vector<float>& slope = slopes(step.node);
  step.each([&](std::int64_t e, double wish) {
    (*step.inputs[0])[at(e)] += wish * double{slope[at(e)]};
  });
}

void Gradient::pass_moves(const Step& step) {
  const std::span<const MovedElement> moves = network_.moves(step.node.name);
  step.each([&](std::int64_t e, double wish) {
    const MovedElement& from = moves[at(e)];
    if (!from.zero) (*step.inputs[from.input])[at(from.element)] += wish;
  });
}

void Gradient::pass_pairs(const Step& step) {
  const Format& output = network_.format(step.node.name);
  const Format* const inputs[] = {&network_.format(step.node.inputs[0]),
                                  &network_.format(step.node.inputs[1])};
  step.each([&](std::int64_t e, double wish) {
    std::int64_t element[2];
    double value[2];
    for (std::size_t i = 0; i < 2; ++i) {
      std::vector<std::int64_t> places = places_of(e, output.shape);
      for (std::size_t d = 0; d < places.size(); ++d)
        if (inputs[i]->shape[d] == 1) places[d] = 0;
      element[i] = element_at(places, inputs[i]->shape);
      value[i] = value_of(*inputs[i], element[i], step.input(i)[at(element[i])]);
    }
    // A factor that happens to be 0 does not silence the other one.
    const auto factor = [&](std::size_t i) {
      if (step.node.op != "mul") return 1.0;
      return value[i] != 0 ? value[i]
                           : value_of(*inputs[i], element[i], end_of(*inputs[i], element[i], true));
    };
    (*step.inputs[0])[at(element[0])] += wish * factor(1);
    (*step.inputs[1])[at(element[1])] += (step.node.op == "sub" ? -wish : wish) * factor(0);
  });
}

// To grow, the largest of a window has to; to shrink, all of them.
void Gradient::pass_max_pool(const Step& step) {
  const Format &input = network_.format(step.node.inputs[0]),
               &output = network_.format(step.node.name);
  const SlidingWindow window = sliding_window(step.node);
  const HeightWidth in = spatial_extent(step.node, input.shape, window.axes),
                    out = spatial_extent(step.node, output.shape, window.axes);
  step.each([&](std::int64_t e, double wish) {
    const std::int64_t plane = e / (out.height * out.width) * in.height * in.width;
    const std::int64_t y = e / out.width % out.height, x = e % out.width;
    std::int64_t largest = -1;
    for (std::int64_t ky = 0; ky < window.kernel.height; ++ky)
      for (std::int64_t kx = 0; kx < window.kernel.width; ++kx) {
        const std::int64_t row =
            y * window.stride.height + ky * window.dilation.height - window.padding.height;
        const std::int64_t column =
            x * window.stride.width + kx * window.dilation.width - window.padding.width;
        if (row < 0 || row >= in.height || column < 0 || column >= in.width) continue;
        const std::int64_t element = plane + row * in.width + column;
        if (wish < 0) (*step.inputs[0])[at(element)] += wish;
        const auto value = [&](std::int64_t i) { return value_of(input, i, step.input(0)[at(i)]); };
        if (largest < 0 || value(element) > value(largest)) largest = element;
      }
    if (wish > 0 && largest >= 0) (*step.inputs[0])[at(largest)] += wish;
  });
}

void Gradient::pass_mean(const Step& step) {
  const std::vector<std::int64_t>& shape = network_.format(step.node.inputs[0]).shape;
  const HeightWidth in = spatial_extent(step.node, shape, shape.size() - 1);
  const MeanWindows windows = mean_windows(step.node, in);
  const std::int64_t columns = std::ssize(windows.columns), rows = std::ssize(windows.rows);
  step.each([&](std::int64_t e, double wish) {
    const std::int64_t plane = e / (rows * columns) * in.height * in.width;
    const MeanSpan &row = windows.rows[at(e / columns % rows)],
                   &column = windows.columns[at(e % columns)];
    const double share = wish * static_cast<double>(row.multiplier * column.multiplier) /
                         static_cast<double>(windows.divisor);
    for (std::int64_t y = row.begin; y < row.end; ++y)
      for (std::int64_t x = column.begin; x < column.end; ++x)
        (*step.inputs[0])[at(plane + y * in.width + x)] += share;
  });
}

// To the input element that weighs most.
void Gradient::pass_bilinear(const Step& step) {
  const std::vector<std::int64_t>&in = network_.format(step.node.inputs[0]).shape,
        &out = network_.format(step.node.name).shape;
  step.each([&](std::int64_t e, double wish) {
    std::vector<std::int64_t> places = places_of(e, out);
    for (std::size_t d = 1; d < places.size(); ++d) places[d] /= out[d] / in[d];
    (*step.inputs[0])[at(element_at(places, in))] += wish;
  });
}

}  // namespace lockstep::verify
