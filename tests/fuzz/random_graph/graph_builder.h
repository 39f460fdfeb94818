// Grows a graph node by node, and keeps in mind what is known of each value, so that the next node
// mostly gets what it can take.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/compile/random_network.h"

namespace lockstep::test {

using Sizes = std::vector<std::int64_t>;

std::int64_t product(const Sizes& sizes);

// What a value is made of; see docs/arithmetic.md.
enum class ValueKind : std::uint8_t {
  kCodes,  // exact, at most 16 bits
  kSums,   // exact, 17 to 32 bits
  kReal    // float functions of exact integers
};

// Estimates, on the safe side: they decide what may come next, nothing is held against them.
struct GraphValue {
  std::string name;
  Sizes shape;  // without the batch
  ValueKind kind = ValueKind::kCodes;
  // Of the integers, those behind a real value included.
  int bits = 8;
  int lowest_decimal = 0, highest_decimal = 0;  // over the channels
  double largest = 1, typical = 1;              // magnitudes of the value
  bool closed = false;  // sums of more than 32 bits: one quantize node reads them, nothing else may
  // Of a real value.
  bool rises = true;     // no channel's function ever falls
  bool monotone = true;  // each channel's function rises or falls throughout
  bool uniform = true;   // one function for all channels
  bool keeps_zero = true;
  bool masked = false;
  bool only_bias = false;  // nothing but a float bias, so that it may be an output

  bool exact() const { return kind != ValueKind::kReal; }
  int spread() const { return highest_decimal - lowest_decimal; }
  // How many bits a shared grid for all channels takes.
  int aligned_bits() const { return bits + spread(); }
  std::size_t rank() const { return shape.size(); }
};

using ValueIndex = std::size_t;

class GraphBuilder {
 public:
  explicit GraphBuilder(std::uint64_t seed);

  Random random;
  StateBuilder state;

  // `raw`: the normalisation of raw bytes as JSON; empty: the network is fed codes.
  void add_input(GraphValue value, const std::string& raw);

  std::size_t node_count() const { return nodes_.size(); }
  std::size_t value_count() const { return values_.size(); }
  const GraphValue& value(ValueIndex index) const { return values_[index]; }

  // A value for the next node to read: mostly a late one, or one that nothing reads yet.
  ValueIndex pick();
  // Any value for which `fits` holds.
  template <typename Fits>
  std::optional<ValueIndex> pick_where(Fits&& fits) {
    std::vector<ValueIndex> found;
    for (ValueIndex i = 0; i < values_.size(); ++i)
      if (!values_[i].closed && fits(values_[i])) found.push_back(i);
    if (found.empty()) return std::nullopt;
    return found[index_below(found.size())];
  }
  std::size_t index_below(std::size_t count) {
    return static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(count) - 1));
  }

  // The shape of what the node would make; empty where the shapes do not fit or it is too large.
  std::optional<Sizes> shape_of(const std::string& op, const std::vector<ValueIndex>& inputs,
                                const std::string& attributes);
  std::optional<Sizes> shape_of(const std::string& op, ValueIndex input,
                                const std::string& attributes) {
    return shape_of(op, std::vector<ValueIndex>{input}, attributes);
  }
  // Appends a node; `value` tells what it makes, without name. `wraps`: JSON objects.
  ValueIndex add(const std::string& op, const std::vector<ValueIndex>& inputs,
                 const std::string& attributes, GraphValue value,
                 const std::vector<std::string>& wraps = {});
  ValueIndex add(const std::string& op, ValueIndex input, const std::string& attributes,
                 GraphValue value, const std::vector<std::string>& wraps = {}) {
    return add(op, std::vector<ValueIndex>{input}, attributes, std::move(value), wraps);
  }

  // The value itself, or behind a quantize node where it is not what is asked for. A careless
  // network sometimes goes without.
  ValueIndex codes(ValueIndex index, int most_bits = 16);
  ValueIndex exact(ValueIndex index);  // codes or sums
  // Whose channels can be brought to one grid.
  ValueIndex mixable(ValueIndex index);
  ValueIndex quantize(ValueIndex index, int bits, bool per_channel);

  // True in a careless network, now and then: leave out what the next node requires.
  bool careless() { return careless_ && random.chance(15); }

  // Chooses the outputs and returns the network.
  Network finish();

  // Only what has been read may be closed.
  void close(ValueIndex index) { values_[index].closed = true; }

  std::string rounding();
  // `count` decimals around `middle`, at most `spread` apart.
  std::vector<int> decimals(std::int64_t count, int middle, int spread);
  std::vector<std::uint8_t> mask(const Sizes& shape);
  // `shape` with some dimensions 1: a mask that is broadcast.
  Sizes broadcast_shape(Sizes shape);

 private:
  bool may_be_output(const GraphValue& value) const;
  void add_order_output();  // a softmax, now and then

  bool careless_ = false;
  std::vector<std::string> inputs_, nodes_;
  std::vector<GraphValue> values_;
  std::set<std::string> read_, outputs_;
  std::vector<std::string> output_order_;
  ValueIndex first_node_ = 0;
};

}  // namespace lockstep::test
