// The largest code of each window, for 64 channels at a time.
#include <immintrin.h>

#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

constexpr size_t kBytes = 64;

bool takes(const OpToPrepare& op) { return op.input.type == INTRT_INT8; }

uint32_t slices(const OpToPrepare& op) { return op.output.height; }
RowSlices row_slices(const OpToPrepare&) { return {1, 1}; }

void run(const OpToRun& op) {
  const intrt_max_pool2d_params& p = params_of<intrt_max_pool2d_params>(op.record);
  const int8_t* input = static_cast<const int8_t*>(op.input_data);
  const size_t channels = op.input.channels, row = op.input.width * channels;
  int8_t* output =
      static_cast<int8_t*>(op.output_data) + op.slices.begin * (op.output.width * channels);
  const int32_t dilation_h = static_cast<int32_t>(p.dilation_h);
  const int32_t dilation_w = static_cast<int32_t>(p.dilation_w);
  for (uint32_t oy = op.slices.begin; oy < op.slices.end; ++oy) {
    const int32_t y0 = static_cast<int32_t>(oy * p.stride_h) - static_cast<int32_t>(p.pad_top);
    const Taps rows(y0, dilation_h, static_cast<int32_t>(p.kernel_h),
                    static_cast<int32_t>(op.input.height));
    for (uint32_t ox = 0; ox < op.output.width; ++ox, output += channels) {
      const int32_t x0 = static_cast<int32_t>(ox * p.stride_w) - static_cast<int32_t>(p.pad_left);
      const Taps columns(x0, dilation_w, static_cast<int32_t>(p.kernel_w),
                         static_cast<int32_t>(op.input.width));
      for (size_t c = 0; c < channels; c += kBytes) {
        const __mmask64 mask =
            channels - c >= kBytes ? ~uint64_t{0} : (uint64_t{1} << (channels - c)) - 1;
        __m512i largest = _mm512_set1_epi8(-128);
        for (int32_t ky = rows.first; ky < rows.end; ++ky)
          for (int32_t kx = columns.first; kx < columns.end; ++kx)
            largest = _mm512_max_epi8(
                largest, _mm512_maskz_loadu_epi8(
                             mask, input + static_cast<size_t>(y0 + ky * dilation_h) * row +
                                       static_cast<size_t>(x0 + kx * dilation_w) * channels + c));
        _mm512_mask_storeu_epi8(output + c, mask, largest);
      }
    }
  }
}

}  // namespace

const FastKernel intrt_avx512vnni_max_pool2d = {takes, run, nullptr, nullptr, slices, row_slices};
