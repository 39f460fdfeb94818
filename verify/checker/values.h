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

#include "verify/checker/functions.h"
#include "verify/checker/model.h"

namespace lockstep::checker {

// Dimensions as channels, height, width: [N] is {N, 1, 1}, [C, L] is {C, 1, L}. Row-major.
struct Shape {
  std::size_t rank = 3;
  Int c = 1, h = 1, w = 1;
  Int count() const { return c * h * w; }
  Int index(Int channel, Int y, Int x) const { return (channel * h + y) * w + x; }
  bool operator==(const Shape&) const = default;
};

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
  bool is_same(const Element& other) const {
    return node == other.node && index == other.index && chain == other.chain &&
           factor == other.factor;
  }
  Int magnitude() const { return std::max(hi, -lo); }
};
// Whether both are the same element of the graph, or the same number for every input.
bool is_same_value(const Element& a, const Element& b);
using Elements = std::vector<Element>;
constexpr Int kMostElements = Int{1} << 28;  // of one value

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
  // Of a raw input: what it is fed with. Of all others as elements().
  const Elements& fed(std::size_t input) const;
  Chains& chains() { return chains_; }
  const Chains& chains() const { return chains_; }
  // The value by this name; nothing when there is none.
  std::optional<std::size_t> find(const std::string& name) const;
  // A constant element's value.
  static Value constant(const Element& element) { return {element.lo, element.decimal, 0, false}; }
  // Of a sum: sum |products| + |bias| of the worst element of each channel, in steps of the finest
  // grid that its products use.
  const std::vector<Int>& float_bounds(std::size_t value) const { return float_bounds_[value]; }
  // Whether a step keeps every value that an element can have.
  bool changes_nothing(const Element& element, const Step& step) const;
  // Of a max pooling: what its element e is the largest of.
  Window window(std::size_t value, Int e) const;

 private:
  Elements evaluate(const Node& node, std::size_t value);
  Elements input_elements(const Input& input, std::size_t value);
  Elements summed(const Node& node, std::size_t value);
  Elements product(const Node& node, std::size_t value);
  Elements largest(const Node& node, std::size_t value);
  Elements moved(const Node& node, Shape& shape);
  Elements concatenated(const Node& node, Shape& shape);
  Elements stepped(const Node& node, Elements elements, const Shape& shape);
  Element after(const Element& element, const Step& step);
  Element after_exact(const Element& element, const Step& step);

  const Model& model_;
  std::vector<Shape> shapes_;
  std::vector<Elements> elements_;
  std::map<std::size_t, Elements> bytes_;  // of raw inputs
  std::vector<std::vector<Int>> float_bounds_;
  std::map<std::string, std::size_t> names_;
  std::map<std::tuple<int, int, Int, Int, Step>, std::pair<Int, Int>> images_;
  Chains chains_;
};

Shape shape_of(const std::vector<Int>& dims);
[[noreturn]] void fail_unknown(const std::string& layer, const std::string& obligation,
                               const std::string& reason);

}  // namespace lockstep::checker
