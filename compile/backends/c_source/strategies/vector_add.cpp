// The sum of two tensors of codes on cores with vectors: intrt/micro/mve.h, intrt/micro/neon.h.
#include <algorithm>
#include <cstdlib>

#include "compile/backends/c_source/functions/function.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/c_source/strategies/vector_family.h"

namespace lockstep::backends {
namespace {

using namespace ir;

bool are_equal(const std::vector<std::int32_t>& numbers) {
  return std::ranges::all_of(numbers, [&](std::int32_t x) { return x == numbers.front(); });
}

// Elements of one kind, with one shift for all.
bool fits(const Program& program, const Op& op, const Add& add) {
  const Value& out = program.values.at(op.output);
  const auto is_like_out = [&](ValueId id) {
    const Value& in = program.values.at(id);
    return in.type() == ElementType::kInt8 && in.shape.count() == out.shape.count();
  };
  const Requantize* r = add.post.requantize();
  if (out.type() != ElementType::kInt8 || !std::ranges::all_of(op.inputs, is_like_out) ||
      !are_equal(add.multipliers[0]) || !are_equal(add.multipliers[1]) || r == nullptr ||
      !add.post.mask.empty() || r->shifts.size() != 1)
    return false;
  const int shift = r->shifts[0];
  const std::int64_t most = 128 * (std::abs(std::int64_t{add.multipliers[0].front()}) +
                                   std::abs(std::int64_t{add.multipliers[1].front()}));
  return shift >= 0 && shift <= 15 && most + (std::int64_t{1} << shift) <= INT16_MAX &&
         (r->rounding != Rounding::kHalfEven || shift == 0);
}

class VectorAdd : public Function {
 public:
  explicit VectorAdd(const FunctionPlace& place)
      : Function(place.text, place.program, place.op_index, place.prefix) {}

  FunctionCall emit(const Add& add, std::string_view prefix) {
    const Requantize& r = *add.post.requantize();
    const bool toward_zero = r.rounding == Rounding::kTowardZero && r.lo < 0 && r.shifts[0] > 0;
    open();
    text_.line("{}_add(out, in0, in1, {}, {}, {}, {}, {}, {}, {});", prefix, out_.shape.count(),
               add.multipliers[0].front(), add.multipliers[1].front(), r.shifts[0],
               toward_zero ? "INTRT_ROUND_TOWARD_ZERO" : "INTRT_ROUND_FLOOR", r.lo, r.hi);
    text_.line("}}");
    return call();
  }
};

class VectorAddStrategy : public Strategy {
 public:
  VectorAddStrategy(std::string_view name, const VectorFamily& family)
      : name_(name), family_(family) {}

  std::string_view name() const override { return name_; }
  const char* micro_kernels() const override { return *family_.text; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const add = std::get_if<Add>(&op.kind);
    if (target.kernels != family_.kernels || add == nullptr || !fits(program, op, *add))
      return std::nullopt;
    return StrategyCost{.instructions = program.values.at(op.output).shape.count(),
                        .code_bytes = 100};
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {VectorAdd(place).emit(std::get<Add>(op.kind), family_.prefix)};
  }

 private:
  std::string_view name_;
  const VectorFamily& family_;
};

}  // namespace

const Strategy& mve_add_strategy() {
  static const VectorAddStrategy strategy("vectors, MVE", kMveFamily);
  return strategy;
}

const Strategy& neon_add_strategy() {
  static const VectorAddStrategy strategy("vectors, NEON", kNeonFamily);
  return strategy;
}

}  // namespace lockstep::backends
