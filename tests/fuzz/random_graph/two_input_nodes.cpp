// add, sub, mul and argmax: arithmetic on exact values.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

bool fits_together(const Sizes& a, const Sizes& b) {
  if (a.size() != b.size()) return false;
  std::int64_t elements = 1;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && a[i] != 1 && b[i] != 1) return false;
    elements *= std::max(a[i], b[i]);
  }
  return elements <= 600;
}

// Another value that meets `index` element by element: a residual branch, one that is broadcast, a
// slice of the value, or the value itself.
ValueIndex pick_partner(GraphBuilder& graph, ValueIndex index) {
  Random& random = graph.random;
  const Sizes shape = graph.value(index).shape;
  const std::string name = graph.value(index).name;
  if (const auto other = graph.pick_where([&](const GraphValue& value) {
        return value.name != name && fits_together(value.shape, shape);
      });
      other && random.chance(85))
    return *other;
  if (random.chance(40)) return index;
  const std::size_t axis = graph.index_below(shape.size());
  const std::int64_t start = random.between(0, shape[axis] - 1);
  GraphValue part = graph.value(index);
  part.shape[axis] = 1;
  return graph.add("slice", index,
                   fmt::format(R"({{"dim":{},"start":{},"end":{}}})", axis + 1, start, start + 1),
                   std::move(part));
}

struct Operands {
  ValueIndex a = 0, b = 0;
};

Operands pick_operands(GraphBuilder& graph) {
  Operands operands;
  operands.a = graph.pick();
  operands.b = pick_partner(graph, operands.a);
  const bool same = operands.a == operands.b;
  operands.a = graph.exact(operands.a);
  operands.b = same ? operands.a : graph.exact(operands.b);
  if (graph.random.chance(50)) std::swap(operands.a, operands.b);
  return operands;
}

// Quantizes what is wider than `bits`.
void narrow(GraphBuilder& graph, Operands& operands, int bits) {
  if (graph.careless()) return;
  for (ValueIndex* const index : {&operands.a, &operands.b})
    if (graph.value(*index).aligned_bits() > bits)
      *index = graph.quantize(*index, static_cast<int>(graph.random.between(2, 8)),
                              graph.random.chance(50));
}

ValueKind kind_of(int bits) { return bits <= 16 ? ValueKind::kCodes : ValueKind::kSums; }

}  // namespace

bool add_sum(GraphBuilder& graph, std::string_view op) {
  Operands operands = pick_operands(graph);
  const auto bits = [&] {
    const GraphValue &a = graph.value(operands.a), &b = graph.value(operands.b);
    const int finest = std::max(a.highest_decimal, b.highest_decimal);
    return std::max(a.bits + finest - a.lowest_decimal, b.bits + finest - b.lowest_decimal) + 1;
  };
  if (bits() > 32) narrow(graph, operands, 12);
  if (bits() > 32) return false;
  const auto shape = graph.shape_of(std::string(op), {operands.a, operands.b}, "{}");
  if (!shape) return false;
  const GraphValue &a = graph.value(operands.a), &b = graph.value(operands.b);
  GraphValue out;
  out.shape = *shape;
  out.bits = bits();
  out.kind = kind_of(out.bits);
  out.lowest_decimal = std::max(a.lowest_decimal, b.lowest_decimal);
  out.highest_decimal = std::max(a.highest_decimal, b.highest_decimal);
  out.largest = a.largest + b.largest;
  out.typical = std::hypot(a.typical, b.typical);
  graph.add(std::string(op), {operands.a, operands.b}, "{}", std::move(out));
  return true;
}

bool add_mul(GraphBuilder& graph, std::string_view op) {
  Operands operands = pick_operands(graph);
  narrow(graph, operands, 16);
  const auto shape = graph.shape_of(std::string(op), {operands.a, operands.b}, "{}");
  if (!shape) return false;
  const GraphValue &a = graph.value(operands.a), &b = graph.value(operands.b);
  if (a.bits + b.bits > 32 || std::abs(a.lowest_decimal + b.lowest_decimal) > 100) return false;
  GraphValue out;
  out.shape = *shape;
  out.bits = a.bits + b.bits;
  out.kind = kind_of(out.bits);
  out.lowest_decimal = a.lowest_decimal + b.lowest_decimal;
  out.highest_decimal = a.highest_decimal + b.highest_decimal;
  out.largest = a.largest * b.largest;
  out.typical = a.typical * b.typical;
  graph.add(std::string(op), {operands.a, operands.b}, "{}", std::move(out));
  return true;
}

bool add_argmax(GraphBuilder& graph, std::string_view op) {
  ValueIndex input = graph.exact(graph.pick());
  input = graph.mixable(input);
  const auto shape = graph.shape_of(std::string(op), input, R"({"dim":1})");
  if (!shape) return false;
  GraphValue out;
  out.shape = *shape;
  out.bits = 32;
  out.kind = ValueKind::kSums;
  out.largest = static_cast<double>(graph.value(input).shape[0]);
  out.typical = out.largest / 2;
  graph.add(std::string(op), input, R"({"dim":1})", std::move(out));
  return true;
}

}  // namespace lockstep::test
