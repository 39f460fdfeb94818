// Calls of micro-kernels, which are not followed but known.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "verify/c_proof/machine.h"

namespace lockstep::c_proof {
namespace {

using Kind = Value::Kind;

constexpr Int kMostCounted = Int{1} << 26;  // places of taps are 32-bit numbers
constexpr int kArenaAlignment = 16;

struct Bytes {
  int index;
  Int begin, end;
  bool overlaps(const Bytes& other) const {
    return index == other.index && begin < other.end && other.begin < end;
  }
};
Bytes bytes_at(const Value& pointer, Int first, Int count, const Type& element) {
  const Int begin = pointer.number + first * element.size();
  return {pointer.index, begin, begin + count * element.size()};
}

}  // namespace

void Machine::micro_call(const MicroKernel& kernel, const std::vector<Value>& arguments, int line) {
  for (std::size_t i = 0; i < arguments.size(); ++i)
    if (kernel.parameters[i].is_pointer && arguments[i].kind != Kind::kPointer)
      refuse("", line, "a pointer is needed here");
  if (const auto* const placing = std::get_if<Placing>(&kernel.meaning))
    place_codes(kernel, *placing, arguments, line);
  else if (const auto* const dot = std::get_if<Dot>(&kernel.meaning))
    add_products(kernel, *dot, arguments, line);
  else
    add_pairs(kernel, std::get<Map>(kernel.meaning), arguments, line);
}

// The arguments that are numbers; 0 for pointers.
std::vector<Int> Machine::numbers_of(const MicroKernel& kernel, const std::vector<Value>& arguments,
                                     int line) const {
  std::vector<Int> numbers;
  for (std::size_t i = 0; i < arguments.size(); ++i)
    numbers.push_back(kernel.parameters[i].is_pointer ? 0 : number(arguments[i], line));
  return numbers;
}

void Machine::require_aligned(const Value& pointer, int alignment, int line) const {
  const int begin = pointer.index == Value::kArena ? kArenaAlignment
                    : pointer.index < 0            ? array(pointer, line).element.size()
                                                   : table(pointer, line).alignment;
  if (begin % alignment != 0 || pointer.number % alignment != 0)
    refuse("", line, fmt::format("an array that must begin at a multiple of {} bytes", alignment));
}

void Machine::place_codes(const MicroKernel& kernel, const Placing& placing,
                          const std::vector<Value>& arguments, int line) {
  const auto moves = placing.moves(numbers_of(kernel, arguments, line));
  if (!moves) refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  spend(std::ssize(*moves), line);
  nodes_used_ += std::ssize(*moves);
  const Value& to = arguments[0];
  const Type written = kernel.parameters[0].pointee();
  require_aligned(to, placing.alignment, line);
  if (moves->empty()) return;

  const auto [first, last] = std::ranges::minmax(*moves, {}, &Move::to);
  const Bytes target = bytes_at(to, first.to, last.to - first.to + 1, written);
  std::vector<Value> codes;  // all are read before any is written
  for (const Move& move : *moves) {
    if (move.from < 0) {
      codes.push_back(Value::of(0));
      continue;
    }
    const Value& from = arguments[at(move.from)];
    const Type code = kernel.parameters[at(move.from)].pointee();
    if (target.overlaps(bytes_at(from, move.element, 1, code)))
      refuse("", line, "codes that lie where they are put");
    codes.push_back(load(advanced(from, Value::of(move.element), code, line), code, line));
  }
  for (std::size_t i = 0; i < codes.size(); i += at(placing.lanes)) {
    Value value = codes[i];
    if (placing.lanes > 1) {
      const auto begin = codes.begin() + static_cast<std::ptrdiff_t>(i);
      value = {Kind::kPacked, 0, 0, 0, std::make_shared<Root>()};
      value.root->kind = Root::Kind::kPacked;
      value.root->sides.assign(begin, begin + placing.lanes);
    }
    store(advanced(to, Value::of((*moves)[i].to), written, line), written, value, line);
  }
}

void Machine::add_pairs(const MicroKernel& kernel, const Map& map,
                        const std::vector<Value>& arguments, int line) {
  const std::vector<Int> numbers = numbers_of(kernel, arguments, line);
  const Int count = numbers[3];
  const auto steps = map.steps(numbers);
  if (!steps || count > kMostCounted)
    refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  const Value& out = arguments[0];
  const auto element = [&](std::size_t i) { return kernel.parameters[i].pointee(); };
  for (const std::size_t in : {1, 2})
    if (count > 0 && out.number != arguments[in].number &&
        bytes_at(out, 0, count, element(0))
            .overlaps(bytes_at(arguments[in], 0, count, element(in))))
      refuse("", line, "codes that lie where they are put");
  for (Int i = 0; i < count; ++i) {
    spend(1, line);
    ++nodes_used_;
    const auto code = [&](std::size_t in) {
      return load(advanced(arguments[in], Value::of(i), element(in), line), element(in), line);
    };
    Value value = add(code(1), code(2), 1, kInt32, line);
    for (const Step& step : *steps) value = stepped(value, step, line);
    store(advanced(out, Value::of(i), element(0), line), element(0),
          converted(value, element(0), line), line);
  }
}

Machine::Code Machine::code_of(const Value& value, int line) const {
  if (value.is_number()) return {-1, value.number, value.number};
  if (value.kind != Kind::kAtom || value.number != 1) refuse("", line, "a code is needed here");
  const auto [lo, hi] = atoms_[at(value.index)];
  return {value.index, lo, hi};
}

// Codes of a tap each, times their weights; each `chunk` of them must fit 16 bits, where it is not
// 0.
Value Machine::sum_of(const Value& start, const std::vector<Code>& codes,
                      const std::vector<Int>& weights, Int chunk, int line) const {
  const Range begin = range(start, line);
  auto root = std::make_shared<Root>();
  if (start.is_number())
    root->constant = start.number;
  else if (start.kind == Kind::kAtom)
    root->terms.emplace_back(start.index, start.number);
  else if (start.is_root(Root::Kind::kSum))
    *root = *start.root;
  else
    refuse("", line, "a sum of what is no sum of elements");
  root->range = begin;
  root->terms.reserve(root->terms.size() + codes.size());

  Int magnitude = std::max(std::abs(begin.lo), std::abs(begin.hi));
  const std::size_t step = chunk == 0 ? codes.size() : at(chunk);
  for (std::size_t first = 0; first < codes.size(); first += step) {
    Range part;
    for (std::size_t t = first; t < std::min(first + step, codes.size()); ++t) {
      const Int weight = weights[t];
      if (weight == 0) continue;
      const auto [atom, lo, hi] = codes[t];
      const Int a = weight * lo, b = weight * hi;
      if (atom < 0)
        root->constant += a;
      else
        root->terms.emplace_back(atom, weight);
      magnitude += std::max(std::abs(a), std::abs(b));
      part.lo += std::min(a, b);
      part.hi += std::max(a, b);
    }
    if (chunk != 0 && (part.lo < INT16_MIN || part.hi > INT16_MAX))
      refuse("", line,
             fmt::format("a chunk's sum of {} to {} does not fit 16 bits", part.lo, part.hi));
    root->range.lo += part.lo;
    root->range.hi += part.hi;
  }
  if (magnitude > INT32_MAX)
    refuse("", line, fmt::format("sums of up to {} do not fit int32_t", magnitude));
  if (root->terms.empty()) return Value::of(root->constant);
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

void Machine::add_products(const MicroKernel& kernel, const Dot& dot,
                           const std::vector<Value>& arguments, int line) {
  const Value &sums = arguments[0], &start = arguments[1], &panel = arguments[2],
              &weights = arguments[3];
  const Type panel_type = kernel.parameters[2].pointee(),
             weight_type = kernel.parameters[3].pointee();
  const Int count = number(arguments[4], line);
  const Int chunk = dot.lanes > 1 ? number(arguments[5], line) : 0;
  if (count < dot.least_count || count > kMostCounted || chunk < (dot.lanes > 1 ? 1 : 0))
    refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  const Int taps = count * dot.taps_per_count;
  spend(taps * dot.outputs, line);
  nodes_used_ += taps * dot.outputs;
  require_aligned(panel, dot.alignment, line);
  require_aligned(weights, dot.alignment, line);
  const Table& all = table(weights, line);
  if (all.element != weight_type || weights.number % weight_type.size() != 0)
    refuse("", line, "an array of another type");

  // Every number of the panel is read once.
  const Bytes written = bytes_at(sums, 0, dot.outputs, kInt32);
  std::vector<std::vector<std::optional<Code>>> known(at(dot.lanes));
  const auto code_at = [&](Int place, Int output) -> const Code& {
    auto& of_lane = known[at(output % dot.lanes)];
    if (place >= std::ssize(of_lane)) of_lane.resize(at(2 * place + 1));
    std::optional<Code>& code = of_lane[at(place)];
    if (!code) {
      if (written.overlaps(bytes_at(panel, place, 1, panel_type)))
        refuse("", line, "sums that lie in what they are made of");
      const Value value =
          load(advanced(panel, Value::of(place), panel_type, line), panel_type, line);
      if (dot.lanes > 1 && value.kind != Kind::kPacked)
        refuse("", line, "a packed number is needed here");
      code = code_of(dot.lanes > 1 ? value.root->sides[at(output % dot.lanes)] : value, line);
    }
    return *code;
  };

  const Int first_weight = weights.number / weight_type.size();
  std::vector<Code> codes(at(taps));
  std::vector<Int> factors(at(taps));
  std::vector<Value> made;
  for (Int i = 0; i < dot.outputs; ++i) {
    for (Int t = 0; t < taps; ++t) {
      const Int place = first_weight + dot.weight_place(t, i);
      if (place >= std::ssize(all.numbers)) refuse("", line, "a read behind an array");
      factors[at(t)] = all.numbers[at(place)];
      codes[at(t)] = code_at(dot.code_place(t, i), i);
    }
    const Int c = i / dot.positions;
    if (written.overlaps(bytes_at(start, c, 1, kInt32)))
      refuse("", line, "sums that lie in what they are made of");
    const Value begin = load(advanced(start, Value::of(c), kInt32, line), kInt32, line);
    made.push_back(sum_of(begin, codes, factors, chunk, line));
  }
  for (std::size_t i = 0; i < made.size(); ++i)
    store(advanced(sums, Value::of(static_cast<Int>(i)), kInt32, line), kInt32, made[i], line);
}

}  // namespace lockstep::c_proof
