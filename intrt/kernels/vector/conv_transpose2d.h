// The transpose of a convolution, as convolutions: outputs that are a stride apart, a phase, are
// reached by the same taps. They are a dense convolution of the input with these taps, the last one
// first, and with a stride of 1. Include the variant's vector.h or wide.h before.
#pragma once

#include "intrt/kernels/vector/convolution.h"

namespace intrt {
namespace {

// Outputs first, first + stride, ... along one axis.
struct PhaseAxis {
  size_t outputs;
  size_t taps;                    // that reach them; 0: none
  size_t last_tap = 0, tap_step;  // the window has these, backwards
  size_t dilation;                // of the window
  ptrdiff_t padding = 0;

  PhaseAxis(size_t first, size_t all_outputs, uint32_t kernel, uint32_t stride, uint32_t dilation_,
            uint32_t pad)
      : outputs((all_outputs - first + stride - 1) / stride) {
    size_t a = stride, b = dilation_;  // their greatest common divisor
    while (b != 0) {
      const size_t rest = a % b;
      a = b;
      b = rest;
    }
    tap_step = stride / a;
    dilation = dilation_ / a;
    // Tap k reaches them from input row `position`, where stride * position = t - k * dilation.
    const ptrdiff_t t = static_cast<ptrdiff_t>(first + pad);
    const auto distance = [&](size_t k) { return t - static_cast<ptrdiff_t>(k * dilation_); };
    size_t tap = 0;
    while (tap < tap_step && distance(tap) % static_cast<ptrdiff_t>(stride) != 0) ++tap;
    taps = tap < tap_step && tap < kernel ? (kernel - tap - 1) / tap_step + 1 : 0;
    if (taps == 0) return;
    last_tap = tap + (taps - 1) * tap_step;
    padding = -distance(last_tap) / static_cast<ptrdiff_t>(stride);
  }
};

// The weights of a phase, [O][taps][I]. A plan stores all of them.
struct PhaseWeights {
  StoredWeights stored;
  size_t kernel_w;
  PhaseAxis down, across;

  // Goes through those of one output.
  class Row {
   public:
    Row(const PhaseWeights& weights, size_t output) : w_(weights), output_(output) {}

    int32_t next() {
      const size_t ky = w_.down.last_tap - y_ * w_.down.tap_step,
                   kx = w_.across.last_tap - x_ * w_.across.tap_step;
      const size_t tap = ky * w_.kernel_w + kx;
      const int32_t weight =
          w_.stored.weight((output_ * w_.stored.taps + tap) * w_.stored.inputs + input_);
      if (++input_ == w_.stored.inputs) {
        input_ = 0;
        if (++x_ == w_.across.taps) {
          x_ = 0;
          ++y_;
        }
      }
      return weight;
    }

   private:
    const PhaseWeights& w_;
    size_t output_, y_ = 0, x_ = 0, input_ = 0;
  };
};

// Prepared memory has this and a dense convolution's for each phase.
struct alignas(kBlockAlignment) PhaseHeader {
  size_t bytes;  // of header and all
};

// The outputs (y + n * stride_h, x + m * stride_w).
struct Phase {
  size_t y, x;
  PhaseAxis down, across;
  Sizes s;

  Phase(const OpToPrepare& op, const intrt_conv_transpose2d_params& p, size_t y_, size_t x_)
      : y(y_),
        x(x_),
        down(y, op.output.height, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top),
        across(x, op.output.width, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left),
        s{op.input.channels,
          p.groups,
          op.input.channels / p.groups,
          op.output.channels / p.groups,
          op.input.height,
          op.input.width,
          down.outputs,
          across.outputs,
          down.taps,
          across.taps,
          1,
          1,
          down.dilation,
          across.dilation,
          down.padding,
          across.padding} {}

  bool has_taps() const { return down.taps != 0 && across.taps != 0; }
};

// Calls f(phase) for each, for as long as it says yes.
template <typename F>
inline bool for_each_phase(const OpToPrepare& op, const F& f) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  for (size_t y = 0; y < p.stride_h && y < op.output.height; ++y)
    for (size_t x = 0; x < p.stride_w && x < op.output.width; ++x)
      if (!f(Phase(op, p, y, x))) return false;
  return true;
}

inline PhaseWeights weights_of(const OpToPrepare& op, const Phase& phase) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  return {{op.plan.bytes + p.weights_offset, p.weight_type, nullptr, nullptr,
           size_t{p.kernel_h} * p.kernel_w, phase.s.group_inputs},
          p.kernel_w,
          phase.down,
          phase.across};
}

// More of them leave little to multiply in each.
constexpr size_t kMostPhases = 64;

bool takes(const OpToPrepare& op) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  if (p.weight_type == INTRT_INT32 || size_t{p.stride_h} * p.stride_w > kMostPhases) return false;
  if (p.groups > 1 && op.output.channels / p.groups < kFewOutputs) return false;
  return for_each_phase(op,
                        [](const Phase& phase) { return phase.has_taps() && dense_fits(phase.s); });
}

size_t prepared_bytes(const OpToPrepare& op) {
  size_t bytes = 0;
  for_each_phase(op, [&](const Phase& phase) {
    bytes += sizeof(PhaseHeader) + aligned(dense_bytes(op, phase.s, weights_of(op, phase)));
    return true;
  });
  return bytes;
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  const int32_t* bias = p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset);
  uint8_t* at = static_cast<uint8_t*>(to);
  for_each_phase(op, [&](const Phase& phase) {
    PhaseHeader& header = *static_cast<PhaseHeader*>(static_cast<void*>(at));
    const PhaseWeights weights = weights_of(op, phase);
    header.bytes = sizeof header + aligned(dense_bytes(op, phase.s, weights));
    prepare_dense(op, p.post, phase.s, weights, bias, &header + 1);
    at += header.bytes;
    return true;
  });
}

// A slice is a row of each phase.
uint32_t slices(const OpToPrepare& op) {
  const uint32_t stride = params_of<intrt_conv_transpose2d_params>(op.record).stride_h;
  return (op.output.height - 1) / stride + 1;
}

void run(const OpToRun& op) {
  const intrt_conv_transpose2d_params& p = params_of<intrt_conv_transpose2d_params>(op.record);
  const Target target(op, p.post);
  const size_t outputs = op.output.channels, row = op.output.width * outputs;
  const uint8_t* at = static_cast<const uint8_t*>(op.prepared);
  for_each_phase({op.plan, op.record, op.input, op.output}, [&](const Phase& phase) {
    const PhaseHeader& header = *static_cast<const PhaseHeader*>(static_cast<const void*>(at));
    at += header.bytes;
    const void* const prepared = &header + 1;
    const Dense dense = {phase.s, *static_cast<const DenseHeader*>(prepared),
                         phase.y * row + phase.x * outputs, p.stride_h * row, p.stride_w * outputs};
    Part part(phase.s);
    part.rows.begin = op.slices.begin;
    if (op.slices.end < part.rows.end) part.rows.end = op.slices.end;
    with_input(op, [&](const auto* input) { run_part(input, target, dense, part); });
    return true;
  });
}

}  // namespace
}  // namespace intrt
