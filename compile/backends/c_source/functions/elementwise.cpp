// Operators that make each output element of the elements at the same place, or of one that serves
// a whole row, map or channel: requantize, add, mul, table.
#include <algorithm>

#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/functions/function.h"

namespace lockstep::backends {
namespace {

using namespace ir;

bool all_equal(const std::vector<std::int32_t>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(),
                     [&](std::int32_t x) { return x == numbers.front(); });
}

class Elementwise : public Function {
 public:
  explicit Elementwise(const FunctionPlace& place)
      : Function(place.text, place.program, place.op_index, place.prefix) {}

  FunctionCall emit(const RequantizeOp& requantize) {
    const Post& post = requantize.post;
    post_constants(post);
    open();
    each_element(differs_by_channel(post),
                 [&](const std::string& channel, const std::string& element) {
                   text_.line("out[{}] = {};", element,
                              post_value(post, fmt::format("in[{}]", element), channel, element));
                 });
    text_.line("}}");
    return call();
  }

  FunctionCall emit(const Table& table) {
    const auto size = static_cast<std::int64_t>(table.tables.at(0).size());
    const std::int64_t zero = -code_limits(in()).lo;  // the entry of code 0
    std::vector<std::int64_t> entries;
    for (const auto& one : table.tables) entries.insert(entries.end(), one.begin(), one.end());
    text_.array(out_type(), name_ + "_entry", entries);
    const bool several = table.tables.size() > 1;
    if (several) {
      std::vector<std::int64_t> zeros;
      for (const std::uint16_t index : table.table_of) zeros.push_back(index * size + zero);
      text_.array("int32_t", name_ + "_zero", zeros);
    }
    mask_constants(table.mask);
    open();
    if (!several)
      text_.line("const {} *const entry = {};", out_type(),
                 address(name_ + "_entry", fmt::format("{}", zero)));
    each_element(several, [&](const std::string& channel, const std::string& element) {
      std::string value =
          several ? fmt::format("{0}_entry[{0}_zero[{1}] + in[{2}]]", name_, channel, element)
                  : fmt::format("entry[in[{}]]", element);
      if (!table.mask.empty())
        value = fmt::format("({})({} ? {} : 0)", out_type(), keeps(element), value);
      text_.line("out[{}] = {};", element, value);
    });
    text_.line("}}");
    return call();
  }

  FunctionCall emit(const Add& add) {
    post_constants(add.post);
    std::string multipliers[2];
    for (const std::size_t k : {0, 1}) {
      const std::vector<std::int32_t>& numbers = add.multipliers[k];
      multipliers[k] =
          constant(fmt::format("multiplier{}", k), {numbers.begin(), numbers.end()}, "c");
    }
    const auto product = [&](std::size_t k, const std::string& code) {
      return multipliers[k] == "1" ? fmt::format("(int32_t){}", code)
                                   : fmt::format("(int32_t){} * {}", code, multipliers[k]);
    };
    combine(add.post, !all_equal(add.multipliers[0]) || !all_equal(add.multipliers[1]),
            [&](const std::string& a, const std::string& b) {
              return fmt::format("{} + {}", product(0, a), product(1, b));
            });
    return call();
  }

  FunctionCall emit(const Mul& mul) {
    post_constants(mul.post);
    combine(mul.post, false, [](const std::string& a, const std::string& b) {
      return fmt::format("(int32_t){} * {}", a, b);
    });
    return call();
  }

 private:
  // Runs `body(channel, element)`, both C expressions, inside loops over all elements. Where
  // channels do not matter there is one loop, and no channel.
  template <typename Body>
  void each_element(bool by_channel, Body&& body) {
    if (!by_channel) {
      text_.line("for (int32_t i = 0; i < {}; ++i) {{", out_.shape.count());
      body(std::string(), std::string("i"));
      text_.line("}}");
      return;
    }
    text_.line("for (int32_t i = 0; i < {}; i += {}) {{", out_.shape.count(), out_.shape.c);
    text_.line("for (int32_t c = 0; c < {}; ++c) {{", out_.shape.c);
    body(std::string("c"), std::string("i + c"));
    text_.line("}}");
    text_.line("}}");
  }

  // How an input takes part.
  bool has_all_positions(std::size_t k) const {
    return in(k).shape.h == out_.shape.h && in(k).shape.w == out_.shape.w;
  }
  bool has_one_position(std::size_t k) const { return in(k).shape.h == 1 && in(k).shape.w == 1; }
  bool serves_all_channels(std::size_t k) const { return in(k).shape.c == 1 && out_.shape.c > 1; }

  // The whole function: each element of the output is the sum or product of two codes, each a C
  // expression.
  template <typename Combination>
  void combine(const Post& post, bool multiplies_by_channel, Combination&& combination) {
    open();
    const auto store = [&](const std::string& a, const std::string& b, const std::string& channel,
                           const std::string& element) {
      text_.line("const int32_t acc = {};", combination(a, b));
      text_.line("out[{}] = {};", element, post_value(post, "acc", channel, element));
    };
    const auto whole = [&](std::size_t k) {
      return has_all_positions(k) && !serves_all_channels(k);
    };
    if (whole(0) && whole(1)) {
      each_element(multiplies_by_channel || differs_by_channel(post),
                   [&](const std::string& channel, const std::string& element) {
                     store(fmt::format("in0[{}]", element), fmt::format("in1[{}]", element),
                           channel, element);
                   });
    } else {
      const std::int64_t loops = open_positions();
      std::string codes[2];
      for (const std::size_t k : {0, 1}) codes[k] = at_position(k, loops == 2);
      text_.line("for (int32_t c = 0; c < {}; ++c) {{", out_.shape.c);
      store(codes[0], codes[1], "c", "element + c");
      text_.line("}}");
      for (std::int64_t i = 0; i < loops; ++i) text_.line("}}");
    }
    text_.line("}}");
  }

  // Loops over positions: over i where each input has all of them or one, else over y and x.
  // Declares `element`, the first of the position. Returns how many loops it opened.
  std::int64_t open_positions() {
    const auto flat = [&](std::size_t k) { return has_all_positions(k) || has_one_position(k); };
    if (flat(0) && flat(1)) {
      text_.line("for (int32_t i = 0; i < {}; ++i) {{", out_.shape.h * out_.shape.w);
      text_.line("const int32_t element = {};", times("i", out_.shape.c));
      return 1;
    }
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", out_.shape.h);
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", out_.shape.w);
    text_.line("const int32_t element = {};",
               times(plus(times("y", out_.shape.w), "x"), out_.shape.c));
    return 2;
  }

  // The C expression of input k's code for channel c. What serves all channels is read before their
  // loop.
  std::string at_position(std::size_t k, bool by_row) {
    const Shape& shape = in(k).shape;
    std::string position = has_one_position(k) ? "0" : "i";
    if (by_row) position = plus(shape.h == 1 ? "0" : times("y", shape.w), shape.w == 1 ? "0" : "x");
    const std::string first = times(position, shape.c);
    if (serves_all_channels(k)) {
      text_.line("const int32_t all{} = in{}[{}];", k, k, first);
      return fmt::format("all{}", k);
    }
    text_.line("const {} *p{} = {};", in_type(k), k, address(in_name(k), first));
    return fmt::format("p{}[c]", k);
  }
};

}  // namespace

FunctionCalls emit_kind(const FunctionPlace& place, const Add& add) {
  return {Elementwise(place).emit(add)};
}

FunctionCalls emit_kind(const FunctionPlace& place, const Mul& mul) {
  return {Elementwise(place).emit(mul)};
}

FunctionCalls emit_kind(const FunctionPlace& place, const RequantizeOp& requantize) {
  return {Elementwise(place).emit(requantize)};
}

FunctionCalls emit_kind(const FunctionPlace& place, const Table& table) {
  return {Elementwise(place).emit(table)};
}

}  // namespace lockstep::backends
