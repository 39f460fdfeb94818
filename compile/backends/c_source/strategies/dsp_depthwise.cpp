// Depthwise convolutions of three rows on cores with SMLAD: intrt/micro/dsp.h. A strip holds the
// four rows under two rows of the output, for four channels; each number of it serves two outputs
// in each column of the window.
#include <algorithm>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/functions/axis.h"
#include "compile/backends/c_source/strategies/blocks.h"
#include "compile/backends/c_source/strategies/panel_memory.h"
#include "compile/backends/c_source/strategies/strategy.h"

namespace lockstep::backends {
namespace {

using namespace ir;

bool fits(const Program& program, const Op& op, const Conv2d& conv) {
  const Value &in = program.values.at(op.input()), &out = program.values.at(op.output);
  return in.type() == ElementType::kInt8 && conv.groups > 3 && conv.groups == in.shape.c &&
         conv.groups == out.shape.c && !conv.wide && conv.segments.empty() &&
         conv.window.kernel[0] == 3 && conv.window.stride[0] == 1 &&
         conv.window.dilation == std::array<std::int64_t, 2>{1, 1} && out.shape.h > 1 &&
         in.shape.h > 1;
}

// Columns of the input, with padding, as far as windows reach.
std::int64_t strip_width(const Axis& columns) {
  return (columns.output - 1) * columns.stride + columns.kernel;
}

PanelMemory strip_memory(const Program& program, const Op& op, const Conv2d& conv) {
  const Value &in = program.values.at(op.input()), &out = program.values.at(op.output);
  const std::int64_t in_row = in.shape.w * in.shape.c,
                     out_row = out.shape.w * out.shape.c * out.element_bytes();
  std::vector<Step> steps;
  for (std::int64_t u = 0; u < out.shape.h; u += 2) {
    const std::int64_t y = std::min(u, out.shape.h - 2);
    steps.push_back(
        {y, (y + 2) * out_row, std::max<std::int64_t>(0, y - conv.window.pad[0]) * in_row});
  }
  return {program,
          op,
          "y",
          steps,
          ElementType::kInt16,
          strip_width(axis_of(conv.window, in.shape, out.shape, 1)) * 16};
}

class DspDepthwise : public Blocks {
 public:
  DspDepthwise(const FunctionPlace& place, const Conv2d& conv)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        conv_(conv),
        rows_(axis_of(conv.window, in().shape, out_.shape, 0)),
        columns_(axis_of(conv.window, in().shape, out_.shape, 1)),
        channels_(out_.shape.c) {}

  FunctionCall emit() {
    constants();
    const PanelMemory memory = strip_memory(program_, op_, conv_);
    text_.line("static INTRT_NOINLINE void {}(const int8_t *in, {} *out, {}) {{", name_, out_type(),
               memory.parameters("strip"));
    const std::int64_t height = rows_.output;
    if (height % 2 == 0) {
      text_.line("for (int32_t y = 0; y < {}; y += 2) {{", height);
    } else {
      text_.line("for (int32_t u = 0; u < {}; u += 2) {{", height);
      text_.line("const int32_t y = u < {} ? u : {};", height - 1, height - 2);
    }
    memory.declare(text_, "strip");
    fill_sides();
    text_.line("const int32_t y0 = {};", rows_.pad == 0 ? "y" : fmt::format("y - {}", rows_.pad));
    const bool before = rows_.cut_before(), after = rows_.cut_after();
    if (before) text_.line("const int32_t first = y0 < 0 ? -y0 : 0;");
    if (after) text_.line("const int32_t end = {0} - y0 < 4 ? {0} - y0 : 4;", rows_.input);
    open_blocks();
    fill(before ? "first" : "0", after ? "end" : "4");
    text_.line("for (int32_t x = 0; x < {}; ++x) {{", columns_.output);
    text_.line("int32_t sums[8];");
    text_.line("intrt_dsp_strip_dot(sums, {}, {}, {}, {});", start(),
               address("strip", times("x", 16 * columns_.stride)),
               address(name_ + "_weight", times("b", 16 * columns_.kernel)), columns_.kernel);
    text_.line("const int32_t element = {};",
               plus(times(plus(times("y", columns_.output), "x"), channels_), "o"));
    store_sums(conv_.post, columns_.output * channels_);
    text_.line("}}");
    close_blocks();
    text_.line("}}");
    text_.line("}}");
    FunctionCall result = call();
    memory.add_to(result);
    return result;
  }

 private:
  void constants() {
    std::vector<std::int64_t> weights;
    for (std::int64_t b = 0; b < block_count(); ++b) {
      const std::int64_t first = first_output(b);
      for (std::int64_t k = 0; k < columns_.kernel; ++k)
        for (std::int64_t c = first; c < first + 4; ++c)
          for (const std::int64_t row : {0, 1, 1, 2})
            weights.push_back(
                conv_.weights.data()[c * 3 * columns_.kernel + row * columns_.kernel + k]);
    }
    text_.array("INTRT_ALIGNED int16_t", name_ + "_weight", weights);
    block_constants(conv_.post, conv_.bias, conv_.accumulators);
  }

  std::int64_t strip_columns() const { return strip_width(columns_); }

  // The columns of the strip in the padding: no block writes anything else there.
  void fill_sides() {
    const auto zeros = [&](std::int64_t begin, std::int64_t count) {
      if (count > 0)
        text_.line("intrt_dsp_strip({}, {}, in, 0, 0, 0, 0);",
                   address("strip", fmt::format("{}", 16 * begin)), count);
    };
    zeros(0, columns_.pad);
    zeros(columns_.pad + inside(), strip_columns() - columns_.pad - inside());
  }
  void fill(const std::string& first, const std::string& end) {
    const std::int64_t row = columns_.input * channels_;
    text_.line("intrt_dsp_strip({}, {}, {}, {}, {}, {}, {});",
               address("strip", fmt::format("{}", 16 * columns_.pad)), inside(),
               address("in", plus(times(first == "0" ? "y0" : plus("y0", first), row), "o")), row,
               channels_, first, end);
  }
  std::int64_t inside() const { return std::min(columns_.input, strip_columns() - columns_.pad); }

  const Conv2d& conv_;
  const Axis rows_, columns_;
  const std::int64_t channels_;
};

class DspDepthwiseStrategy : public Strategy {
 public:
  std::string_view name() const override { return "strips, SMLAD"; }
  const char* micro_kernels() const override { return kDspText; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const conv = std::get_if<Conv2d>(&op.kind);
    if (target.kernels != MicroKernels::kDsp || conv == nullptr || !fits(program, op, *conv))
      return std::nullopt;
    const Value &in = program.values.at(op.input()), &out = program.values.at(op.output);
    const Axis columns = axis_of(conv->window, in.shape, out.shape, 1);
    const std::int64_t width = strip_width(columns);
    const std::int64_t runs = (out.shape.h + 1) / 2 * ((out.shape.c + 3) / 4);
    StrategyCost cost;
    cost.instructions = runs * (width * 24 + columns.output * (columns.kernel * 24 + 45));
    cost.constant_bytes = (out.shape.c + 3) / 4 * (columns.kernel * 32 + 16);
    cost.code_bytes = 800;
    cost.scratch_bytes = strip_memory(program, op, *conv).scratch_bytes();
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {DspDepthwise(place, std::get<Conv2d>(op.kind)).emit()};
  }
};

}  // namespace

const Strategy& dsp_depthwise_strategy() {
  static const DspDepthwiseStrategy strategy;
  return strategy;
}

}  // namespace lockstep::backends
