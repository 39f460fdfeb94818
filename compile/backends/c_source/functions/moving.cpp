// Moves, as nests of loops around memcpy or single elements, and argmax.
//
// Pieces come as lowering found them. Here their dimensions are put in the order of the output's
// memory and joined where they are contiguous, and pieces that differ in nothing but their place
// become one nest: with one loop more where the places are evenly spaced, else over a table.
#include <algorithm>
#include <array>

#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/functions/function.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// C99 promises 127 parameters; a call with many costs stack.
constexpr std::size_t kMaxInputsPerFunction = 16;
// From so many bytes on, memcpy is worth its call.
constexpr std::int64_t kMinBytesOfMemcpy = 8;

struct Dimension {
  std::int64_t count, in_step, out_step;
  bool operator==(const Dimension&) const = default;
};

// Pieces alike in all but their place.
struct Nest {
  std::size_t input;
  std::vector<Dimension> dimensions;              // outermost first; none for a single element
  std::vector<std::int64_t> in_first, out_first;  // per piece
};

std::vector<Dimension> dimensions_of(const MovePiece& piece) {
  std::vector<Dimension> dimensions;
  for (std::size_t k = 0; k < piece.count.size(); ++k)
    if (piece.count[k] > 1)
      dimensions.push_back({piece.count[k], piece.in_step[k], piece.out_step[k]});
  std::stable_sort(dimensions.begin(), dimensions.end(),
                   [](const Dimension& a, const Dimension& b) { return a.out_step > b.out_step; });
  for (std::size_t k = dimensions.size(); k-- > 1;) {
    Dimension &outer = dimensions[k - 1], &inner = dimensions[k];
    if (outer.in_step != inner.count * inner.in_step ||
        outer.out_step != inner.count * inner.out_step)
      continue;
    inner.count *= outer.count;
    dimensions.erase(dimensions.begin() + static_cast<std::ptrdiff_t>(k - 1));
  }
  return dimensions;
}

// Consecutive pieces that are alike.
std::vector<Nest> nests_of(const Move& move) {
  std::vector<Nest> nests;
  for (const MovePiece& piece : move.pieces) {
    std::vector<Dimension> dimensions = dimensions_of(piece);
    if (nests.empty() || nests.back().input != piece.input || nests.back().dimensions != dimensions)
      nests.push_back({piece.input, std::move(dimensions), {}, {}});
    nests.back().in_first.push_back(piece.in_first);
    nests.back().out_first.push_back(piece.out_first);
  }
  return nests;
}

bool evenly_spaced(const std::vector<std::int64_t>& numbers) {
  for (std::size_t i = 2; i < numbers.size(); ++i)
    if (numbers[i] - numbers[i - 1] != numbers[1] - numbers[0]) return false;
  return true;
}

std::int64_t elements_copied(const Move& move) {
  std::int64_t elements = 0;
  for (const MovePiece& p : move.pieces)
    elements += p.count[0] * p.count[1] * p.count[2] * p.count[3];
  return elements;
}

class Copies : public Function {
 public:
  Copies(const FunctionPlace& place, const Move& move)
      : Function(place.text, place.program, place.op_index, place.prefix), move_(move) {}

  FunctionCalls emit() {
    FunctionCalls calls;
    std::vector<Nest> nests = nests_of(move_);
    std::stable_sort(nests.begin(), nests.end(),
                     [](const Nest& a, const Nest& b) { return a.input < b.input; });
    for (std::size_t begin = 0; begin < nests.size();) {
      std::vector<std::size_t> inputs;  // those of this function
      std::size_t end = begin;
      for (; end < nests.size(); ++end) {
        if (!inputs.empty() && inputs.back() == nests[end].input) continue;
        if (inputs.size() == kMaxInputsPerFunction) break;
        inputs.push_back(nests[end].input);
      }
      calls.push_back(emit_part({nests.begin() + static_cast<std::ptrdiff_t>(begin),
                                 nests.begin() + static_cast<std::ptrdiff_t>(end)},
                                inputs, calls.size()));
      begin = end;
    }
    return calls;
  }

 private:
  FunctionCall emit_part(const std::vector<Nest>& nests, const std::vector<std::size_t>& inputs,
                         std::size_t part) {
    FunctionCall call{part == 0 ? name_ : fmt::format("{}_part{}", name_, part), {}};
    std::vector<std::string> places;  // tables of the nests that need one
    for (std::size_t n = 0; n < nests.size(); ++n)
      places.push_back(needs_table(nests[n]) ? place_table(nests[n], call.function, n) : "");
    std::string parameters;
    for (const std::size_t input : inputs) {
      call.inputs.push_back(op_.inputs[input]);
      parameters += fmt::format("const {} *{}, ", in_type(input), in_name(input));
    }
    text_.line("static void {}({}{} *out) {{", call.function, parameters, out_type());
    if (part == 0 && elements_copied(move_) < out_.shape.count())
      text_.line("memset(out, 0, {}u);", out_.byte_count());
    for (std::size_t n = 0; n < nests.size(); ++n) emit_nest(nests[n], places[n]);
    text_.line("}}");
    return call;
  }

  static bool needs_table(const Nest& nest) {
    return !evenly_spaced(nest.in_first) || !evenly_spaced(nest.out_first);
  }
  // Places in input and output, by turns.
  std::string place_table(const Nest& nest, const std::string& function, std::size_t n) {
    std::vector<std::int64_t> places;
    for (std::size_t i = 0; i < nest.in_first.size(); ++i) {
      places.push_back(nest.in_first[i]);
      places.push_back(nest.out_first[i]);
    }
    std::string name = fmt::format("{}_place{}", function, n);
    text_.array(narrowest_type(places), name, places);
    return name;
  }

  void emit_nest(const Nest& nest, const std::string& table) {
    std::vector<Dimension> dimensions = nest.dimensions;
    std::string from = fmt::format("{}", nest.in_first[0]),
                to = fmt::format("{}", nest.out_first[0]);
    std::int64_t depth = 0;
    const auto pieces = static_cast<std::int64_t>(nest.in_first.size());
    if (!table.empty()) {
      text_.line("for (int32_t i = 0; i < {}; i += 2) {{", 2 * pieces);
      from = table + "[i]";
      to = table + "[i + 1]";
      ++depth;
    } else if (pieces > 1) {
      dimensions.insert(dimensions.begin(), {pieces, nest.in_first[1] - nest.in_first[0],
                                             nest.out_first[1] - nest.out_first[0]});
    }
    // The innermost run, when it is contiguous on both sides.
    std::int64_t run = 1;
    if (!dimensions.empty() && dimensions.back().in_step == 1 && dimensions.back().out_step == 1 &&
        dimensions.back().count * out_.element_bytes() >= kMinBytesOfMemcpy) {
      run = dimensions.back().count;
      dimensions.pop_back();
    }
    constexpr std::string_view kNames[] = {"a", "b", "c", "d", "e"};
    for (std::size_t k = 0; k < dimensions.size(); ++k) {
      text_.line("for (int32_t {0} = 0; {0} < {1}; ++{0}) {{", kNames[k], dimensions[k].count);
      from = plus(from, times(kNames[k], dimensions[k].in_step));
      to = plus(to, times(kNames[k], dimensions[k].out_step));
      ++depth;
    }
    const std::string source = in_name(nest.input);
    if (run > 1)
      text_.line("memcpy({}, {}, {}u);", address("out", to), address(source, from),
                 run * out_.element_bytes());
    else
      text_.line("out[{}] = {}[{}];", to, source, from);
    for (; depth > 0; --depth) text_.line("}}");
  }

  const Move& move_;
};

class PlaceOfLargest : public Function {
 public:
  explicit PlaceOfLargest(const FunctionPlace& place)
      : Function(place.text, place.program, place.op_index, place.prefix) {}

  FunctionCall emit() {
    open();
    text_.line("for (int32_t i = 0; i < {}; ++i) {{", out_.shape.count());
    text_.line("const {} *p = {};", in_type(), address("in", times("i", in().shape.c)));
    text_.line("int32_t best = 0;");
    text_.line("{} largest = p[0];", in_type());
    text_.line("for (int32_t c = 1; c < {}; ++c) {{", in().shape.c);
    text_.line("if (p[c] > largest) {{");
    text_.line("largest = p[c];");
    text_.line("best = c;");
    text_.line("}}");
    text_.line("}}");
    text_.line("out[i] = best;");
    text_.line("}}");
    text_.line("}}");
    return call();
  }
};

}  // namespace

FunctionCalls emit_kind(const FunctionPlace& place, const Move& move) {
  return Copies(place, move).emit();
}

FunctionCalls emit_kind(const FunctionPlace& place, const ArgMax&) {
  return {PlaceOfLargest(place).emit()};
}

}  // namespace lockstep::backends
