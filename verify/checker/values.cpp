#include "verify/checker/values.h"

#include <bit>

namespace lockstep::checker {
namespace {

// The float function that a node is, for one channel.
std::optional<Step> float_function(const Node& node, Int channel) {
  if (node.op.starts_with("batch_norm"))
    return float_step("x * a + b", node.scale[at(channel)], node.offset[at(channel)]);
  const FloatFunction* const function = find_function(node.op);
  if (function == nullptr) return std::nullopt;
  const auto number = [&](std::string_view name) {
    return name.empty() ? 0.0F : static_cast<float>(node.numbers.find(name)->second);
  };
  return float_step(node.op, number(function->a), number(function->b));
}

Step quantize_step(int decimal, int bits, Rounding rounding) {
  return {.kind = Step::Kind::kQuantize, .decimal = decimal, .bits = bits, .rounding = rounding};
}

// Whether a mask keeps each element; a mask that is not strict is repeated as often as it fits, in
// the middle, and keeps everything outside.
std::vector<bool> spread(const Node& node, const Shape& shape) {
  const Mask& mask = *node.mask;
  if (mask.shape.size() != shape.rank)
    unknown(node.name, "shapes", "its mask has another number of axes than its input");
  const Shape small = shape_of(mask.shape);
  const std::array<Int, 3> size = shape.sizes(), tile = small.sizes();
  std::vector<bool> keep(at(shape.count()), true);
  for (Int e = 0; e < shape.count(); ++e) {
    std::array<Int, 3> place = shape.place(e);
    bool is_inside = true;
    for (std::size_t d = 0; d < 3; ++d) {
      if (mask.strict && tile[d] != size[d] && tile[d] != 1)
        unknown(node.name, "shapes", "its mask has another shape than its input");
      const Int covered = size[d] / tile[d] * tile[d];
      place[d] -= (size[d] - covered) / 2;
      is_inside = is_inside && place[d] >= 0 && place[d] < covered;
      place[d] %= tile[d];
    }
    if (is_inside) keep[at(e)] = mask.keep[at(small.index(place[0], place[1], place[2]))] != 0;
  }
  return keep;
}

// float32 has exponents for 2^24 steps of 2^-decimal.
void need_float_grid(const Node& node, int decimal) {
  if (decimal < -100 || decimal > 149)
    unknown(node.name, "float exact", "float32 does not reach the grid of its values, decimal {}",
            decimal);
}

}  // namespace

Element fresh_element(std::size_t node, Int index, int decimal, Wide lo, Wide hi) {
  return {static_cast<std::int32_t>(node),
          static_cast<std::int32_t>(index),
          0,
          decimal,
          static_cast<Int>(lo),
          static_cast<Int>(hi)};
}

std::pair<Wide, Wide> product_range(const Element& a, const Element& b) {
  return std::minmax({Wide{a.lo} * b.lo, Wide{a.lo} * b.hi, Wide{a.hi} * b.lo, Wide{a.hi} * b.hi});
}

GraphValues::GraphValues(const Model& model)
    : model_(model), terms_(model.value_count()), float_bounds_(model.value_count()) {
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    shapes_.push_back(shape_of(model.inputs[i].shape));
    names_[model.inputs[i].name] = i;
    in_layer(model.inputs[i].name,
             [&] { elements_.push_back(input_elements(model.inputs[i], i)); });
  }
  for (const Node& node : model.nodes) {
    const std::size_t value = shapes_.size();
    names_[node.name] = value;
    shapes_.push_back(shapes_[node.inputs[0]]);
    in_layer(node.name, [&] { elements_.push_back(evaluate(node, value)); });
  }
}

std::optional<std::size_t> GraphValues::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? std::nullopt : std::optional(found->second);
}

Elements GraphValues::input_elements(const Input& input, std::size_t value) {
  const Shape& shape = shapes_[value];
  need_size(input.name, shape);
  const Int half = Int{1} << (input.bits - 1);
  Elements elements;
  for (Int e = 0; e < shape.count(); ++e)
    elements.push_back(input.raw ? fresh_element(value, e, 0, 0, 255)
                                 : fresh_element(value, e, input.decimal, -half, half - 1));
  fed_.push_back(elements);
  if (!input.raw) return elements;
  for (Int e = 0; e < shape.count(); ++e) {
    const auto of = [&](const auto& list) { return list[at(shape.place(e)[0]) % list.size()]; };
    Element& element = elements[at(e)];
    for (const Step& step :
         {float_step("x * scale", 0, 0, of(input.raw->scale)),
          float_step("x + a", -of(input.raw->mean)), float_step("x / a", of(input.raw->std)),
          quantize_step(input.decimal, input.bits, Rounding::kTowardZero)})
      element = after(element, step);
  }
  return elements;
}

Element GraphValues::after(const Element& element, const Step& step) {
  // A step that changes no value that can occur is none.
  if (changes_nothing(element, step)) return element;
  Element result = element;
  result.chain = chains_.extend(element.chain, step);
  if (step.kind == Step::Kind::kFloat) return result;
  const bool is_code = step.kind == Step::Kind::kQuantize;
  if (step.kind == Step::Kind::kRelu6) result.decimal = std::max(element.decimal, -1);
  if (is_code) result.decimal = step.decimal;
  const Int half = is_code ? Int{1} << (step.bits - 1) : kLimit;
  const auto key = std::tuple(element.chain, element.decimal, element.lo, element.hi, step);
  const auto [entry, is_new] = images_.try_emplace(key, -half, half - 1);
  auto& range = entry->second;
  if (is_new) {
    const auto steps = *chains_.between(chains_.exact_part(element.chain), result.chain);
    const auto image = [&](Int x) {
      Value value{x, element.decimal};
      for (const Step* one : steps) value = one->apply(value);
      const auto code = on_grid(value, result.decimal);
      if (!code) throw Failure{true, "", "grid", "its values leave 64 bits"};
      return *code;
    };
    constexpr Int kFew = 1 << 12, kMost = 1 << 22;
    const Int count = element.hi - element.lo;
    const std::pair<Int, Int> all = range,
                              ends = std::minmax({image(element.lo), image(element.hi)});
    const bool is_monotone =
        std::ranges::all_of(steps, [](const Step* one) { return one->is_monotone(); });
    // Of many only whether all become the same.
    const bool looks = count <= kFew || (count <= kMost && ends.first == ends.second);
    if (is_monotone || looks) range = ends;
    for (Int x = element.lo; x <= element.hi && looks && !is_monotone && range != all; ++x) {
      range = {std::min(range.first, image(x)), std::max(range.second, image(x))};
      if (count > kFew && range.first != range.second) range = all;
    }
  }
  std::tie(result.lo, result.hi) = range;
  return result;
}

bool GraphValues::changes_nothing(const Element& element, const Step& step) const {
  if (step.kind == Step::Kind::kFloat || chains_.is_real(element.chain)) return false;
  if (step.kind == Step::Kind::kQuantize && step.decimal < element.decimal) return false;
  const Value lo{element.lo, element.decimal}, hi{element.hi, element.decimal};
  return equal(step.apply(lo), lo) && equal(step.apply(hi), hi);
}

Elements GraphValues::stepped(const Node& node, Elements elements, const Shape& shape) {
  const std::vector<bool> keep = node.mask ? spread(node, shape) : std::vector<bool>();
  const auto need = [&](std::size_t count, Int extent) {
    if (static_cast<Int>(count) != extent)
      unknown(node.name, "shapes", "{} numbers for {} channels", count, extent);
  };
  if (!node.scale.empty()) need(node.scale.size(), shape.c);
  std::size_t axis = 0;  // of the decimals, in places
  if (node.quantize && node.quantize->values.size() > 1) {
    axis = shape.place_axis(node.quantize->axis);
    need(node.quantize->values.size(), node.quantize->axis >= shape.rank ? 0 : shape.sizes()[axis]);
  }
  for (Int e = 0; e < shape.count(); ++e) {
    Element& element = elements[at(e)];
    if (node.mask) {
      if (!keep[at(e)]) element = {};
      continue;
    }
    const bool is_real = chains_.is_real(element.chain);
    const std::array<Int, 3> place = shape.place(e);
    if (node.quantize) {
      const std::vector<int>& decimals = node.quantize->values;
      element = after(element, quantize_step(decimals[at(place[axis]) % decimals.size()], node.bits,
                                             node.rounding));
    } else if (!is_real && node.op == "relu") {
      element = after(element, {.kind = Step::Kind::kRelu});
    } else if (!is_real && node.op == "relu6") {
      element = after(element, {.kind = Step::Kind::kRelu6});
    } else {
      element = after(element, *float_function(node, place[0]));
    }
  }
  return elements;
}

// Of real numbers no sum is exact, and the largest need not come from the largest integer.
void GraphValues::need_quantized(const Node& node, const Element& element) const {
  if (chains_.is_real(element.chain)) unknown(node.name, "grid", "its input is not quantized");
}

// Of a sum, a product of two, or the largest of a window.
Elements GraphValues::combined(const Node& node, std::size_t value) {
  const bool is_window = node.op.starts_with("max_pool"), is_product = node.op == "mul";
  std::vector<Shape> shapes;
  for (const std::size_t input : node.inputs) {
    shapes.push_back(shapes_[input]);
    if (!is_window)
      for (const Element& element : elements_[input]) need_quantized(node, element);
  }
  const Shape shape = shapes_[value] = terms_[value].emplace(node, shapes).output();
  Elements result;
  result.reserve(at(shape.count()));
  for (Int o = 0; o < shape.c; ++o) {
    Int bound = 0;
    for (Int i = 0; i < shape.h * shape.w; ++i) {
      const auto e = static_cast<Int>(result.size());
      result.push_back(is_window    ? largest(value, e)
                       : is_product ? product(value, e, bound)
                                    : sum(value, e, bound));
    }
    if (!is_window) float_bounds_[value].push_back(bound);
  }
  return result;
}

Element GraphValues::sum(std::size_t value, Int e, Int& most) {
  const Node& node = model_.node(value);
  const Terms& terms = this->terms(value);
  const Int o = shapes_[value].place(e)[0], divisor = terms.divisor();
  const Value bias = terms.bias(o);
  int grid = bias.code != 0 ? bias.decimal : INT32_MIN;
  each_term_of(value, e, [&](const Element& element, Int, int decimal) {
    if (element.lo != 0 || element.hi != 0) grid = std::max(grid, decimal + element.decimal);
  });
  if (grid == INT32_MIN) grid = 0;
  need_float_grid(node, grid);
  Wide lo = 0, hi = 0, bound = 0;
  std::uint64_t used = 0;  // bits of all addends: the lowest is the true grid
  const auto add = [&](const Element& element, Int coefficient, int decimal) {
    if (element.lo == 0 && element.hi == 0) return;
    const int shift = grid - decimal - element.decimal;
    if (shift > 61) unknown(node.name, "grid", "its decimals lie too far apart");
    const Wide factor = Wide{coefficient} * (Wide{1} << shift);
    const Wide size = factor < 0 ? -factor : factor;
    if (size >= kLimit || (bound += size * element.magnitude()) >= kLimit)
      unknown(node.name, "no overflow", "its sums leave 64 bits");
    lo += factor * (factor < 0 ? element.hi : element.lo);
    hi += factor * (factor < 0 ? element.lo : element.hi);
    used |= static_cast<std::uint64_t>(size);
  };
  if (bias.code != 0) add(fresh_element(0, 0, bias.decimal, 1, 1), static_cast<Int>(bias.code), 0);
  each_term_of(value, e, add);
  most = std::max(most, static_cast<Int>(bound >> (used == 0 ? 0 : std::countr_zero(used))));
  Element element = fresh_element(value, e, grid, lo, hi);
  if (divisor != 1) {
    // Both are exact in float32, so their quotient is rounded as that of the window's own.
    if (element.magnitude() > Int{1} << 24)
      unknown(node.name, "float exact", "the sums of its mean exceed 2^24 steps");
    element = after(element, float_step("x / a", static_cast<float>(divisor)));
  }
  if (node.bias && !node.bias->floats.empty())
    element = after(element, float_step("x + a", node.bias->floats[at(o)]));
  return element;
}

Element GraphValues::product(std::size_t value, Int e, Int& most) {
  const Node& node = model_.node(value);
  std::vector<Element> factors;
  each_term_of(value, e, [&](const Element& element, Int, int) { factors.push_back(element); });
  const int decimal = factors[0].decimal + factors[1].decimal;
  const auto [lo, hi] = product_range(factors[0], factors[1]);
  need_float_grid(node, decimal);
  if (hi >= kLimit || lo <= -kLimit)
    unknown(node.name, "no overflow", "its products leave 64 bits");
  const Element element = fresh_element(value, e, decimal, lo, hi);
  most = std::max(most, element.magnitude());
  return element;
}

Window GraphValues::window(std::size_t value, Int e) const {
  Elements elements;
  each_term_of(value, e, [&](const Element& element, Int, int) { elements.push_back(element); });
  if (elements.empty()) unknown(model_.node(value).name, "shapes", "a window lies in the padding");
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
      return element.chain != 0 && chains_.last(element.chain) == step;
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

Element GraphValues::largest(std::size_t value, Int e) {
  const Window window = this->window(value, e);
  Element most = fresh_element(value, e, INT32_MIN, -kLimit, -kLimit);
  for (const Element& element : window.elements) {
    need_quantized(model_.node(value), element);
    most.decimal = std::max(most.decimal, element.decimal);
  }
  for (const Element& element : window.elements) {
    const int shift = most.decimal - element.decimal;
    if (shift > 61 || element.magnitude() >= kLimit >> shift)
      unknown(model_.node(value).name, "grid", "its decimals lie too far apart");
    most.lo = std::max(most.lo, element.lo * (Int{1} << shift));
    most.hi = std::max(most.hi, element.hi * (Int{1} << shift));
  }
  for (const Step* step : window.behind) most.chain = chains_.extend(most.chain, *step);
  return most;
}

Elements GraphValues::evaluate(const Node& node, std::size_t value) {
  Shape& shape = shapes_[value];
  const Elements& input = elements_[node.inputs[0]];
  // What is compared of a softmax at an output is its input (docs/ops/softmax.md).
  if (node.op == "dropout" || node.op == "identity" || node.op.ends_with("softmax")) return input;
  if (Terms::has_terms(node)) return combined(node, value);
  if (node.op == "argmax") {
    for (const Element& element : input) need_quantized(node, element);
    const Int channels = std::exchange(shape.c, 1);
    Elements result;
    for (Int e = 0; e < shape.count(); ++e)
      result.push_back(fresh_element(value, e, 0, 0, channels - 1));
    return result;
  }
  if (node.quantize || node.mask || float_function(node, 0)) return stepped(node, input, shape);
  return moved(node, shape);
}

}  // namespace lockstep::checker
