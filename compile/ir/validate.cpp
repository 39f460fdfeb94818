// What must hold of every program after every pass. Ranges are derived anew and compared; the
// memory plan is checked by replaying who wrote which bytes last, which shares nothing with the
// planner's lifetimes.
#include <algorithm>
#include <limits>
#include <map>

#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "intrt/arith.h"
#include "intrt/plan_format.h"

namespace lockstep::ir {
namespace {

constexpr Range kInt32 = {std::numeric_limits<std::int32_t>::min(),
                          std::numeric_limits<std::int32_t>::max()};
constexpr Range kInt16 = {std::numeric_limits<std::int16_t>::min(),
                          std::numeric_limits<std::int16_t>::max()};

bool contains(Range outer, Range inner) { return outer.lo <= inner.lo && inner.hi <= outer.hi; }

void check_value(const Value& value) {
  LOCKSTEP_ASSERT(!value.node.empty());
  const Shape& shape = value.shape;
  LOCKSTEP_ASSERT(shape.c >= 1 && shape.h >= 1 && shape.w >= 1);
  LOCKSTEP_ASSERT(shape.logical_rank >= 1 && shape.logical_rank <= 3);
  LOCKSTEP_ASSERT(shape.logical_rank != 2 || shape.h == 1);
  LOCKSTEP_ASSERT((value.bits >= 2 && value.bits <= 16) || value.bits == 32);
  const auto channels = static_cast<std::size_t>(shape.c);
  LOCKSTEP_ASSERT(value.decimals.size() == 1 || value.decimals.size() == channels);
  LOCKSTEP_ASSERT(value.ranges.size() == channels);
  for (const Range& range : value.ranges) {
    LOCKSTEP_ASSERT(range.lo <= range.hi);
    LOCKSTEP_ASSERT(contains(code_limits(value.bits), range));
  }
}

void check_post(const Post& post, const Value& output) {
  LOCKSTEP_ASSERT(post.requantize || output.bits == 32);
  if (post.requantize) {
    const Requantize& r = *post.requantize;
    LOCKSTEP_ASSERT(r.shifts.size() == 1 ||
                    r.shifts.size() == static_cast<std::size_t>(output.shape.c));
    for (const int shift : r.shifts)
      LOCKSTEP_ASSERT(shift >= INTRT_SHIFT_MIN && shift <= INTRT_SHIFT_MAX);
    LOCKSTEP_ASSERT(r.lo <= 0 && r.hi >= 0);  // so that masks and clamps commute
    LOCKSTEP_ASSERT(contains(code_limits(output.bits), {r.lo, r.hi}));
  }
  LOCKSTEP_ASSERT(post.mask.empty() ||
                  post.mask.size() == static_cast<std::size_t>(output.shape.count()));
  for (const std::uint8_t keep : post.mask) LOCKSTEP_ASSERT(keep <= 1);
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

void check_sum(const xt::xarray<std::int32_t>& weights, const std::vector<std::int64_t>& bias,
               const std::vector<Accumulator>& accumulators, const Program& program, const Op& op) {
  const auto channels = static_cast<std::size_t>(program.values.at(op.output).shape.c);
  LOCKSTEP_ASSERT(program.values.at(op.input).bits <= 16);
  LOCKSTEP_ASSERT(weights.shape(0) == channels);
  LOCKSTEP_ASSERT(bias.empty() || bias.size() == channels);
  for (const std::int32_t weight : weights) LOCKSTEP_ASSERT(contains(kInt16, {weight, weight}));
  for (const std::int64_t b : bias) LOCKSTEP_ASSERT(contains(kInt32, {b, b}));
  LOCKSTEP_ASSERT(accumulators == accumulator_bounds(program, op));
  for (const Accumulator& acc : accumulators) LOCKSTEP_ASSERT(acc.magnitude <= kInt32.hi);
}

void check(const Conv2d& conv, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  const bool logical = program.layout == Layout::kLogical;
  check_window(conv.window, in.shape, out.shape);
  LOCKSTEP_ASSERT(conv.weights.dimension() == 4);
  const auto extent = [&](std::size_t axis) {
    return static_cast<std::int64_t>(conv.weights.shape(axis));
  };
  LOCKSTEP_ASSERT(conv.groups >= 1 && extent(0) % conv.groups == 0);
  LOCKSTEP_ASSERT(extent(logical ? 1 : 3) * conv.groups == in.shape.c);
  LOCKSTEP_ASSERT(extent(logical ? 2 : 1) == conv.window.kernel[0]);
  LOCKSTEP_ASSERT(extent(logical ? 3 : 2) == conv.window.kernel[1]);
  LOCKSTEP_ASSERT(in.shape.logical_rank == 3);
  check_sum(conv.weights, conv.bias, conv.accumulators, program, op);
  check_post(conv.post, out);
}

void check(const Linear& linear, const Program& program, const Op& op, const Value& in,
           const Value& out) {
  LOCKSTEP_ASSERT(linear.weights.dimension() == 2);
  LOCKSTEP_ASSERT(static_cast<std::int64_t>(linear.weights.shape(1)) == in.shape.count());
  LOCKSTEP_ASSERT(out.shape.h == 1 && out.shape.w == 1);
  check_sum(linear.weights, linear.bias, linear.accumulators, program, op);
  check_post(linear.post, out);
}

void check_same_format(const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(in.bits == out.bits);
  for (std::int64_t c = 0; c < std::max(in.shape.c, out.shape.c); ++c)
    LOCKSTEP_ASSERT(in.decimal(c * in.shape.c / out.shape.c) == out.decimal(c));
}

void check(const MaxPool2d& pool, const Program&, const Op&, const Value& in, const Value& out) {
  check_window(pool.window, in.shape, out.shape);
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c);
  for (const std::size_t a : {0, 1}) {  // every window touches the input
    const std::int64_t size = a == 0 ? in.shape.h : in.shape.w;
    const std::int64_t last = ((a == 0 ? out.shape.h : out.shape.w) - 1) * pool.window.stride[a];
    LOCKSTEP_ASSERT(pool.window.pad[a] * 2 <= pool.window.kernel[a]);
    LOCKSTEP_ASSERT(pool.window.pad[a] == 0 || pool.window.dilation[a] <= size);
    LOCKSTEP_ASSERT(last < pool.window.pad[a] + size);
  }
  check_same_format(in, out);
}

void check(const RequantizeOp& op, const Program&, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(in.shape.c == out.shape.c && in.shape.h == out.shape.h &&
                  in.shape.w == out.shape.w);
  LOCKSTEP_ASSERT(op.post.requantize || in.bits == 32);
  check_post(op.post, out);
}

void check_vector_of(const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(out.shape == (Shape{in.shape.count(), 1, 1, 1}));
  check_same_format(in, out);
}
void check(const Flatten&, const Program& program, const Op&, const Value& in, const Value& out) {
  LOCKSTEP_ASSERT(program.layout == Layout::kLogical);
  check_vector_of(in, out);
}
void check(const Transpose&, const Program&, const Op&, const Value& in, const Value& out) {
  check_vector_of(in, out);
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
      for (const ValueId id : op.inputs()) {
        assert_intact(id);
        if (!std::holds_alternative<RequantizeOp>(op.kind)) assert_apart(op.output, id);
        if (begin(op.output) != begin(id) || type(op.output) != type(id))
          assert_apart(op.output, id);
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
    const std::int64_t bytes = program_.values.at(id).byte_count();
    const std::int64_t unit = INTRT_ARENA_ALIGNMENT;
    const std::int64_t result = begin(id) + (bytes + unit - 1) / unit * unit;
    LOCKSTEP_ASSERT(result <= program_.arena_bytes);
    return result;
  }
  ElementType type(ValueId id) const { return program_.values.at(id).type(); }

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
    LOCKSTEP_ASSERT(value.keep && value.bits <= 16);
    for (const Range& range : value.ranges) LOCKSTEP_ASSERT(range == code_limits(value.bits));
  }
  for (const Op& op : program.ops) {
    LOCKSTEP_ASSERT(!op.node.empty());
    for (const ValueId id : op.inputs()) LOCKSTEP_ASSERT(id < defined.size() && defined[id]);
    define(op.output);
    const Value& out = program.values[op.output];
    std::visit([&](const auto& kind) { check(kind, program, op, program.values[op.input], out); },
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
