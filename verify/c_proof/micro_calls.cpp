// Calls of micro-kernels, which are not followed but known.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "verify/c_proof/machine.h"

namespace lockstep::c_proof {
namespace {

using Kind = Value::Kind;

constexpr Int kMostCounted = Int{1} << 26;  // places of taps are 32-bit numbers
constexpr int kArenaAlignment = 16;
constexpr Int kMostAddend = Int{1} << 30;

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

bool fits(Int number, int bits) {
  return number >= -(Int{1} << (bits - 1)) && number < Int{1} << (bits - 1);
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
  else if (const auto* const products = std::get_if<LaneProducts>(&kernel.meaning))
    add_lanes(kernel, *products, arguments, line);
  else if (const auto* const listed = std::get_if<ListedProducts>(&kernel.meaning))
    add_listed(kernel, *listed, arguments, line);
  else if (const auto* const map = std::get_if<Map>(&kernel.meaning))
    add_pairs(kernel, *map, arguments, line);
  else if (std::holds_alternative<Keep>(kernel.meaning))
    keep(kernel, arguments, line);
  else
    finish(kernel, std::get<Finish>(kernel.meaning), arguments, line);
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
    require_aligned(from, placing.from_alignment, line);
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
  const auto form = map.form(numbers);
  if (!form || count > kMostCounted)
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
    const Value a = multiply(Value::of(form->multiplier_a), code(1), kInt32, line),
                b = multiply(Value::of(form->multiplier_b), code(2), kInt32, line);
    Value value = add(a, b, 1, kInt32, line);
    for (const Value* const part : {&a, &b, static_cast<const Value*>(&value)})
      if (const Range found = range(*part, line);
          found.lo < form->range.lo || found.hi > form->range.hi)
        refuse("", line, fmt::format("a sum of {} to {} does not fit", found.lo, found.hi));
    for (const Step& step : form->steps) value = stepped(value, step, line);
    store(advanced(out, Value::of(i), element(0), line), element(0),
          converted(value, element(0), line), line);
  }
}

void Machine::keep(const MicroKernel& kernel, const std::vector<Value>& arguments, int line) {
  const Int count = numbers_of(kernel, arguments, line)[2];
  if (count < 0 || count > kMostCounted)
    refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  const Type code = kernel.parameters[0].pointee();
  const std::vector<Int> mask =
      first_numbers(arguments[1], kernel.parameters[1].pointee(), (count + 7) / 8, line);
  spend(count, line);
  require_inside(arguments[0], 0, count, code, line);
  for (Int i = 0; i < count; ++i)
    if ((mask[at(i / 8)] >> i % 8 & 1) == 0)
      store(advanced(arguments[0], Value::of(i), code, line), code, Value::of(0), line);
}

void Machine::finish(const MicroKernel& kernel, const Finish& finish,
                     const std::vector<Value>& arguments, int line) {
  const Value &out = arguments[0], &sums = arguments[at(finish.sums)];
  const Type element = kernel.parameters[0].pointee();
  const auto codes = finish.codes(
      numbers_of(kernel, arguments, line),
      first_numbers(arguments[at(finish.constants)], kInt32, finish.constant_count, line));
  if (!codes) refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  spend(std::ssize(*codes), line);
  nodes_used_ += std::ssize(*codes);
  Int sum_count = finish.sum_count;
  for (const Finish::Code& code : *codes) sum_count = std::max(sum_count, code.sum + 1);
  require_inside(sums, 0, sum_count, kInt32, line);
  const Bytes read = bytes_at(sums, 0, sum_count, kInt32);
  for (const auto& [to, sum, step] : *codes) {
    if (read.overlaps(bytes_at(out, to, 1, element)))
      refuse("", line, "codes that lie in their sums");
    const Value value =
        stepped(load(advanced(sums, Value::of(sum), kInt32, line), kInt32, line), step, line);
    store(advanced(out, Value::of(to), element, line), element, converted(value, element, line),
          line);
  }
}

// Elements that may hold anything.
void Machine::require_inside(const Value& pointer, Int first, Int count, const Type& type,
                             int line) const {
  (void)advanced(advanced(pointer, Value::of(first), type, line), Value::of(count), type, line);
}

Machine::Code Machine::code_of(const Value& value, int line) const {
  if (value.is_number()) return {-1, value.number, value.number};
  if (value.kind != Kind::kAtom || value.number != 1) refuse("", line, "a code is needed here");
  const auto [lo, hi] = atoms_[at(value.index)];
  return {value.index, lo, hi};
}

// `start` and codes of a tap each, times their weights.
Value Machine::sum_of(Value start, const std::vector<Code>& codes, const std::vector<Int>& weights,
                      const std::vector<Int>& chunk_ends, int chunk_bits, int line) const {
  const Range begin = range(start, line);
  auto root = std::make_shared<Root>();
  if (start.is_number())
    root->constant = start.number;
  else if (start.kind == Kind::kAtom)
    root->terms.emplace_back(start.index, start.number);
  else if (start.is_root(Root::Kind::kSum))
    root =
        start.root.use_count() == 1 ? std::move(start.root) : std::make_shared<Root>(*start.root);
  else
    refuse("", line, "a sum of what is no sum of elements");
  if (root->terms.empty()) root->terms.reserve(codes.size());

  Int magnitude = std::max(std::abs(begin.lo), std::abs(begin.hi));
  Range products, chunk;  // of all so far, and before the chunk
  std::size_t ended = 0;
  for (std::size_t t = 0; t < codes.size(); ++t) {
    if (const Int weight = weights[t]; weight != 0) {
      const auto [atom, lo, hi] = codes[t];
      const Int a = weight * lo, b = weight * hi;
      if (atom < 0)
        root->constant += a;
      else
        root->terms.emplace_back(atom, weight);
      magnitude += std::max(std::abs(a), std::abs(b));
      products.lo += std::min(a, b);
      products.hi += std::max(a, b);
    }
    if (ended == chunk_ends.size() || chunk_ends[ended] != static_cast<Int>(t + 1)) continue;
    ++ended;
    const Range part{products.lo - chunk.lo, products.hi - chunk.hi};
    if (!fits(part.lo, chunk_bits) || !fits(part.hi, chunk_bits))
      refuse("", line,
             fmt::format("a chunk's sum of {} to {} does not fit {} bits", part.lo, part.hi,
                         chunk_bits));
    chunk = products;
  }
  if (magnitude > INT32_MAX)
    refuse("", line, fmt::format("sums of up to {} do not fit int32_t", magnitude));
  root->range = {begin.lo + products.lo, begin.hi + products.hi};
  if (root->terms.empty()) return Value::of(root->constant);
  return {Kind::kFunction, 0, 0, 0, std::move(root)};
}

void Machine::add_lanes(const MicroKernel& kernel, const LaneProducts& products,
                        const std::vector<Value>& arguments, int line) {
  const Value &sums = arguments[0], &positions = arguments[1], &weight = arguments[2];
  const Type word = kernel.parameters[1].pointee();
  const auto lanes_of = [&](const Value& value) -> const std::vector<Value>& {
    if (value.kind != Kind::kPacked || std::ssize(value.root->sides) != products.lanes)
      refuse("", line, "a packed number is needed here");
    return value.root->sides;
  };
  spend(products.count * products.lanes, line);
  nodes_used_ += products.count * products.lanes;
  std::vector<Int> factors;
  for (const Value& lane : lanes_of(weight)) factors.push_back(number(lane, line));
  if (bytes_at(sums, 0, products.count, kInt32)
          .overlaps(bytes_at(positions, 0, products.count, word)))
    refuse("", line, "sums that lie in what they are made of");
  for (Int p = 0; p < products.count; ++p) {
    std::vector<Code> codes;
    const Value position = load(advanced(positions, Value::of(p), word, line), word, line);
    for (const Value& lane : lanes_of(position)) codes.push_back(code_of(lane, line));
    const Value to = advanced(sums, Value::of(p), kInt32, line);
    Value start = load(to, kInt32, line);
    // Nobody else holds it then, so that it grows in place.
    if (to.index < Value::kArena) store(to, kInt32, Value::of(0), line);
    store(to, kInt32, sum_of(std::move(start), codes, factors, {}, 16, line), line);
  }
}

namespace {

// The weights of a channel, the words that their codes are in, and where chunks end.
struct ListedChannel {
  std::vector<Int> weights, words, chunk_ends;
};

// What a channel's list says; `at` moves behind it. Nothing where it is not as the header says.
std::optional<ListedChannel> listed_channel(const std::vector<Int>& numbers, std::size_t& at) {
  ListedChannel channel;
  while (at < numbers.size()) {
    const Int number = numbers[at++], place = number & 0xffff, count = std::ssize(channel.words);
    if (number >> 16 != 0) {
      if (place % 4 != 0) return std::nullopt;
      channel.weights.push_back(number >> 16);
      channel.words.push_back(place / 4);
      continue;
    }
    const bool is_empty = count == (channel.chunk_ends.empty() ? 0 : channel.chunk_ends.back());
    if (is_empty) return number == 0 && count == 0 ? std::optional(channel) : std::nullopt;
    channel.chunk_ends.push_back(count);
    if (number == 0) continue;
    return number == std::ssize(channel.chunk_ends) ? std::optional(channel) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

void Machine::add_listed(const MicroKernel& kernel, const ListedProducts& listed,
                         const std::vector<Value>& arguments, int line) {
  const Value &out = arguments[0], &start = arguments[1], &panel = arguments[3],
              &list = arguments[4];
  const std::vector<Int> numbers = numbers_of(kernel, arguments, line);
  const Int channels = numbers[2], positions = listed.positions;
  const Type element = kernel.parameters[0].pointee();
  const Table& all = table(list, line);
  if (all.element != kernel.parameters[4].pointee() || list.number % all.element.size() != 0)
    refuse("", line, "an array of another type");
  if (channels < 1 || channels > kMostCounted ||
      (listed.codes && (numbers[5] < channels || numbers[5] > kMostCounted ||
                        !is_code_range(numbers[6], numbers[7]))))
    refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  std::vector<Int> constants;
  if (listed.codes) constants = first_numbers(start, kInt32, 3 * channels, line);
  const auto place = [&](Int channel, Int position) {
    return listed.codes ? numbers[5] * position + channel : positions * channel + position;
  };
  const Bytes written = bytes_at(out, 0, place(channels - 1, positions - 1) + 1, element);
  if (written.overlaps(bytes_at(start, 0, channels, kInt32)))
    refuse("", line, "sums that lie in what they are made of");

  auto next = static_cast<std::size_t>(list.number / all.element.size());
  std::vector<std::array<std::optional<Code>, 2>> known;  // the codes of the panel's words
  const auto code_at = [&](Int word, Int lane) -> const Code& {
    if (word >= std::ssize(known)) known.resize(at(2 * word + 1));
    std::optional<Code>& code = known[at(word)][at(lane)];
    if (!code) {
      if (written.overlaps(bytes_at(panel, word, 1, kInt32)))
        refuse("", line, "sums that lie in what they are made of");
      const Value value = load(advanced(panel, Value::of(word), kInt32, line), kInt32, line);
      if (value.kind != Kind::kPacked || value.root->sides.size() != 2)
        refuse("", line, "a packed number is needed here");
      code = code_of(value.root->sides[at(lane)], line);
    }
    return *code;
  };
  std::vector<Value> made;
  for (Int c = 0; c < channels; ++c) {
    const auto channel = listed_channel(all.numbers, next);
    if (!channel) refuse("", line, "a list of weights that is none");
    const Int count = std::ssize(channel->words);
    spend((count + 1) * positions, line);
    nodes_used_ += (count + 1) * positions;
    const Value begin = listed.codes
                            ? Value::of(constants[at(3 * c)])
                            : load(advanced(start, Value::of(c), kInt32, line), kInt32, line);
    std::vector<Code> codes(at(count));
    for (Int p = 0; p < positions; ++p) {
      for (Int t = 0; t < count; ++t) codes[at(t)] = code_at(channel->words[at(t)] + p / 2, p % 2);
      made.push_back(sum_of(begin, codes, channel->weights, channel->chunk_ends, 16, line));
    }
  }
  for (Int i = 0; i < channels * positions; ++i) {
    const Int c = i / positions;
    Value value = std::move(made[at(i)]);
    if (listed.codes) {
      const Int multiplier = constants[at(3 * c + 1)], addend = constants[at(3 * c + 2)];
      if (std::abs(addend) > kMostAddend)
        refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
      const Step step{Step::Kind::kScale,
                      {multiplier, addend * (Int{1} << 32), 32, 1, numbers[6], numbers[7]}};
      value = converted(stepped(value, step, line), element, line);
    }
    store(advanced(out, Value::of(place(c, i % positions)), element, line), element, value, line);
  }
}

// The weight of output `output` in a number of an array of weights.
Int Machine::weight_in(Int number, int weight_bits, Int output, int line) {
  if (weight_bits == 0) return number;
  const Int unit = Int{1} << weight_bits;
  const Int even = ((number + unit / 2) & (unit - 1)) - unit / 2, odd = (number - even) / unit;
  if (!fits(odd, weight_bits)) refuse("", line, "a number that is no two weights");
  return output % 2 == 0 ? even : odd;
}

// The first numbers of a constant array.
std::vector<Int> Machine::first_numbers(const Value& pointer, const Type& type, Int count,
                                        int line) const {
  const Table& all = table(pointer, line);
  const Int first = pointer.number / type.size(), size = std::ssize(all.numbers);
  if (all.element != type || pointer.number % type.size() != 0)
    refuse("", line, "an array of another type");
  if (count < 0 || count > size - first) refuse("", line, "a read behind an array");
  const auto begin = all.numbers.begin() + static_cast<std::ptrdiff_t>(first);
  return {begin, begin + static_cast<std::ptrdiff_t>(count)};
}

void Machine::add_products(const MicroKernel& kernel, const Dot& dot,
                           const std::vector<Value>& arguments, int line) {
  const Value &sums = arguments[0], &start = arguments[1], &panel = arguments[at(dot.codes)],
              &weights = arguments[at(dot.weights)];
  const auto element = [&](int parameter) { return kernel.parameters[at(parameter)].pointee(); };
  const std::vector<Int> numbers = numbers_of(kernel, arguments, line);
  std::vector<Int> lengths;
  if (dot.lengths >= 0)
    lengths = first_numbers(arguments[at(dot.lengths)], element(dot.lengths),
                            numbers[at(dot.lengths + 1)], line);
  const auto shape = dot.shape(numbers, lengths);
  if (!shape) refuse("", line, fmt::format("arguments of '{}' out of range", kernel.name));
  spend(shape->taps * shape->outputs, line);
  nodes_used_ += shape->taps * shape->outputs;
  require_aligned(panel, dot.alignment, line);
  require_aligned(weights, dot.alignment, line);
  const Table& all = table(weights, line);
  const Type code_type = element(dot.codes), weight_type = element(dot.weights);
  if (all.element != weight_type || weights.number % weight_type.size() != 0)
    refuse("", line, "an array of another type");
  const Int first_weight = weights.number / weight_type.size();

  Int last_sum = 0;
  const Int accessed = std::max(shape->accessed, shape->outputs);
  for (Int i = 0; i < accessed; ++i) last_sum = std::max(last_sum, dot.sum(i));
  const Bytes written = bytes_at(sums, 0, last_sum + 1, kInt32);
  const auto require_apart = [&](const Value& from, Int place, const Type& type) {
    if (written.overlaps(bytes_at(from, place, 1, type)))
      refuse("", line, "sums that lie in what they are made of");
  };
  Int base = 0;
  for (Int i = 0; i < shape->outputs && shape->taps > 0; ++i)
    base = std::min(i == 0 ? INT64_MAX : base, dot.product(numbers, 0, i).code);
  // Every number of the panel from there on is read once, for each lane.
  std::vector<std::vector<std::optional<Code>>> known(at(dot.lanes));
  const auto code_at = [&](Int place, std::size_t lane) -> const Code& {
    if (place < base) refuse("", line, "codes in front of the first one");
    if (place - base >= std::ssize(known[lane])) known[lane].resize(at(2 * (place - base) + 1));
    std::optional<Code>& code = known[lane][at(place - base)];
    if (!code) {
      require_apart(panel, place, code_type);
      const Value value = load(advanced(panel, Value::of(place), code_type, line), code_type, line);
      if (dot.lanes > 1 && value.kind != Kind::kPacked)
        refuse("", line, "a packed number is needed here");
      code = code_of(dot.lanes > 1 ? value.root->sides[lane] : value, line);
    }
    return *code;
  };

  std::vector<Code> codes(at(shape->taps));
  std::vector<Int> factors(at(shape->taps));
  std::vector<Value> made;
  for (Int i = 0; i < shape->outputs; ++i) {
    for (Int t = 0; t < shape->taps; ++t) {
      const auto [code, weight] = dot.product(numbers, t, i);
      const Int place = first_weight + weight;
      if (place < 0 || place + dot.high_byte >= std::ssize(all.numbers) || code < 0)
        refuse("", line, "a read behind an array");
      factors[at(t)] = weight_in(all.numbers[at(place)], dot.weight_bits, i, line);
      if (dot.high_byte > 0) factors[at(t)] += 256 * all.numbers[at(place + dot.high_byte)];
      if (dot.reads_around && factors[at(t)] == 0)
        require_inside(panel, code, 1, code_type, line);
      else
        codes[at(t)] = code_at(code, at(i % dot.lanes));
    }
    if (!dot.is_in_place || start.index != sums.index || start.number != sums.number)
      require_apart(start, dot.start(i), kInt32);
    const Value begin = load(advanced(start, Value::of(dot.start(i)), kInt32, line), kInt32, line);
    made.push_back(sum_of(begin, codes, factors, shape->chunk_ends, dot.chunk_bits, line));
  }
  for (Int i = shape->outputs; i < accessed; ++i) {
    for (Int t = 0; t < shape->taps; ++t)
      if (first_weight + dot.product(numbers, t, i).weight >= std::ssize(all.numbers))
        refuse("", line, "a read behind an array");
    require_inside(start, dot.start(i), 1, kInt32, line);
    if (sums.index >= Value::kArena)
      refuse("", line, "sums in an array of the function are needed");
    store(advanced(sums, Value::of(dot.sum(i)), kInt32, line), kInt32, Value(), line);
  }
  for (Int i = 0; i < shape->outputs; ++i)
    store(advanced(sums, Value::of(dot.sum(i)), kInt32, line), kInt32, made[at(i)], line);
}

}  // namespace lockstep::c_proof
