// One operator of the exact semantics alone: on a format made by hand and codes of any kind.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "verify/semantics/operators.h"

namespace lockstep::test {

// A node "n" of operator `op` as graph.json would give it, with inputs "x0", "x1", ...;
// `attributes` is the inside of its JSON object. `wrap`: of its weight, JSON too.
inline Node node_of(const std::string& op, const std::string& attributes, int inputs = 1,
                    const std::string& wrap = "") {
  std::string graph_inputs, names;
  for (int i = 0; i < inputs; ++i) {
    graph_inputs += fmt::format(R"({}{{"name": "x{}", "shape": [1]}})", i == 0 ? "" : ", ", i);
    names += fmt::format(R"({}"x{}")", i == 0 ? "" : ", ", i);
  }
  const std::string json = fmt::format(
      R"({{"format": "lockstep-graph", "version": 1, "name": "one", "inputs": [{}], "nodes":
          [{{"name": "n", "op": "{}", "inputs": [{}], "attrs": {{{}}}{}}}], "outputs": ["n"]}})",
      graph_inputs, op, names, attributes, wrap.empty() ? "" : R"(, "wrap": [)" + wrap + "]");
  return parse_graph(json, "one").nodes[0];
}

inline verify::Format codes_format(std::vector<std::int64_t> shape, std::vector<int> decimals,
                                   int bits = 8) {
  verify::Format format;
  format.shape = std::move(shape);
  format.decimals = std::move(decimals);
  format.bits = bits;
  format.lo = -(std::int64_t{1} << (bits - 1));
  format.hi = -format.lo - 1;
  return format;
}

// Decimals per channel, spread over `shape`.
inline std::vector<int> per_channel(const std::vector<std::int64_t>& shape,
                                    const std::vector<int>& decimals) {
  verify::Format format;
  format.shape = shape;
  const std::int64_t plane = format.element_count() / shape[0];
  std::vector<int> result;
  for (const int decimal : decimals)
    result.insert(result.end(), static_cast<std::size_t>(plane), decimal);
  return result;
}

class Codes {
 public:
  explicit Codes(std::uint32_t seed) : random_(seed) {}
  std::int64_t between(std::int64_t lo, std::int64_t hi) {
    return lo + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(hi - lo + 1));
  }
  std::vector<std::int64_t> of(const verify::Format& format) {
    std::vector<std::int64_t> codes;
    for (std::int64_t e = 0; e < format.element_count(); ++e)
      codes.push_back(between(format.lo, format.hi));
    return codes;
  }

 private:
  std::mt19937 random_;
};

inline std::vector<std::int64_t> run(const verify::ExactOperator& op,
                                     const std::vector<std::vector<std::int64_t>>& inputs) {
  std::vector<verify::Values> views(inputs.begin(), inputs.end());
  std::vector<std::int64_t> output(static_cast<std::size_t>(op.format().element_count()));
  op.run(views, output);
  return output;
}

// An operator with the formats that it stands on.
struct Built {
  Built(verify::OperatorMaker make, const Node& node, std::vector<verify::Format> formats,
        const NodeParameters& parameters = {})
      : inputs(std::move(formats)) {
    std::vector<const verify::Format*> pointers;
    for (const verify::Format& one : inputs) pointers.push_back(&one);
    op = make(node, parameters, pointers);
  }
  Built(verify::OperatorMaker make, const Node& node, verify::Format format,
        const NodeParameters& parameters = {})
      : Built(make, node, std::vector<verify::Format>(1, std::move(format)), parameters) {}
  Built(const Built&) = delete;
  Built& operator=(const Built&) = delete;

  const verify::Format& format() const { return op->format(); }

  std::vector<verify::Format> inputs;
  verify::OperatorPointer op;
};

// The values that codes stand for.
inline std::vector<double> values_of(const verify::Format& format,
                                     const std::vector<std::int64_t>& codes) {
  std::vector<double> values;
  for (std::size_t i = 0; i < codes.size(); ++i)
    values.push_back(verify::value_of(format, static_cast<std::int64_t>(i), codes[i]));
  return values;
}

// Whether every code lies in the bounds of its element. Of a real format: the value in its range.
inline bool in_bounds(const verify::Format& format, const std::vector<std::int64_t>& codes) {
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto e = static_cast<std::int64_t>(i);
    if (format.real) {
      const float value = verify::real_from_bits(codes[i]);
      const verify::FloatRange range = format.source(e).range;
      if (!(range.lo <= value && value <= range.hi)) return false;
      continue;
    }
    const verify::CodeRange range = format.range(e);
    if (codes[i] < range.lo || codes[i] > range.hi) return false;
    if (codes[i] < format.lo || codes[i] > format.hi) return false;
  }
  return true;
}

}  // namespace lockstep::test
