// Convolution with sparse weights: goes through the weights that are there, not through all. Each
// serves several neighbouring windows at once where these lie inside the input, because finding the
// weight costs as much as a few products.
#include "intrt/kernels/bits.h"
#include "intrt/kernels/scalar/convolution.h"

namespace {

using namespace intrt;

template <typename X, typename W>
class SparseConvolution {
 public:
  explicit SparseConvolution(const OpToRun& op)
      : op_(op),
        conv_(op),
        post_(op, conv_.p.post),
        input_(static_cast<const X*>(op.input_data)),
        weights_(object_at<W>(op.plan, conv_.p.weights_offset)),
        starts_(object_at<uint32_t>(op.plan, conv_.p.starts_offset)),
        nonzero_(object_at<uint8_t>(op.plan, conv_.p.nonzero_offset)),
        bias_(conv_.p.bias_offset == 0 ? nullptr
                                       : object_at<int32_t>(op.plan, conv_.p.bias_offset)),
        tap_bytes_((conv_.group_inputs + 7) / 8),
        row_bytes_(conv_.p.kernel_w * tap_bytes_),
        step_(conv_.p.stride_w * conv_.channels),
        side_by_side_(conv_.contiguous && conv_.group_inputs % 8 == 0) {}

  void run() const {
    for (uint32_t oy = 0; oy < op_.output.height; ++oy) {
      const int32_t y0 = conv_.first_row(oy);
      const Taps rows = conv_.rows_inside(y0);
      for (uint32_t ox = 0; ox < op_.output.width;) {
        const int32_t x0 = conv_.first_column(ox);
        if (x0 >= 0 && ox + kTogether <= op_.output.width &&
            conv_.columns_inside(conv_.first_column(ox + kTogether - 1)).end == conv_.kernel_w) {
          windows<kTogether>(oy, ox, y0, rows, x0, Taps(0, 1, conv_.kernel_w, conv_.kernel_w));
          ox += kTogether;
        } else {
          windows<1>(oy, ox, y0, rows, x0, conv_.columns_inside(x0));
          ox += 1;
        }
      }
    }
  }

 private:
  static constexpr uint32_t kTogether = 4;

  // N windows side by side, from output column ox on; their taps lie inside the input in the same
  // rows and columns.
  template <uint32_t N>
  void windows(uint32_t oy, uint32_t ox, int32_t y0, const Taps& rows, int32_t x0,
               const Taps& columns) const {
    const size_t first = (static_cast<size_t>(oy) * op_.output.width + ox) * op_.output.channels;
    uint32_t group = 0, left_in_group = conv_.group_outputs;
    for (uint32_t o = 0; o < op_.output.channels; ++o) {
      if (left_in_group == 0) {
        ++group;
        left_in_group = conv_.group_outputs;
      }
      --left_in_group;
      Accumulator<W> acc[N];
      for (uint32_t n = 0; n < N; ++n) acc[n] = bias_ == nullptr ? 0 : bias_[o];
      if (count(rows) != 0 && count(columns) != 0)
        add_window<N>(acc, o, group, y0, rows, x0, columns);
      for (uint32_t n = 0; n < N; ++n)
        post_.store(first + static_cast<size_t>(n) * op_.output.channels + o, o, acc[n]);
    }
  }

  template <uint32_t N>
  void add_window(Accumulator<W>* acc, uint32_t o, uint32_t group, int32_t y0, const Taps& rows,
                  int32_t x0, const Taps& columns) const {
    const size_t before = static_cast<size_t>(columns.first) * tap_bytes_;
    const size_t behind = row_bytes_ - static_cast<size_t>(columns.end) * tap_bytes_;
    const uint8_t* bits = nonzero_ + o * conv_.p.kernel_h * row_bytes_;
    const W* w = weights_ + starts_[o];
    const auto skip = [&](size_t bytes) {
      w += count_bits(bits, bytes);
      bits += bytes;
    };
    skip(static_cast<size_t>(rows.first) * row_bytes_);
    for (int32_t ky = rows.first; ky < rows.end; ++ky) {
      skip(before);
      const X* in = input_ + conv_.element(y0, ky, x0, columns.first, group);
      if (side_by_side_) {
        w = add<N>(acc, in, bits, count(columns) * tap_bytes_, w);
        bits += count(columns) * tap_bytes_;
      } else {
        for (size_t tap = 0; tap < count(columns); ++tap) {
          w = add<N>(acc, in + tap * conv_.p.dilation_w * conv_.channels, bits, tap_bytes_, w);
          bits += tap_bytes_;
        }
      }
      skip(behind);
    }
  }

  // Adds the products of the weights whose bits are set, and returns the weight behind them.
  template <uint32_t N>
  const W* add(Accumulator<W>* acc, const X* in, const uint8_t* bits, size_t bytes,
               const W* w) const {
    Accumulator<W> sums[N];
    for (uint32_t n = 0; n < N; ++n) sums[n] = acc[n];
    for_each_bit(bits, bytes, [&](size_t i) {
      const Accumulator<W> weight = *w++;
      for (uint32_t n = 0; n < N; ++n) sums[n] += weight * in[i + n * step_];
    });
    for (uint32_t n = 0; n < N; ++n) acc[n] = sums[n];
    return w;
  }

  const OpToRun& op_;
  const Convolution conv_;
  const PostOp post_;
  const X* input_;
  const W* weights_;
  const uint32_t* starts_;
  const uint8_t* nonzero_;
  const int32_t* bias_;
  size_t tap_bytes_, row_bytes_;
  size_t step_;        // elements from a window to the next
  bool side_by_side_;  // bits and codes of a window's row follow one another without a gap
};

template <typename X, typename W>
void convolve(const OpToRun& op) {
  SparseConvolution<X, W>(op).run();
}

void convolve_wide(const OpToRun& op) {
  with_wide_types(op.input.type, params_of<intrt_conv2d_params>(op.record).weight_type,
                  [&op](auto x, auto w) { convolve<decltype(x), decltype(w)>(op); });
}

}  // namespace

INTRT_DEFINE_FAST_KERNEL(conv2d, conv2d_sparse, convolve<int8_t, int8_t>)
INTRT_DEFINE_FAST_KERNEL(conv2d, conv2d_sparse_wide, convolve_wide)
