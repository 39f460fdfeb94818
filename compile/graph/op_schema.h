// The operators that graph.json may name, and the attributes of each: one table, read by the
// parser, the writer and the state-dict reader. Adding an operator here is one row.
//
// Names, meanings and defaults are PyTorch's. What an operator computes is in docs/ops/<op>.md.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep {

enum class AttributeKind : std::uint8_t {
  kInteger,  // one integer
  kSpatial,  // one integer per spatial axis; a single integer in the file stands for all axes
  kFlag,
  kNumber,
  kList,    // integers, as many as `least_count` to `most_count` say
  kChoice,  // one of the texts `choices`
};

enum class AttributeDefault : std::uint8_t {
  kRequired,  // no default
  kValue,     // AttributeSchema::value
  kOther,     // what attribute AttributeSchema::other has
};

struct AttributeSchema {
  std::string_view name;
  AttributeKind kind;
  AttributeDefault default_kind;
  double value = 0;        // the default; 0 or 1 for a flag, an index of `choices` for a choice
  double lo = 0, hi = 0;   // allowed values, inclusive; unused for a flag and a choice
  std::string_view other;  // for kOther; an attribute further up in the table
  // Of a list: how many integers it has, a multiple of `count_step`. Where `least_count` is 1, one
  // integer in the file stands for a list of it.
  std::size_t least_count = 0, most_count = 0, count_step = 1;
  bool infers_one = false;  // of a list: one of its integers may be -1
  std::span<const std::string_view> choices = {};
  // Constraints between attributes, by name; empty when there is none.
  std::string_view at_most_half_of = {};
  std::string_view divides_a = {}, divides_b = {};
  std::string_view below_larger_a = {}, below_larger_b = {};
};

// Which of graph.json's two special node kinds a row is.
enum class OpRole : std::uint8_t { kOperator, kQuantize, kPrune };

struct OpSchema {
  std::string_view name;
  std::size_t least_inputs, most_inputs;
  std::size_t spatial_axes;
  std::span<const AttributeSchema> attributes;
  OpRole role = OpRole::kOperator;
  // Shape of `weight` in PyTorch's layout for a node of this operator; null for an operator without
  // a weight. Such an operator has a flag "bias"; the bias has one element per output channel.
  std::vector<std::int64_t> (*weight_shape)(const Node& node) = nullptr;
  std::string_view bias_length;  // the attribute that counts the bias's elements
  // The attribute that counts the channels of a batch norm, whose state is `weight`, `bias`,
  // `running_mean`, `running_var` and `num_batches_tracked`; empty for other operators.
  std::string_view normalized_channels = {};
};

std::span<const OpSchema> op_schemas();
const OpSchema* find_op_schema(std::string_view op);  // nullptr when there is no such operator
const OpSchema& schema_of(const Node& node);          // an unknown operator is our mistake (assert)

}  // namespace lockstep
