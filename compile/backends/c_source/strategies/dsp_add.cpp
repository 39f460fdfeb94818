// Residual sums on cores with saturating and halving sums of four bytes: intrt/micro/dsp.h.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/functions/function.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

struct ByteSum {
  int shift = 0;
  std::int32_t lo = 0;
};

// The sum as intrt_dsp_add makes it.
std::optional<ByteSum> byte_sum(const Program& program, const Op& op, const Add& add) {
  const Value& out = program.values.at(op.output);
  for (const ValueId id : op.inputs) {
    const Value& in = program.values.at(id);
    if (in.type() != ElementType::kInt8 || in.shape.c != out.shape.c || in.shape.h != out.shape.h ||
        in.shape.w != out.shape.w)
      return std::nullopt;
  }
  for (const std::vector<std::int32_t>& multipliers : add.multipliers)
    if (std::ranges::any_of(multipliers, [](std::int32_t m) { return m != 1; }))
      return std::nullopt;
  const Requantize* const r = add.post.requantize();
  if (r == nullptr || r->shifts.size() != 1 || !add.post.mask.empty() ||
      out.type() != ElementType::kInt8 || r->hi != 127 || (r->lo != -128 && r->lo != 0))
    return std::nullopt;
  const int shift = r->shifts[0];
  const bool rounds_down =
      r->rounding == Rounding::kFloor || (r->rounding == Rounding::kTowardZero && r->lo == 0);
  if (shift != 0 && (shift != 1 || !rounds_down)) return std::nullopt;
  return ByteSum{shift, r->lo};
}

class DspAdd : public Function {
 public:
  explicit DspAdd(const FunctionPlace& place)
      : Function(place.text, place.program, place.op_index, place.prefix) {}

  FunctionCall emit(const ByteSum& sum) {
    open();
    text_.line("intrt_dsp_add(out, {}, {}, {}, {}, {});", in_name(0), in_name(1),
               out_.shape.count(), sum.shift, sum.lo);
    text_.line("}}");
    return call();
  }
};

class DspAddStrategy : public Strategy {
 public:
  std::string_view name() const override { return "bytes four at a time"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const add = std::get_if<Add>(&op.kind);
    if (target.kernels != MicroKernels::kDsp || add == nullptr || !byte_sum(program, op, *add))
      return std::nullopt;
    return StrategyCost{.instructions = program.values.at(op.output).shape.count() * 2,
                        .code_bytes = 120};
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspAdd(place).emit(*byte_sum(place.program, op, std::get<Add>(op.kind)))};
  }
};

}  // namespace

const Strategy& dsp_add_strategy() {
  static const DspAddStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
