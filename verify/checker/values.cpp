#include "verify/checker/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "verify/checker/sums.h"

namespace lockstep::checker {
namespace {

constexpr Int kLimit = Int{1} << 62;

std::size_t at(Int i) { return static_cast<std::size_t>(i); }

Step float_step(Fn fn, float a = 0, float b = 0) {
  Step step;
  step.kind = Step::Kind::kFloat;
  step.fn = fn;
  step.a = a;
  step.b = b;
  return step;
}

Step quantize_step(int decimal, int bits, Rounding rounding) {
  Step step;
  step.kind = Step::Kind::kQuantize;
  step.decimal = decimal;
  step.bits = bits;
  step.rounding = rounding;
  return step;
}

// The float functions that a node is, for one channel.
std::optional<Step> float_function(const Node& node, Int channel) {
  static const std::map<std::string, Fn, std::less<>> kFunctions = {
      {"hard_sigmoid", Fn::kHardSigmoid},
      {"hard_swish", Fn::kHardSwish},
      {"tanh", Fn::kTanh},
      {"sigmoid", Fn::kSigmoid},
      {"silu", Fn::kSilu},
      {"gelu", Fn::kGelu},
      {"leaky_relu", Fn::kLeakyRelu},
      {"elu", Fn::kElu},
      {"softplus", Fn::kSoftplus}};
  if (node.op.starts_with("batch_norm"))
    return float_step(Fn::kAffine, node.scale[at(channel)], node.offset[at(channel)]);
  const auto found = kFunctions.find(node.op);
  if (found == kFunctions.end()) return std::nullopt;
  const auto number = [&](const char* name) {
    const auto entry = node.numbers.find(name);
    return entry == node.numbers.end() ? 0.0F : static_cast<float>(entry->second);
  };
  const float a = number(node.op == "leaky_relu" ? "negative_slope"
                         : node.op == "elu"      ? "alpha"
                                                 : "beta");
  return float_step(found->second, a, number("threshold"));
}

// The index along axis 0 (channels), 1 or 2 of an element.
Int along(const Shape& shape, Int element, std::size_t axis) {
  if (axis == 0) return element / (shape.h * shape.w);
  return axis == 1 && shape.rank == 3 ? element / shape.w % shape.h : element % shape.w;
}

// Whether a mask keeps each element; a mask that is not strict is repeated as often as it fits, in
// the middle, and keeps everything outside.
std::vector<bool> spread(const Node& node, const Shape& shape) {
  const Mask& mask = *node.mask;
  if (mask.shape.size() != shape.rank)
    fail_unknown(node.name, "shapes", "its mask has another number of axes than its input");
  const Shape small = shape_of(mask.shape);
  std::vector<bool> keep(at(shape.count()), true);
  std::array<Int, 3> size = {shape.c, shape.h, shape.w}, tile = {small.c, small.h, small.w};
  std::array<Int, 3> covered{}, first{};
  for (std::size_t d = 0; d < 3; ++d) {
    if (mask.strict && tile[d] != size[d] && tile[d] != 1)
      fail_unknown(node.name, "shapes", "its mask has another shape than its input");
    covered[d] = size[d] / tile[d] * tile[d];
    first[d] = (size[d] - covered[d]) / 2;
  }
  if (std::ranges::find(covered, 0) != covered.end()) return keep;
  const auto inside = [&](std::size_t d, Int i) {
    return i >= first[d] && i < first[d] + covered[d];
  };
  Int e = 0;
  for (Int c = 0; c < shape.c; ++c)
    for (Int y = 0; y < shape.h; ++y)
      for (Int x = 0; x < shape.w; ++x, ++e)
        if (inside(0, c) && inside(1, y) && inside(2, x))
          keep[at(e)] = mask.keep[at(small.index((c - first[0]) % small.c, (y - first[1]) % small.h,
                                                 (x - first[2]) % small.w))] != 0;
  return keep;
}

// float32 has exponents for 2^24 steps of 2^-decimal.
void require_float_grid(const Node& node, int decimal) {
  if (decimal < -100 || decimal > 149)
    fail_unknown(node.name, "float exact",
                 fmt::format("float32 does not reach the grid of its values, decimal {}", decimal));
}

}  // namespace

void fail_unknown(const std::string& layer, const std::string& obligation,
                  const std::string& reason) {
  throw Failure{true, layer, obligation, fmt::format("layer '{}': {}", layer, reason)};
}

Shape shape_of(const std::vector<Int>& dims) {
  Shape shape{dims.size(), dims[0], 1, 1};
  if (dims.size() == 2) shape.w = dims[1];
  if (dims.size() == 3) {
    shape.h = dims[1];
    shape.w = dims[2];
  }
  return shape;
}

bool is_same_value(const Element& a, const Element& b) {
  return a.is_same(b) || (a.is_constant() && b.is_constant() &&
                          equal(GraphValues::constant(a), GraphValues::constant(b)));
}

GraphValues::GraphValues(const Model& model) : model_(model) {
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    shapes_.push_back(shape_of(model.inputs[i].shape));
    elements_.push_back(input_elements(model.inputs[i], i));
    names_[model.inputs[i].name] = i;
    float_bounds_.emplace_back();
  }
  for (const Node& node : model.nodes) {
    const std::size_t value = shapes_.size();
    names_[node.name] = value;
    shapes_.push_back(shapes_[node.inputs[0]]);
    float_bounds_.emplace_back();
    try {
      elements_.push_back(evaluate(node, value));
    } catch (Failure& failure) {
      if (!failure.layer.empty()) throw;
      fail_unknown(node.name, failure.obligation, failure.text);
    }
  }
}

std::optional<std::size_t> GraphValues::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

const Elements& GraphValues::fed(std::size_t input) const {
  const auto found = bytes_.find(input);
  return found == bytes_.end() ? elements_[input] : found->second;
}

Elements GraphValues::input_elements(const Input& input, std::size_t value) {
  const Shape& shape = shapes_[value];
  const Int half = Int{1} << (input.bits - 1);
  Elements elements;
  for (Int e = 0; e < shape.count(); ++e)
    elements.push_back({static_cast<std::int32_t>(value), static_cast<std::int32_t>(e), 0,
                        input.raw ? 0 : input.decimal, input.raw ? 0 : -half,
                        input.raw ? 255 : half - 1});
  if (!input.raw) return elements;
  bytes_[value] = elements;
  for (Int e = 0; e < shape.count(); ++e) {
    const auto of = [&](const auto& list) {
      return list[list.size() == 1 ? 0 : at(along(shape, e, 0))];
    };
    Step scaled = float_step(Fn::kByteScale);
    scaled.scale = of(input.raw->scale);
    Element& element = elements[at(e)];
    element = after(element, scaled);
    element = after(element, float_step(Fn::kAdd, -of(input.raw->mean)));
    element = after(element, float_step(Fn::kDivide, of(input.raw->std)));
    element = after(element, quantize_step(input.decimal, input.bits, Rounding::kTowardZero));
  }
  return elements;
}

Element GraphValues::after_exact(const Element& element, const Step& step) {
  Element result = element;
  result.chain = chains_.extend(element.chain, step);
  const bool is_code = step.kind == Step::Kind::kQuantize;
  result.decimal =
      is_code ? step.decimal
              : std::max(element.decimal, step.kind == Step::Kind::kRelu6 ? -1 : element.decimal);
  const Int half = is_code ? Int{1} << (step.bits - 1) : kLimit;
  const auto key = std::tuple(element.chain, element.decimal, element.lo, element.hi, step);
  const auto [entry, is_new] = images_.try_emplace(key, -half, half - 1);
  if (is_new) {
    const int exact = chains_.exact_part(element.chain);
    const auto path = chains_.between(exact, result.chain);
    const std::vector<const Step*>& steps = *path;
    const bool is_monotone =
        std::ranges::all_of(steps, [](const Step* one) { return one->rises() || one->falls(); });
    const auto image = [&](Int x) {
      Value value{x, element.decimal, 0, false};
      for (const Step* one : steps) value = one->apply(value);
      const auto code = on_grid(value, result.decimal);
      if (!code) throw Failure{true, "", "grid", "its values leave 64 bits"};
      return *code;
    };
    constexpr Int kFew = 1 << 12, kMost = 1 << 22;
    const Int count = element.hi - element.lo;
    auto& range = entry->second;
    const std::pair<Int, Int> all = range,
                              ends = std::minmax({image(element.lo), image(element.hi)});
    if (is_monotone) {
      range = ends;
    } else if (count <= kFew || (count <= kMost && ends.first == ends.second)) {
      // Of many only whether all become the same.
      range = ends;
      for (Int x = element.lo; x <= element.hi; ++x) {
        range = {std::min(range.first, image(x)), std::max(range.second, image(x))};
        if (count > kFew && range.first != range.second) {
          range = all;
          break;
        }
      }
    }
  }
  std::tie(result.lo, result.hi) = entry->second;
  return result;
}

bool GraphValues::changes_nothing(const Element& element, const Step& step) const {
  if (step.kind == Step::Kind::kFloat || chains_.is_real(element.chain)) return false;
  if (step.kind == Step::Kind::kQuantize && step.decimal < element.decimal) return false;
  const Value lo{element.lo, element.decimal, 0, false}, hi{element.hi, element.decimal, 0, false};
  return equal(step.apply(lo), lo) && equal(step.apply(hi), hi);
}

Element GraphValues::after(const Element& element, const Step& step) {
  if (step.kind == Step::Kind::kFloat || chains_.is_real(element.chain)) {
    if (step.kind == Step::Kind::kQuantize) return after_exact(element, step);
    Element result = element;
    result.chain = chains_.extend(element.chain, step);
    return result;
  }
  // A step that changes no value that can occur is none.
  if (changes_nothing(element, step)) return element;
  return after_exact(element, step);
}

Elements GraphValues::stepped(const Node& node, Elements elements, const Shape& shape) {
  const std::vector<bool> keep = node.mask ? spread(node, shape) : std::vector<bool>();
  const auto need = [&](std::size_t count, Int extent) {
    if (static_cast<Int>(count) != extent)
      fail_unknown(node.name, "shapes", fmt::format("{} numbers for {} channels", count, extent));
  };
  if (!node.scale.empty()) need(node.scale.size(), shape.c);
  if (node.quantize && node.quantize->values.size() > 1) {
    const std::size_t axis = node.quantize->axis;
    need(node.quantize->values.size(),
         axis >= shape.rank ? 0 : along(shape, shape.count() - 1, axis) + 1);
  }
  for (Int e = 0; e < shape.count(); ++e) {
    Element& element = elements[at(e)];
    if (node.mask) {
      if (!keep[at(e)]) element = {};
      continue;
    }
    const bool is_real = chains_.is_real(element.chain);
    Step step;
    if (node.quantize) {
      const std::vector<int>& decimals = node.quantize->values;
      const Int i = decimals.size() == 1 ? 0 : along(shape, e, node.quantize->axis);
      step = quantize_step(decimals.at(at(i)), node.bits, node.rounding);
    } else if (node.op == "relu") {
      step = float_step(Fn::kRelu);
      if (!is_real) step.kind = Step::Kind::kRelu;
    } else if (node.op == "relu6") {
      step = float_step(Fn::kRelu6);
      if (!is_real) step.kind = Step::Kind::kRelu6;
    } else {
      step = *float_function(node, along(shape, e, 0));
    }
    if (step.kind != Step::Kind::kFloat) step.fn = Fn::kRelu;
    element = after(element, step);
  }
  return elements;
}

Elements GraphValues::summed(const Node& node, std::size_t value) {
  std::vector<Shape> shapes;
  std::vector<const Elements*> inputs;
  int finest = INT32_MIN;  // of all elements that are not always 0
  for (const std::size_t input : node.inputs) {
    shapes.push_back(shapes_[input]);
    inputs.push_back(&elements_[input]);
    for (const Element& element : elements_[input]) {
      if (chains_.is_real(element.chain))
        fail_unknown(node.name, "grid", "its input is not quantized");
      if (element.lo != 0 || element.hi != 0) finest = std::max(finest, element.decimal);
    }
  }
  const Sums sums(node, shapes);
  const Shape shape = shapes_[value] = sums.output();
  if (shape.count() > kMostElements) fail_unknown(node.name, "shapes", "too many elements");
  std::vector<Int>& bounds = float_bounds_[value];
  Elements result;
  result.reserve(at(shape.count()));
  for (Int o = 0; o < shape.c; ++o) {
    Int bound_of_channel = 0;
    for (Int y = 0; y < shape.h; ++y)
      for (Int x = 0; x < shape.w; ++x) {
        const Value bias = sums.bias(o);
        int grid = bias.code != 0 ? bias.decimal : INT32_MIN;
        sums.each(o, y, x, [&](std::size_t i, Int e, Int, int decimal) {
          const Element& element = (*inputs[i])[at(e)];
          if (element.lo != 0 || element.hi != 0) grid = std::max(grid, decimal + element.decimal);
        });
        if (grid == INT32_MIN) grid = 0;
        require_float_grid(node, grid);
        Wide lo = 0, hi = 0, bound = 0;
        std::uint64_t used = 0;  // bits of all addends: the lowest is the true grid
        const auto add = [&](Int coefficient, int shift, Int least, Int most) {
          if (shift > 61) fail_unknown(node.name, "grid", "its decimals lie too far apart");
          const Wide factor = Wide{coefficient} * (Wide{1} << shift);
          if (factor >= kLimit || factor <= -kLimit)
            fail_unknown(node.name, "no overflow", "its sums leave 64 bits");
          lo += factor * (factor < 0 ? most : least);
          hi += factor * (factor < 0 ? least : most);
          bound += (factor < 0 ? -factor : factor) * std::max(most, -least);
          used |= static_cast<std::uint64_t>(factor < 0 ? -factor : factor);
          if (bound >= kLimit) fail_unknown(node.name, "no overflow", "its sums leave 64 bits");
        };
        if (bias.code != 0) {
          add(static_cast<Int>(bias.code), grid - bias.decimal, 1, 1);
        }
        sums.each(o, y, x, [&](std::size_t i, Int e, Int coefficient, int decimal) {
          const Element& element = (*inputs[i])[at(e)];
          if (element.lo != 0 || element.hi != 0)
            add(coefficient, grid - decimal - element.decimal, element.lo, element.hi);
        });
        const int spare = used == 0 ? 0 : std::countr_zero(used);
        bound_of_channel = std::max(bound_of_channel, static_cast<Int>(bound >> spare));
        Element element{static_cast<std::int32_t>(value),
                        static_cast<std::int32_t>(result.size()),
                        0,
                        grid,
                        static_cast<Int>(lo),
                        static_cast<Int>(hi)};
        if (sums.divisor() != 1) {
          // Both are exact in float32, so their quotient is rounded as that of the window's own.
          if (element.magnitude() > Int{1} << 24)
            fail_unknown(node.name, "float exact", "the sums of its mean exceed 2^24 steps");
          element = after(element, float_step(Fn::kDivide, static_cast<float>(sums.divisor())));
        }
        if (node.bias && !node.bias->floats.empty())
          element = after(element, float_step(Fn::kAdd, node.bias->floats[at(o)]));
        result.push_back(element);
      }
    bounds.push_back(bound_of_channel);
  }
  return result;
}

Elements GraphValues::product(const Node& node, std::size_t value) {
  const std::vector<Shape> shapes = {shapes_[node.inputs[0]], shapes_[node.inputs[1]]};
  const Sums pairs(node, shapes);
  const Shape shape = shapes_[value] = pairs.output();
  Elements result;
  for (Int o = 0; o < shape.c; ++o) {
    Int bound = 0;
    for (Int y = 0; y < shape.h; ++y)
      for (Int x = 0; x < shape.w; ++x) {
        std::array<const Element*, 2> factors{};
        pairs.each(o, y, x, [&](std::size_t i, Int e, Int, int) {
          factors[i] = &elements_[node.inputs[i]][at(e)];
        });
        const Element &a = *factors[0], &b = *factors[1];
        if (chains_.is_real(a.chain) || chains_.is_real(b.chain))
          fail_unknown(node.name, "grid", "its input is not quantized");
        const std::initializer_list<Wide> ends = {Wide{a.lo} * b.lo, Wide{a.lo} * b.hi,
                                                  Wide{a.hi} * b.lo, Wide{a.hi} * b.hi};
        const auto [lo, hi] = std::minmax(ends);
        require_float_grid(node, a.decimal + b.decimal);
        if (hi >= kLimit || lo <= -kLimit)
          fail_unknown(node.name, "no overflow", "its products leave 64 bits");
        result.push_back({static_cast<std::int32_t>(value),
                          static_cast<std::int32_t>(result.size()), 0, a.decimal + b.decimal,
                          static_cast<Int>(lo), static_cast<Int>(hi)});
        bound = std::max(bound, result.back().magnitude());
      }
    float_bounds_[value].push_back(bound);
  }
  return result;
}

Window GraphValues::window(std::size_t value, Int e) const {
  const Node& node = model_.nodes[value - model_.inputs.size()];
  const Elements& input = elements_[node.inputs[0]];
  const Shape &in = shapes_[node.inputs[0]], &out = shapes_[value];
  const Int c = e / (out.h * out.w), y = e / out.w % out.h, x = e % out.w;
  const auto place = [&](std::size_t axis, Int position, Int tap) {
    return position * node.list("stride")[axis] - node.list("padding")[axis] +
           tap * node.list("dilation")[axis];
  };
  Elements elements;
  for (Int ky = 0; ky < node.list("kernel_size")[0]; ++ky)
    for (Int kx = 0; kx < node.list("kernel_size")[1]; ++kx) {
      const Int row = place(0, y, ky), column = place(1, x, kx);
      if (row >= 0 && row < in.h && column >= 0 && column < in.w)
        elements.push_back(input[at(in.index(c, row, column))]);
    }
  if (elements.empty()) fail_unknown(node.name, "shapes", "a window lies in the padding");
  Window window{elements, {}};
  const auto length = [&](const Element& element) {
    return chains_.between(0, element.chain)->size();
  };
  for (;;) {
    const Element& longest = *std::ranges::max_element(window.elements, {}, length);
    if (longest.chain == 0) return window;
    const Step& step = chains_.last(longest.chain);
    if (step.kind == Step::Kind::kQuantize || !step.rises()) return window;
    // It may have been left out of an element's steps where it changes nothing.
    const auto has_it = [&](const Element& element) {
      return element.chain != 0 && chains_.last(element.chain).key() == step.key();
    };
    for (std::size_t i = 0; i < elements.size(); ++i) {
      const bool is_whole = window.elements[i].chain == elements[i].chain;
      if (!has_it(window.elements[i]) && !(is_whole && changes_nothing(elements[i], step)))
        return window;
    }
    for (Element& element : window.elements)
      if (has_it(element)) element.chain = chains_.parent(element.chain);
    window.behind.insert(window.behind.begin(), &step);
  }
}

Elements GraphValues::largest(const Node& node, std::size_t value) {
  const Shape in = shapes_[node.inputs[0]];
  shapes_[value] = {in.rank, in.c, window_count(node, 0, in.h), window_count(node, 1, in.w)};
  const Shape out = shapes_[value];
  Elements result;
  for (Int e = 0; e < out.count(); ++e) {
    const Window window = this->window(value, e);
    Element most{static_cast<std::int32_t>(value),
                 static_cast<std::int32_t>(e),
                 0,
                 INT32_MIN,
                 -kLimit,
                 -kLimit};
    for (const Element& element : window.elements) {
      if (chains_.is_real(element.chain))
        fail_unknown(node.name, "grid",
                     "its input is not quantized, and its largest need not come from the largest "
                     "integer");
      most.decimal = std::max(most.decimal, element.decimal);
    }
    for (const Element& element : window.elements) {
      const int shift = most.decimal - element.decimal;
      if (shift > 61 || element.magnitude() >= kLimit >> shift)
        fail_unknown(node.name, "grid", "its decimals lie too far apart");
      most.lo = std::max(most.lo, element.lo * (Int{1} << shift));
      most.hi = std::max(most.hi, element.hi * (Int{1} << shift));
    }
    for (const Step* step : window.behind) most.chain = chains_.extend(most.chain, *step);
    result.push_back(most);
  }
  return result;
}

Elements GraphValues::evaluate(const Node& node, std::size_t value) {
  Shape& shape = shapes_[value];
  const Elements& input = elements_[node.inputs[0]];
  if (Sums::is_sum(node)) return summed(node, value);
  if (node.op == "mul") return product(node, value);
  if (node.op.starts_with("max_pool")) return largest(node, value);
  if (node.op == "concat") return concatenated(node, shape);
  static const std::vector<std::string> kMoving = {"flatten",         "reshape", "transpose",
                                                   "slice",           "pad",     "pixel_shuffle",
                                                   "pixel_unshuffle", "upsample"};
  if (std::ranges::find(kMoving, node.op) != kMoving.end()) return moved(node, shape);
  // What is compared of a softmax at an output is its input (docs/ops/softmax.md).
  if (node.op == "dropout" || node.op == "identity" || node.op.ends_with("softmax")) return input;
  if (node.op == "argmax") {
    const Shape in = shape;
    shape.c = 1;
    Elements result;
    for (const Element& element : input)
      if (chains_.is_real(element.chain))
        fail_unknown(node.name, "grid", "its input is not quantized");
    for (Int e = 0; e < shape.count(); ++e)
      result.push_back(
          {static_cast<std::int32_t>(value), static_cast<std::int32_t>(e), 0, 0, 0, in.c - 1});
    return result;
  }
  if (node.quantize || node.mask || node.op == "relu" || node.op == "relu6" ||
      float_function(node, 0))
    return stepped(node, input, shape);
  fail_unknown(node.name, "operators", fmt::format("operator '{}' is not known", node.op));
}

}  // namespace lockstep::checker
