#include "intrt/kernels/avx512vnni/packing.h"

namespace intrt {
namespace {

template <typename A, typename B>
void add_codes(const A* a, const B* b, const OpToRun& op, const PostLanes& post,
               const int32_t* multipliers, uint32_t first, uint32_t count, size_t start,
               size_t places, size_t step) {
  const __mmask16 lanes = first_lanes(count);
  const __m512i of_a = _mm512_maskz_loadu_epi32(lanes, multipliers + first);
  const __m512i of_b = _mm512_maskz_loadu_epi32(lanes, multipliers + op.output.channels + first);
  const PostTarget target = {op, params_of<intrt_add_params>(op.record).post};
  alignas(64) int32_t sums[kSumsAtOnce * kLanes];
  while (places > 0) {
    const size_t now = places < kSumsAtOnce ? places : kSumsAtOnce;
    for (size_t i = 0; i < now; ++i)
      _mm512_store_si512(
          sums + i * kLanes,
          _mm512_add_epi32(_mm512_mullo_epi32(load_codes(a + i * step, lanes), of_a),
                           _mm512_mullo_epi32(load_codes(b + i * step, lanes), of_b)));
    post.store(target, sums, now, start, step);
    a += now * step;
    b += now * step;
    start += now * step;
    places -= now;
  }
}

// `places` times `count` channels from `first` on, `step` elements apart.
void add_channels(const OpToRun& op, const PostLanes& post, const int32_t* multipliers,
                  uint32_t first, uint32_t count, size_t start, size_t places, size_t step) {
  with_codes(op.input_data_at(0), op.input.type, [&](const auto* a) {
    with_codes(op.input_data_at(1), op.input_at(1).type, [&](const auto* b) {
      add_codes(a + start, b + start, op, post, multipliers, first, count, start, places, step);
    });
  });
}

}  // namespace
}  // namespace intrt

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_avx512vnni_add = {intrt::takes, intrt::run, nullptr, nullptr,
                                                intrt::slices};
