// Largest code of each window. The check promises that every window has a tap inside the input.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

// The output has floor((padded - reach) / stride) + 1 windows, or one more where the division
// leaves a remainder (PyTorch's ceil_mode), and each window holds a position of the input. A window
// that starts inside the input does; one that starts in the padding before it does when its taps
// are no further apart than the input is long and the first window's last tap reaches the input.
bool output_fits(const WindowAxis& axis) {
  const int64_t last_start = static_cast<int64_t>(axis.output - 1) * axis.stride;
  const int64_t slack = axis.padded() - axis.reach();
  if (last_start > slack && last_start - slack >= axis.stride) return false;   // beyond ceil
  if (last_start <= slack && slack - last_start >= axis.stride) return false;  // short of floor
  if (last_start >= static_cast<int64_t>(axis.pad_before) + axis.input) return false;
  return axis.pad_before == 0 ||
         (axis.dilation <= axis.input && axis.pad_before <= axis.reach() - 1);
}

uint64_t reads(const WindowAxis& axis) {
  return static_cast<uint64_t>(axis.output) * (axis.kernel < axis.input ? axis.kernel : axis.input);
}

template <typename X>
void pool(const OpToRun& op) {
  const intrt_max_pool2d_params& p = params_of<intrt_max_pool2d_params>(op.record);
  const X* input = static_cast<const X*>(op.input_data);
  X* output = static_cast<X*>(op.output_data);
  const size_t channels = op.input.channels;
  const size_t row = op.input.width * channels;
  const int32_t dilation_h = static_cast<int32_t>(p.dilation_h);
  const int32_t dilation_w = static_cast<int32_t>(p.dilation_w);

  for (uint32_t oy = 0; oy < op.output.height; ++oy) {
    const int32_t y0 = static_cast<int32_t>(oy * p.stride_h) - static_cast<int32_t>(p.pad_top);
    const Taps rows(y0, dilation_h, static_cast<int32_t>(p.kernel_h),
                    static_cast<int32_t>(op.input.height));
    for (uint32_t ox = 0; ox < op.output.width; ++ox, output += channels) {
      const int32_t x0 = static_cast<int32_t>(ox * p.stride_w) - static_cast<int32_t>(p.pad_left);
      const Taps columns(x0, dilation_w, static_cast<int32_t>(p.kernel_w),
                         static_cast<int32_t>(op.input.width));
      bool first = true;
      for (int32_t ky = rows.first; ky < rows.end; ++ky) {
        for (int32_t kx = columns.first; kx < columns.end; ++kx) {
          const X* in = input + static_cast<size_t>(y0 + ky * dilation_h) * row +
                        static_cast<size_t>(x0 + kx * dilation_w) * channels;
          for (size_t c = 0; c < channels; ++c)
            if (first || in[c] > output[c]) output[c] = in[c];
          first = false;
        }
      }
    }
  }
}

}  // namespace

intrt_status intrt_check_max_pool2d(Checker& checker, const OpToCheck& op) {
  const intrt_max_pool2d_params& p = params_of<intrt_max_pool2d_params>(op.record);
  const WindowAxis down = vertical_axis(p, op), across = horizontal_axis(p, op);
  if (!down.values_allowed() || !across.values_allowed()) return INTRT_ERROR_VALUE;
  if (op.input.type != op.output.type || op.input.bits != op.output.bits ||
      op.input.channels != op.output.channels || !output_fits(down) || !output_fits(across))
    return INTRT_ERROR_SHAPE;
  // Both tensors lie in the arena, so the product is at most (2^32 - 1)^2.
  const uint64_t input_pixels = static_cast<uint64_t>(op.input.height) * op.input.width;
  if (reads(down) * reads(across) > kMaxReadsPerElement * input_pixels) return INTRT_ERROR_WORK;
  return check_same_decimals(checker, op.input, op.output);
}

namespace {

void run(const OpToRun& op) {
  switch (op.input.type) {
    case INTRT_INT8:
      return pool<int8_t>(op);
    case INTRT_INT16:
      return pool<int16_t>(op);
    default:
      return pool<int32_t>(op);
  }
}

}  // namespace

INTRT_DEFINE_FAST_KERNEL(max_pool2d, max_pool2d, run)
