// What every element of every value of a graph is, and in which range: the graph's side of the
// proof. An element is one of a node that combines several (a sum, a product, a pooling, an input)
// together with the steps that happened to it since; moving it changes nothing.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "verify/checker/terms.h"

namespace lockstep::checker {

struct Element {
  static constexpr std::int32_t kConstant = -1;
  std::int32_t node = kConstant, index = 0;  // value of the model, its element: what is combined
  std::int32_t chain = 0;                    // the steps since
  std::int32_t decimal = 0;                  // the grid of lo and hi
  // Every code that can occur lies in between: of the element itself or, where its chain ends in
  // float functions, of the exact value before them. A constant has lo == hi.
  Int lo = 0, hi = 0;
  // Of an element that a tensor of a plan holds: its codes are those of the value times this, an
  // odd number. Sums of a mean are kept like that until they are divided.
  Int factor = 1;
  // Likewise: all its codes are multiples of 2^spare, because the graph's grid is coarser.
  std::int32_t spare = 0;

  bool is_constant() const { return lo == hi && factor == 1; }
  Value constant() const { return {lo, decimal}; }  // its value, if it is one
  bool is_same(const Element& other) const {
    return node == other.node && index == other.index && chain == other.chain &&
           factor == other.factor;
  }
  // Whether both are the same element of the graph, or the same number for every input.
  bool is_same_value(const Element& other) const {
    return is_same(other) ||
           (is_constant() && other.is_constant() && equal(constant(), other.constant()));
  }
  Int magnitude() const { return std::max(hi, -lo); }
};
using Elements = std::vector<Element>;
// Number `index` of the value `node`, whatever it is.
Element fresh_element(std::size_t node, Int index, int decimal, Wide lo, Wide hi);
// [least, most] of a * b.
std::pair<Wide, Wide> product_range(const Element& a, const Element& b);

// What a max pooling takes the largest of, in row-major order. Steps that all of them went through
// last and that never fall, but no quantize, are left out: they may as well follow the pooling.
struct Window {
  Elements elements;
  std::vector<const Step*> behind;
};

// Every value of a model, worked out node by node. Throws Failure (unknown) for a network that has
// no exact meaning, naming the layer.
class GraphValues {
 public:
  explicit GraphValues(const Model& model);

  const Model& model() const { return model_; }
  const Shape& shape(std::size_t value) const { return shapes_[value]; }
  const Elements& elements(std::size_t value) const { return elements_[value]; }
  // What an input is fed with: of a raw one bytes, of all others elements().
  const Elements& fed(std::size_t input) const { return fed_[input]; }
  Chains& chains() { return chains_; }
  const Chains& chains() const { return chains_; }
  // The value by this name; nothing when there is none.
  std::optional<std::size_t> find(const std::string& name) const;
  // Of a node that has some.
  const Terms& terms(std::size_t value) const { return *terms_[value]; }
  // Calls visit(element of an input, coefficient, decimal) for each term of element e.
  template <typename Visit>
  void each_term_of(std::size_t value, Int e, const Visit& visit) const {
    const auto [c, y, x] = shapes_[value].place(e);
    const std::vector<std::size_t>& inputs = model_.node(value).inputs;
    terms(value).each(c, y, x, [&](std::size_t input, Int from, Int coefficient, int decimal) {
      visit(elements_[inputs[input]][at(from)], coefficient, decimal);
    });
  }
  // Of a sum: sum |products| + |bias| of the worst element of each channel, in steps of the finest
  // grid that its products use. Empty for others.
  const std::vector<Int>& float_bounds(std::size_t value) const { return float_bounds_[value]; }
  // Whether a step keeps every value that an element can have.
  bool changes_nothing(const Element& element, const Step& step) const;
  // Of a max pooling: what its element e is the largest of.
  Window window(std::size_t value, Int e) const;

 private:
  Elements evaluate(const Node& node, std::size_t value);
  Elements input_elements(const Input& input, std::size_t value);
  void need_quantized(const Node& node, const Element& element) const;
  Elements combined(const Node& node, std::size_t value);
  Element sum(std::size_t value, Int e, Int& bound);
  Element product(std::size_t value, Int e, Int& bound);
  Element largest(std::size_t value, Int e);
  Elements moved(const Node& node, Shape& shape) const;
  Elements stepped(const Node& node, Elements elements, const Shape& shape);
  Element after(const Element& element, const Step& step);

  const Model& model_;
  std::vector<Shape> shapes_;
  std::vector<Elements> elements_;
  std::vector<Elements> fed_;
  std::vector<std::optional<Terms>> terms_;
  std::vector<std::vector<Int>> float_bounds_;
  std::map<std::string, std::size_t> names_;
  std::map<std::tuple<int, int, Int, Int, Step>, std::pair<Int, Int>> images_;
  Chains chains_;
};

}  // namespace lockstep::checker
