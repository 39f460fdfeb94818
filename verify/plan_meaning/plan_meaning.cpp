#include "verify/plan_meaning/plan_meaning.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <tuple>

namespace lockstep::plan_meaning {
namespace {

using checker::at;
using checker::OpCode;
using checker::PlanTensor;
using checker::PostKind;
using checker::Rounding;

Wide divided(Wide x, int shift, Rounding rounding) {
  if (shift <= 0) return x * (Wide{1} << -shift);
  const Wide divisor = Wide{1} << shift;
  Wide quotient = x / divisor, rest = x % divisor;
  if (rounding == Rounding::kTowardZero || rest == 0) return quotient;
  if (rest < 0) {
    --quotient;
    rest += divisor;
  }
  if (rounding == Rounding::kFloor) return quotient;
  const bool up = 2 * rest > divisor || (2 * rest == divisor && quotient % 2 != 0);
  return up ? quotient + 1 : quotient;
}

// The element of an input of add or mul that element p of the output meets.
Int spread(const PlanTensor& in, const PlanTensor& out, Int p) {
  const Int c = p % out.channels, x = p / out.channels % out.width,
            y = p / out.channels / out.width;
  return ((in.height == 1 ? 0 : y) * in.width + (in.width == 1 ? 0 : x)) * in.channels +
         (in.channels == 1 ? 0 : c);
}

}  // namespace

Interval codes_of(const PlanTensor& tensor) {
  if (tensor.is_raw) return {0, 255};
  const Int half = Int{1} << (tensor.bits - 1);
  return {-half, half - 1};
}

Meaning::Meaning(const Plan& plan, const PlanOp& op)
    : plan_(plan), op_(op), output_(plan.tensors[op.output]) {
  if (op.code != OpCode::kMove) return;
  moved_.assign(at(output_.count()), {0, 0, 0});
  for (const checker::Piece& piece : op.pieces) {
    const auto& [n0, n1, n2, n3] = piece.count;
    for (Int n = 0; n < n0 * n1 * n2 * n3; ++n) {
      const Int i[] = {n / (n1 * n2 * n3), n / (n2 * n3) % n1, n / n3 % n2, n % n3};
      Int from = piece.in_first, to = piece.out_first;
      for (std::size_t k = 0; k < 4; ++k) {
        from += i[k] * piece.in_step[k];
        to += i[k] * piece.out_step[k];
      }
      moved_[at(to)] = {op.inputs[piece.input], from, 1};
    }
  }
}

bool Meaning::is_sum() const {
  return op_.code != OpCode::kMul && op_.code != OpCode::kMaxPool2d && op_.code != OpCode::kArgMax;
}

void Meaning::terms(Int p, std::vector<Term>& terms) const {
  terms.clear();
  const PlanTensor& in = plan_.tensors[op_.inputs[0]];
  const Int channel = p % output_.channels, pixel = p / output_.channels;
  switch (op_.code) {
    case OpCode::kConv2d:
    case OpCode::kConvTranspose2d:
    case OpCode::kMaxPool2d:
      window_terms(p, terms);
      break;
    case OpCode::kLinear:
      for (Int k = 0; k < in.count(); ++k)
        if (const Int weight = op_.weights[at(channel * in.count() + k)]; weight != 0)
          terms.push_back({op_.inputs[0], k, weight});
      break;
    case OpCode::kAvgPool2d: {
      const checker::Span &rows = op_.rows[at(pixel / output_.width)],
                          &columns = op_.columns[at(pixel % output_.width)];
      for (Int y = rows.begin; y < rows.end; ++y)
        for (Int x = columns.begin; x < columns.end; ++x)
          terms.push_back({op_.inputs[0], (y * in.width + x) * in.channels + channel,
                           rows.multiplier * columns.multiplier});
      break;
    }
    case OpCode::kAdd:
    case OpCode::kMul:
      for (std::size_t i = 0; i < 2; ++i)
        terms.push_back({op_.inputs[i], spread(plan_.tensors[op_.inputs[i]], output_, p),
                         op_.code == OpCode::kMul ? 1 : op_.multipliers[i][at(channel)]});
      break;
    case OpCode::kRequantize:
    case OpCode::kTable:
      terms.push_back({op_.inputs[0], p, 1});
      break;
    case OpCode::kMove:
      if (moved_[at(p)].coefficient != 0) terms.push_back(moved_[at(p)]);
      break;
    case OpCode::kArgMax:
      for (Int c = 0; c < in.channels; ++c)
        terms.push_back({op_.inputs[0], pixel * in.channels + c, 1});
      break;
  }
}

void Meaning::window_terms(Int p, std::vector<Term>& terms) const {
  const PlanTensor& in = plan_.tensors[op_.inputs[0]];
  const Int channel = p % output_.channels;
  const Int position[] = {p / output_.channels / output_.width,
                          p / output_.channels % output_.width};
  const bool is_pool = op_.code == OpCode::kMaxPool2d;
  const Int inputs = is_pool ? 1 : in.channels / op_.groups;
  const Int first = is_pool ? channel : channel / (output_.channels / op_.groups) * inputs;
  const auto row_or_column = [&](std::size_t axis, Int tap) -> Int {
    const Int reach = tap * op_.dilation[axis], pad = op_.pad_before[axis];
    if (op_.code != OpCode::kConvTranspose2d)
      return position[axis] * op_.stride[axis] - pad + reach;
    const Int scaled = position[axis] + pad - reach;
    return scaled % op_.stride[axis] == 0 ? scaled / op_.stride[axis] : -1;
  };
  for (Int ky = 0; ky < op_.kernel[0]; ++ky)
    for (Int kx = 0; kx < op_.kernel[1]; ++kx) {
      const Int y = row_or_column(0, ky), x = row_or_column(1, kx);
      if (y < 0 || x < 0 || y >= in.height || x >= in.width) continue;
      const Int tap = (channel * op_.kernel[0] + ky) * op_.kernel[1] + kx;
      for (Int i = 0; i < inputs; ++i)
        if (const Int weight = is_pool ? 1 : op_.weights[at(tap * inputs + i)]; weight != 0)
          terms.push_back({op_.inputs[0], (y * in.width + x) * in.channels + first + i, weight});
    }
}

Int Meaning::constant(Int p) const {
  return op_.bias.empty() ? 0 : op_.bias[at(p % output_.channels)];
}

Interval Meaning::combined(Int constant) const {
  if (op_.code == OpCode::kArgMax) return {0, static_cast<Int>(terms_.size()) - 1};
  if (op_.code == OpCode::kMaxPool2d) {
    Interval largest = ranges_.at(0);
    for (const Interval& range : ranges_) {
      largest.lo = std::max(largest.lo, range.lo);
      largest.hi = std::max(largest.hi, range.hi);
    }
    return largest;
  }
  if (op_.code == OpCode::kMul) {
    const Interval &a = ranges_.at(0), &b = ranges_.at(1);
    const auto [lo, hi] = std::minmax({a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi});
    return {lo, hi};
  }
  Sum sum(constant);
  for (std::size_t i = 0; i < terms_.size(); ++i) sum.add(terms_[i].coefficient, ranges_[i]);
  return sum.interval();
}

const std::vector<Int>* Meaning::table(Int channel) const {
  return op_.code == OpCode::kTable ? &op_.tables[op_.table_of[at(channel)]] : nullptr;
}

bool Meaning::is_defined(Interval range) const {
  if (op_.code != OpCode::kTable) return true;
  const Interval codes = codes_of(plan_.tensors[op_.inputs[0]]);
  return codes.lo <= range.lo && range.hi <= codes.hi;
}

Int Meaning::apply(Int channel, Int x) const {
  if (const std::vector<Int>* const entries = table(channel))
    return entries->at(at(x - codes_of(plan_.tensors[op_.inputs[0]]).lo));
  if (op_.post.kind == PostKind::kShift)
    return static_cast<Int>(std::clamp<Wide>(
        divided(x, op_.post.shifts[at(channel)], op_.post.rounding), op_.post.lo, op_.post.hi));
  if (!is_scale()) return x;
  const checker::ScaleStep& step = scale(channel);
  if (!step.thresholds.empty()) {
    const auto passed = std::ranges::count_if(step.thresholds, [x](Int t) { return t <= x; });
    return step.codes[at(passed)];
  }
  return static_cast<Int>(std::clamp<Wide>(
      divided(Wide{x} * step.multiplier + step.addend, step.shift, op_.post.rounding), step.lo,
      step.hi));
}

bool Meaning::is_monotone(Int channel) const {
  if (op_.code == OpCode::kTable) return false;
  if (!is_scale() || scale(channel).thresholds.empty()) return true;
  const std::vector<Int>& codes = scale(channel).codes;
  return std::ranges::is_sorted(codes) || std::ranges::is_sorted(codes, std::greater<>());
}

Interval Meaning::image(Int channel, Interval range) const {
  if (range.lo == range.hi || is_monotone(channel)) {
    const auto [lo, hi] = std::minmax({apply(channel, range.lo), apply(channel, range.hi)});
    return {lo, hi};
  }
  const std::vector<Int>* values = table(channel);
  std::size_t first = 0, last = 0;
  if (values != nullptr) {
    const Int lowest = codes_of(plan_.tensors[op_.inputs[0]]).lo;
    first = at(range.lo - lowest);
    last = at(range.hi - lowest);
  } else {
    const checker::ScaleStep& step = scale(channel);
    values = &step.codes;
    const auto passed = [&](Int x) {
      return at(std::ranges::count_if(step.thresholds, [x](Int t) { return t <= x; }));
    };
    first = passed(range.lo);
    last = passed(range.hi);
  }
  const auto [lo, hi] =
      std::minmax_element(values->begin() + static_cast<std::ptrdiff_t>(first),
                          values->begin() + static_cast<std::ptrdiff_t>(last) + 1);
  return {*lo, *hi};
}

bool Meaning::is_identity(Int channel, Interval range) const {
  if (op_.code == OpCode::kTable || is_scale()) return false;
  if (op_.post.kind == PostKind::kNone) return true;
  return op_.post.shifts[at(channel)] == 0 && op_.post.lo <= range.lo && range.hi <= op_.post.hi;
}

bool Meaning::has_function_of(const Meaning& other, Int channel) const {
  const auto numbers = [channel](const Meaning& m) {
    const checker::Post& post = m.op_.post;
    const bool is_shift = post.kind == PostKind::kShift;
    return std::tuple(post.kind, post.rounding, post.lo, post.hi,
                      is_shift ? post.shifts[at(channel)] : 0);
  };
  if (op_.code != other.op_.code || numbers(*this) != numbers(other)) return false;
  if (op_.code == OpCode::kTable)
    return *table(channel) == *other.table(channel) &&
           codes_of(plan_.tensors[op_.inputs[0]]).lo ==
               codes_of(other.plan_.tensors[other.op_.inputs[0]]).lo;
  if (!is_scale()) return true;
  const checker::ScaleStep &a = scale(channel), &b = other.scale(channel);
  if (!a.thresholds.empty()) return a.thresholds == b.thresholds && a.codes == b.codes;
  return b.thresholds.empty() && a.multiplier == b.multiplier && a.addend == b.addend &&
         a.shift == b.shift && a.lo == b.lo && a.hi == b.hi;
}

std::string memory_fault(const Plan& plan) {
  constexpr std::size_t kNobody = SIZE_MAX;
  std::vector<std::size_t> writer(at(plan.arena_bytes), kNobody);
  const auto bytes_of = [&](std::size_t tensor) {
    const PlanTensor& t = plan.tensors[tensor];
    return std::span(writer).subspan(at(t.arena_offset), at(t.bytes));
  };
  const auto is_whole = [&](std::size_t tensor) {
    return std::ranges::all_of(bytes_of(tensor), [&](std::size_t by) { return by == tensor; });
  };
  for (const std::size_t input : plan.inputs) std::ranges::fill(bytes_of(input), input);
  for (const std::size_t input : plan.inputs)
    if (!is_whole(input)) return fmt::format("input {} is overwritten by another", input);
  for (const PlanOp& op : plan.ops) {
    const PlanTensor& out = plan.tensors[op.output];
    for (const std::size_t input : op.inputs) {
      if (!is_whole(input)) return fmt::format("'{}' reads what is not there", op.node);
      const PlanTensor& in = plan.tensors[input];
      const bool is_apart = in.arena_offset + in.bytes <= out.arena_offset ||
                            out.arena_offset + out.bytes <= in.arena_offset;
      const bool by_element = op.code == OpCode::kRequantize || op.code == OpCode::kTable ||
                              op.code == OpCode::kAdd || op.code == OpCode::kMul;
      const bool is_in_place = by_element && in.arena_offset == out.arena_offset &&
                               in.channels == out.channels && in.height == out.height &&
                               in.width == out.width && in.bytes == out.bytes;
      if (!is_apart && !is_in_place) return fmt::format("'{}' overwrites its input", op.node);
    }
    std::ranges::fill(bytes_of(op.output), op.output);
  }
  for (const std::size_t output : plan.outputs)
    if (!is_whole(output)) return fmt::format("output {} is overwritten", output);
  return "";
}

}  // namespace lockstep::plan_meaning
