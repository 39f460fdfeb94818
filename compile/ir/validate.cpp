// What must hold of every program after every pass. Ranges are derived anew and compared; the
// memory plan is checked by replaying who wrote which bytes last, which shares nothing with the
// planner's lifetimes.
#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <set>

#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "intrt/arith.h"
#include "intrt/plan_format.h"

namespace lockstep::ir {
namespace {

constexpr Range kInt32 = {std::numeric_limits<std::int32_t>::min(),
                          std::numeric_limits<std::int32_t>::max()};
bool takes_several_inputs(const OpKind& kind) {
  return std::holds_alternative<Add>(kind) || std::holds_alternative<Mul>(kind) ||
         std::holds_alternative<Move>(kind);
}

constexpr Range kInt16 = {std::numeric_limits<std::int16_t>::min(),
                          std::numeric_limits<std::int16_t>::max()};

bool contains(Range outer, Range inner) { return outer.lo <= inner.lo && inner.hi <= outer.hi; }

void check_channel_list(const Value& value) {
  if (value.channels.empty()) return;
  LOCKSTEP_ASSERT(!value.keep && std::ssize(value.channels) == value.shape.c);
  const std::set<std::int64_t> different(value.channels.begin(), value.channels.end());
  LOCKSTEP_ASSERT(different.size() == value.channels.size());
  LOCKSTEP_ASSERT(*different.begin() >= 0 && *different.rbegin() < std::int64_t{INTRT_MAX_DIM});
}

void check_value(const Value& value) {
  LOCKSTEP_ASSERT(!value.node.empty());
  const Shape& shape = value.shape;
  LOCKSTEP_ASSERT(shape.c >= 1 && shape.h >= 1 && shape.w >= 1);
  LOCKSTEP_ASSERT(shape.logical_rank >= 1 && shape.logical_rank <= 3);
  LOCKSTEP_ASSERT(shape.logical_rank != 2 || shape.h == 1);
  LOCKSTEP_ASSERT(value.bits >= 2 && value.bits <= 63);
  LOCKSTEP_ASSERT(!value.bytes || value.bits == 8);
  const auto channels = static_cast<std::size_t>(shape.c);
  LOCKSTEP_ASSERT(value.decimals.size() == 1 || value.decimals.size() == channels);
  LOCKSTEP_ASSERT(value.ranges.size() == channels);
  LOCKSTEP_ASSERT(value.offsets.empty() || (value.offsets.size() == channels && value.keep &&
                                            value.type() == ElementType::kInt32));
  check_channel_list(value);
  for (const Range& range : value.ranges) {
    LOCKSTEP_ASSERT(range.lo <= range.hi);
    LOCKSTEP_ASSERT(contains(code_limits(value), range));
  }
}

void check_mask(const std::vector<std::uint8_t>& mask, const Value& output) {
  LOCKSTEP_ASSERT(mask.empty() || mask.size() == static_cast<std::size_t>(output.shape.count()));
  for (const std::uint8_t keep : mask) LOCKSTEP_ASSERT(keep <= 1);
}

void check_scale(const Scale& scale, const Value& output) {
  LOCKSTEP_ASSERT(scale.rounding != Rounding::kHalfEven && output.bits <= 16);
  LOCKSTEP_ASSERT(scale.channels.size() == static_cast<std::size_t>(output.shape.c));
  const Range limits = code_limits(output.bits);
  for (const ChannelScale& c : scale.channels) {
    LOCKSTEP_ASSERT(c.lo <= c.hi && contains(limits, {c.lo, c.hi}));
    LOCKSTEP_ASSERT(c.shift >= 0 && c.shift <= INTRT_WIDE_SHIFT_MAX);
    LOCKSTEP_ASSERT(std::abs(c.addend) < std::int64_t{1} << 62);
    LOCKSTEP_ASSERT(c.codes.size() == (c.has_steps() ? c.thresholds.size() + 1 : 0));
    for (std::size_t i = 1; i < c.thresholds.size(); ++i)
      LOCKSTEP_ASSERT(c.thresholds[i - 1] < c.thresholds[i]);
    for (const std::int16_t code : c.codes) LOCKSTEP_ASSERT(contains(limits, {code, code}));
  }
}

enum class Width : std::uint8_t { kNormal, kWide };  // of the accumulators, 32 or 64 bits

void check_post(const Post& post, const Value& output, Width width) {
  LOCKSTEP_ASSERT(!post.is_none() || output.bits > 16);
  if (const Requantize* r = post.requantize()) {
    LOCKSTEP_ASSERT(r->shifts.size() == 1 ||
                    r->shifts.size() == static_cast<std::size_t>(output.shape.c));
    for (const int shift : r->shifts)
      LOCKSTEP_ASSERT(width == Width::kWide ? shift >= 0 && shift <= INTRT_WIDE_SHIFT_MAX
                                            : shift >= INTRT_SHIFT_MIN && shift <= INTRT_SHIFT_MAX);
    LOCKSTEP_ASSERT(r->lo <= 0 && r->hi >= 0);  // so that masks and clamps commute
    LOCKSTEP_ASSERT(contains(code_limits(output.bits), {r->lo, r->hi}));
  }
  if (const Scale* scale = post.scale()) {
    LOCKSTEP_ASSERT(width == Width::kNormal);
    check_scale(*scale, output);
  }
  check_mask(post.mask, output);
}

void check_window(const Window& window, const Shape& in, const Shape& out) {
  for (const int axis : {0, 1}) {
    const auto a = static_cast<std::size_t>(axis);
    LOCKSTEP_ASSERT(window.kernel[a] >= 1 && window.stride[a] >= 1 && window.dilation[a] >= 1);
    LOCKSTEP_ASSERT(window.pad[a] >= 0 && window.pad[a + 2] >= 0);
    LOCKSTEP_ASSERT(window.output_size(axis, axis == 0 ? in.h : in.w) ==
                    (axis == 0 ? out.h : out.w));
  }
}

// Accumulators as derived, within 32 bits, and within the output's own where they are stored raw.
template <typename Kind>
void check_accumulators(const Kind& kind, const Program& program, const Op& op, const Value& out,
                        Width width = Width::kNormal) {
  LOCKSTEP_ASSERT(kind.accumulators == accumulator_bounds(program, op));
  const int bits = kind.post.is_none() ? out.bits : width == Width::kWide ? 63 : 32;
  for (const Accumulator& acc : kind.accumulators)
    LOCKSTEP_ASSERT(acc.magnitude <= code_limits(bits).hi);
  check_post(kind.post, out, width);
}

// `channels`: input channels of a group.
void check_segments(const std::vector<Segment>& segments, std::int64_t channels) {
  if (segments.empty()) return;
  std::int64_t end = 0;
  for (const Segment& segment : segments) {
    LOCKSTEP_ASSERT(segment.end > end && segment.shift >= 0 && segment.shift <= 30);
    end = segment.end;
  }
  LOCKSTEP_ASSERT(end == channels && segments.front().shift == 0);
}

// How conv2d and linear keep their weights.
template <typename Kind>
void check_storage(const Kind& kind, std::int64_t channels) {
  LOCKSTEP_ASSERT(kind.segments.empty() || !(kind.sparse || kind.wide));
  check_segments(kind.segments, channels);
}

template <typename Kind>
void check_sum(const Kind& kind, const Program& program, const Op& op, const Value& in,
               const Value& out) {
  const auto channels = static_cast<std::size_t>(out.shape.c);
  LOCKSTEP_ASSERT(in.bits <= 16 && !in.bytes);
  LOCKSTEP_ASSERT(kind.weights.shape(0) == channels);
  LOCKSTEP_ASSERT(kind.bias.empty() || kind.bias.size() == channels);
  for (const std::int32_t weight : kind.weights)
    LOCKSTEP_ASSERT(contains(kind.wide ? kInt32 : kInt16, {weight, weight}));
  for (const std::int64_t b : kind.bias) LOCKSTEP_ASSERT(contains(kInt32, {b, b}));
  check_accumulators(kind, program, op, out, kind.wide ? Width::kWide : Width::kNormal);
}

template <typename Conv>
void check_convolution(const Conv& conv, const std::array<std::int64_t, 2>& kernel,
                       const Program& program, const Op& op, const Value& in, const Value& out) {
  const bool logical = program.layout == Layout::kLogical;
  LOCKSTEP_ASSERT(conv.weights.dimension() == 4);
  const auto extent = [&](std::size_t axis) {
    return static_cast<std::int64_t>(conv.weights.shape(axis));
  };
  LOCKSTEP_ASSERT(conv.groups >= 1 && extent(0) % conv.groups == 0);
  LOCKSTEP_ASSERT(extent(logical ? 1 : 3) * conv.groups == in.shape.c);
  LOCKSTEP_ASSERT(extent(logical ? 2 : 1) == kernel[0]);
  LOCKSTEP_ASSERT(extent(logical ? 3 : 2) == kernel[1]);
  LOCKSTEP_ASSERT(in.shape.logical_rank >= 2);
  check_sum(conv, program, op, in, out);
}

void check(const Conv2d& conv, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  check_window(conv.window, in.shape, out.shape);
  check_storage(conv, in.shape.c / conv.groups);
  check_convolution(conv, conv.window.kernel, program, op, in, out);
}

void check(const ConvTranspose2d& conv, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  for (const std::size_t a : {0, 1})
    LOCKSTEP_ASSERT(conv.kernel[a] >= 1 && conv.stride[a] >= 1 && conv.dilation[a] >= 1 &&
                    conv.pad[a] >= 0);
  check_convolution(conv, conv.kernel, program, op, in, out);
}

void check(const Linear& linear, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  LOCKSTEP_ASSERT(linear.weights.dimension() == 2);
  LOCKSTEP_ASSERT(static_cast<std::int64_t>(linear.weights.shape(1)) == in.shape.count());
  LOCKSTEP_ASSERT(out.shape.h == 1 && out.shape.w == 1);
  check_storage(linear, in.shape.c);
  check_sum(linear, program, op, in, out);
}

void check_same_format(const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(in.bits == out.bits);
  for (std::int64_t c = 0; c < std::max(in.shape.c, out.shape.c); ++c)
    LOCKSTEP_ASSERT(in.decimal(c * in.shape.c / out.shape.c) == out.decimal(c));
}

void check(const MaxPool2d& pool, const Program&, const Op&, const Value& in, const Value& out) {
  check_window(pool.window, in.shape, out.shape);
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c && !in.bytes);
  for (const std::size_t a : {0, 1}) {  // every window touches the input
    const std::int64_t size = a == 0 ? in.shape.h : in.shape.w;
    const std::int64_t last = ((a == 0 ? out.shape.h : out.shape.w) - 1) * pool.window.stride[a];
    LOCKSTEP_ASSERT(pool.window.pad[a] * 2 <= pool.window.kernel[a]);
    LOCKSTEP_ASSERT(pool.window.pad[a] == 0 || pool.window.dilation[a] <= size);
    LOCKSTEP_ASSERT(last < pool.window.pad[a] + size);
  }
  check_same_format(in, out);
}

void check(const AvgPool2d& pool, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c && !in.bytes);
  LOCKSTEP_ASSERT(static_cast<std::int64_t>(pool.rows.size()) == out.shape.h &&
                  static_cast<std::int64_t>(pool.columns.size()) == out.shape.w);
  constexpr std::int64_t kMostTimes = std::int64_t{1} << 24;
  for (const PoolSpan& span : pool.rows)
    LOCKSTEP_ASSERT(0 <= span.begin && span.begin < span.end && span.end <= in.shape.h &&
                    span.multiplier >= 1 && span.multiplier <= kMostTimes);
  for (const PoolSpan& span : pool.columns)
    LOCKSTEP_ASSERT(0 <= span.begin && span.begin < span.end && span.end <= in.shape.w &&
                    span.multiplier >= 1 && span.multiplier <= kMostTimes);
  check_accumulators(pool, program, op, out);
}

void check_broadcast(const Program& program, const Op& op, const Value& out) {
  LOCKSTEP_ASSERT(op.inputs.size() == 2);
  for (const ValueId id : op.inputs) {
    const Value& in = program.values.at(id);
    LOCKSTEP_ASSERT(!in.bytes);
    LOCKSTEP_ASSERT(in.shape.c == out.shape.c || in.shape.c == 1);
    LOCKSTEP_ASSERT(in.shape.h == out.shape.h || in.shape.h == 1);
    LOCKSTEP_ASSERT(in.shape.w == out.shape.w || in.shape.w == 1);
  }
}

void check(const Add& add, const Program& program, const Op& op, const Value&, const Value& out) {
  check_broadcast(program, op, out);
  for (const auto& multipliers : add.multipliers)
    LOCKSTEP_ASSERT(multipliers.size() == static_cast<std::size_t>(out.shape.c));
  check_accumulators(add, program, op, out);
}

void check(const Mul& mul, const Program& program, const Op& op, const Value&, const Value& out) {
  check_broadcast(program, op, out);
  check_accumulators(mul, program, op, out);
}

void check(const RequantizeOp& op, const Program&, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c && in.shape.h == out.shape.h &&
                  in.shape.w == out.shape.w && !in.bytes);
  LOCKSTEP_ASSERT(!op.post.is_none() || in.bits <= out.bits);
  check_post(op.post, out, in.bits > 32 ? Width::kWide : Width::kNormal);
}

void check(const Table& table, const Program&, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c && in.shape.h == out.shape.h &&
                  in.shape.w == out.shape.w && in.bits <= 16 && out.bits <= 16);
  LOCKSTEP_ASSERT(table.table_of.size() == static_cast<std::size_t>(in.shape.c));
  for (const std::uint16_t t : table.table_of) LOCKSTEP_ASSERT(t < table.tables.size());
  for (const std::vector<std::int16_t>& entries : table.tables) {
    LOCKSTEP_ASSERT(entries.size() == std::size_t{1} << in.bits);
    for (const std::int16_t entry : entries)
      LOCKSTEP_ASSERT(contains(code_limits(out.bits), {entry, entry}));
  }
  check_mask(table.mask, out);
}

void check(const Move& move, const Program& program, const Op& op, const Value&, const Value& out) {
  LOCKSTEP_ASSERT(!move.pieces.empty());
  std::vector<bool> written(static_cast<std::size_t>(out.shape.count()), false);
  for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    const Value& in = program.values.at(op.inputs.at(k));
    LOCKSTEP_ASSERT(in.type() == out.type() && in.bits <= out.bits && !in.bytes);
    LOCKSTEP_ASSERT(from >= 0 && from < in.shape.count() && to >= 0 && to < out.shape.count());
    LOCKSTEP_ASSERT(in.decimal(from % in.shape.c) == out.decimal(to % out.shape.c));
    LOCKSTEP_ASSERT(!written[static_cast<std::size_t>(to)]);
    written[static_cast<std::size_t>(to)] = true;
  });
}

void check(const ArgMax&, const Program&, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(out.shape.c == 1 && out.shape.h == in.shape.h && out.shape.w == in.shape.w);
  LOCKSTEP_ASSERT(in.decimals.size() == 1 && !in.bytes);
  LOCKSTEP_ASSERT(out.bits == 32 && out.decimals == std::vector<int>{0});
}

void check(const Flatten&, const Program& program, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(program.layout == Layout::kLogical);
  LOCKSTEP_ASSERT(out.shape == (Shape{in.shape.count(), 1, 1, 1}));
  check_same_format(in, out);
}

// Replays the program on "who wrote these bytes last", in units of 16 bytes.
class ArenaReplay {
 public:
  explicit ArenaReplay(const Program& program) : program_(program) {
    LOCKSTEP_ASSERT(program.arena_bytes % INTRT_ARENA_ALIGNMENT == 0);
  }

  void run() {
    for (const ValueId id : program_.inputs) {
      for_each_owner(id, [](ValueId) { LOCKSTEP_ASSERT(false); });
      write(id);
    }
    for (const Op& op : program_.ops) {
      for (const ValueId id : op.inputs) {
        assert_intact(id);
        if (!in_place(op, id)) assert_apart(op.output, id);
      }
      write(op.output);
    }
    for (const ValueId id : program_.outputs) assert_intact(id);
  }

 private:
  std::int64_t begin(ValueId id) const {
    const auto offset = program_.values.at(id).arena_offset;
    LOCKSTEP_ASSERT(offset && *offset >= 0 && *offset % INTRT_ARENA_ALIGNMENT == 0);
    return *offset;
  }
  std::int64_t end(ValueId id) const {
    LOCKSTEP_ASSERT(program_.values.at(id).type() != ElementType::kInt64);
    const std::int64_t bytes = program_.values.at(id).byte_count();
    const std::int64_t unit = INTRT_ARENA_ALIGNMENT;
    const std::int64_t result = begin(id) + (bytes + unit - 1) / unit * unit;
    LOCKSTEP_ASSERT(result <= program_.arena_bytes);
    return result;
  }
  // The output lies exactly on the input, element on element, and the operator allows that.
  bool in_place(const Op& op, ValueId id) const {
    const Value &in = program_.values.at(id), &out = program_.values.at(op.output);
    return works_in_place(op.kind) && begin(op.output) == begin(id) &&
           in.element_bytes() == out.element_bytes() && in.shape.c == out.shape.c &&
           in.shape.h == out.shape.h && in.shape.w == out.shape.w;
  }

  void assert_apart(ValueId a, ValueId b) const {
    LOCKSTEP_ASSERT(end(a) <= begin(b) || end(b) <= begin(a));
  }

  // owners_ maps the first byte of each written extent to {one past its last byte, its writer}.
  template <typename F>
  void for_each_owner(ValueId id, F&& f) const {
    for (const auto& [first, extent] : owners_)
      if (first < end(id) && begin(id) < extent.first) f(extent.second);
  }
  void assert_intact(ValueId id) const {
    const auto it = owners_.find(begin(id));
    LOCKSTEP_ASSERT(it != owners_.end());
    LOCKSTEP_ASSERT(it->second.second == id && it->second.first == end(id));
  }
  // Whatever `id` overlaps is destroyed as a whole.
  void write(ValueId id) {
    for (auto it = owners_.begin(); it != owners_.end();)
      it = it->first < end(id) && begin(id) < it->second.first ? owners_.erase(it) : std::next(it);
    owners_[begin(id)] = {end(id), id};
  }

  const Program& program_;
  std::map<std::int64_t, std::pair<std::int64_t, ValueId>> owners_;
};

}  // namespace

void validate(const Program& program) {
  LOCKSTEP_ASSERT(!program.inputs.empty() && !program.outputs.empty());
  for (const Value& value : program.values) check_value(value);

  std::vector<bool> defined(program.values.size(), false);
  const auto define = [&](ValueId id) {
    LOCKSTEP_ASSERT(id < defined.size() && !defined[id]);
    defined[id] = true;
  };
  for (const ValueId id : program.inputs) {
    define(id);
    const Value& value = program.values[id];
    LOCKSTEP_ASSERT(value.keep && value.bits <= 16 && value.exact != value.bytes);
    for (const Range& range : value.ranges) LOCKSTEP_ASSERT(range == code_limits(value));
  }
  for (const Op& op : program.ops) {
    LOCKSTEP_ASSERT(!op.node.empty());
    LOCKSTEP_ASSERT(!op.inputs.empty());
    LOCKSTEP_ASSERT(op.inputs.size() == 1 || takes_several_inputs(op.kind));
    for (const ValueId id : op.inputs) LOCKSTEP_ASSERT(id < defined.size() && defined[id]);
    define(op.output);
    const Value& out = program.values[op.output];
    std::visit([&](const auto& kind) { check(kind, program, op, program.values[op.input()], out); },
               op.kind);
    const std::vector<Range> derived = output_ranges(program, op);
    LOCKSTEP_ASSERT(derived.size() == out.ranges.size());
    for (std::size_t c = 0; c < derived.size(); ++c)
      LOCKSTEP_ASSERT(contains(out.ranges[c], derived[c]));
  }
  for (const ValueId id : program.outputs)
    LOCKSTEP_ASSERT(id < defined.size() && defined[id] && program.values[id].keep);
  for (const bool is_defined : defined) LOCKSTEP_ASSERT(is_defined);

  if (program.arena_bytes > 0) ArenaReplay(program).run();
}

}  // namespace lockstep::ir
