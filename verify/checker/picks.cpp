// Operators of a plan that pick elements or bring them elsewhere: poolings, argmax, copies, codes.
#include <fmt/format.h>

#include <algorithm>

#include "verify/checker/products.h"

namespace lockstep::checker {
namespace {

std::size_t at(Int i) { return static_cast<std::size_t>(i); }

}  // namespace

Source OpChecker::copy_of(const Element& element) const {
  Source source{element,    element.factor, element.decimal, {},
                element.lo, element.hi,     element.spare,   std::nullopt};
  if (element.is_constant()) source.constant = GraphValues::constant(element);
  return source;
}

void OpChecker::refuse_window(Int channel, Int y, Int x) const {
  wrong(op_.node, "wiring",
        fmt::format("{}: it takes the largest of other values", place(channel, y, x)));
}

std::vector<Source> OpChecker::largest() const {
  need_shape(graph_node().op.starts_with("max_pool"),
             "the plan takes the largest, the graph does not");
  const GraphValues& values = state_.values;
  const PlanTensor& in = tensor(0);
  std::vector<Source> sources;
  for (Int y = 0; y < output_.height; ++y)
    for (Int x = 0; x < output_.width; ++x)
      for (Int c = 0; c < output_.channels; ++c) {
        const Int e = node_element(c, y, x);
        const Window window = values.window(value_, e);
        Elements found;
        each_of_window(
            y, x, [&](Int, Int pixel) { found.push_back(held(0)[at(pixel * in.channels + c)]); });
        Source source;
        source.of = {static_cast<std::int32_t>(value_), static_cast<std::int32_t>(e), 0, 0, 0, 0};
        source.lo = source.hi = -(Int{1} << 62);
        if (found.size() != window.elements.size()) refuse_window(c, y, x);
        source.exponent = found[0].decimal;
        source.factor = found[0].factor;
        // Steps that follow the pooling in the graph, and that the plan's values have behind them.
        std::vector<const Step*> done, exact;  // exact: those that constants have behind them
        for (const Step* step : window.behind) {
          if (step->kind == Step::Kind::kFloat) break;
          exact.push_back(step);
        }
        std::vector<std::vector<const Step*>> of_each;
        for (std::size_t i = 0; i < found.size(); ++i) {
          const Element &one = found[i], &wanted = window.elements[i];
          source.lo = std::max(source.lo, one.lo);
          source.hi = std::max(source.hi, one.hi);
          const bool is_number = one.is_constant() && wanted.is_constant() &&
                                 equal(GraphValues::constant(one), GraphValues::constant(wanted));
          const auto steps =
              is_number ? std::optional(exact) : values.chains().between(wanted.chain, one.chain);
          if (!steps || one.factor != source.factor || one.decimal != source.exponent ||
              (!is_number && (one.node != wanted.node || one.index != wanted.index)))
            refuse_window(c, y, x);
          if (steps->size() > done.size()) done = *steps;
          of_each.push_back(*steps);
        }
        // The largest of f's values is f of the largest only where f never falls.
        if (!std::ranges::all_of(done, [](const Step* step) { return step->rises(); }))
          refuse_window(c, y, x);
        // A value that they do not change may lack them.
        for (std::size_t i = 0; i < found.size(); ++i)
          if (of_each[i] != done && !(of_each[i].empty() && source.factor == 1 &&
                                      std::ranges::all_of(done, [&](const Step* step) {
                                        return values.changes_nothing(found[i], *step);
                                      })))
            refuse_window(c, y, x);
        for (const Step* step : done)
          source.of.chain = state_.values.chains().extend(source.of.chain, *step);
        if (source.lo == source.hi && source.factor == 1)
          source.constant = Value{source.lo, source.exponent, 0, false};
        sources.push_back(source);
      }
  return sources;
}

std::vector<Source> OpChecker::argmax() const {
  const Node& node = graph_node();
  need_shape(node.op == "argmax" && output_.channels == 1, "the graph has no argmax here");
  const Shape& shape = state_.values.shape(node.inputs[0]);
  const PlanTensor& in = tensor(0);
  need_shape(in.channels == shape.c && in.height == shape.h && in.width == shape.w,
             "its argmax goes over other channels");
  std::vector<Source> sources;
  for (Int pixel = 0; pixel < output_.count(); ++pixel) {
    for (Int c = 0; c < shape.c; ++c) {
      const Element& expected =
          state_.values.elements(node.inputs[0])[at(c * shape.h * shape.w + pixel)];
      const Element& found = held(0)[at(pixel * in.channels + c)];
      if (!is_same_value(found, expected) ||
          found.decimal != held(0)[at(pixel * in.channels)].decimal)
        wrong(op_.node, "wiring",
              fmt::format("channel {} of what its argmax compares is wrong", c));
    }
    Source source;
    source.of = {static_cast<std::int32_t>(value_), static_cast<std::int32_t>(pixel), 0, 0, 0, 0};
    source.hi = shape.c - 1;
    if (shape.c == 1) source.constant = Value{};
    sources.push_back(source);
  }
  return sources;
}

std::vector<Source> OpChecker::moved() const {
  Element zero;
  std::vector<Element> elements(at(output_.count()), zero);
  std::vector<bool> is_written(elements.size(), false);
  for (const Piece& piece : op_.pieces) {
    std::array<Int, 4> i{};
    for (i[0] = 0; i[0] < piece.count[0]; ++i[0])
      for (i[1] = 0; i[1] < piece.count[1]; ++i[1])
        for (i[2] = 0; i[2] < piece.count[2]; ++i[2])
          for (i[3] = 0; i[3] < piece.count[3]; ++i[3]) {
            Int from = piece.in_first, to = piece.out_first;
            for (std::size_t k = 0; k < 4; ++k) {
              from += i[k] * piece.in_step[k];
              to += i[k] * piece.out_step[k];
            }
            const PlanTensor& in = tensor(piece.input);
            if (from < 0 || from >= in.count() || to < 0 || to >= output_.count() ||
                is_written[at(to)])
              wrong(op_.node, "memory", "a copy leaves its tensors, or writes an element twice");
            is_written[at(to)] = true;
            elements[at(to)] = held(piece.input)[at(from)];
          }
  }
  std::vector<Source> sources;
  for (const Element& element : elements) sources.push_back(copy_of(element));
  return sources;
}

std::vector<Source> OpChecker::codes() const {
  const PlanTensor& in = tensor(0);
  need_shape(
      in.channels == output_.channels && in.height == output_.height && in.width == output_.width,
      "its input has another shape than its output");
  std::vector<Source> sources;
  for (const Element& element : held(0)) sources.push_back(copy_of(element));
  return sources;
}

}  // namespace lockstep::checker
