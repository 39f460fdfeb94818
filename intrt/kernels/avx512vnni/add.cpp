#include "intrt/kernels/avx512vnni/packing.h"

namespace intrt {
namespace {

// What is added: codes of two values, times their multipliers.
template <typename A, typename B>
struct Summands {
  const A* a;
  const B* b;
  __m512i of_a, of_b;
  __mmask16 lanes;

  Summands(const A* codes_a, const B* codes_b, __m512i multiplier_a, __m512i multiplier_b,
           __mmask16 some)
      : a(codes_a), b(codes_b), of_a(multiplier_a), of_b(multiplier_b), lanes(some) {}

  // Of the lanes from an element on.
  __m512i sum(size_t element) const {
    return _mm512_add_epi32(_mm512_mullo_epi32(load_codes(a + element, lanes), of_a),
                            _mm512_mullo_epi32(load_codes(b + element, lanes), of_b));
  }
};

template <typename A, typename B>
void add_codes(const Summands<A, B> from, const PostTarget& target, const PostLanes& post,
               size_t element, size_t places, const size_t step) {
  PostLanes::with_packer<1>(&post, [&](const auto& packer) {
    int8_t* const to = target.bytes();
    for (; places >= 4; places -= 4, element += 4 * step)
      packer.store(to + element, step, 4, from.sum(element), from.sum(element + step),
                   from.sum(element + 2 * step), from.sum(element + 3 * step));
  });
  alignas(64) int32_t sums[kSumsAtOnce * kLanes];
  while (places > 0) {
    const size_t now = places < kSumsAtOnce ? places : kSumsAtOnce;
    for (size_t i = 0; i < now; ++i)
      _mm512_store_si512(sums + i * kLanes, from.sum(element + i * step));
    post.store(target, sums, now, element, step);
    element += now * step;
    places -= now;
  }
}

// `places` times `count` channels from `first` on, `step` elements apart.
void add_channels(const OpToRun& op, const PostLanes& post, const int32_t* multipliers,
                  uint32_t first, uint32_t count, size_t start, size_t places, size_t step) {
  const __mmask16 lanes = first_lanes(count);
  const __m512i of_a = _mm512_maskz_loadu_epi32(lanes, multipliers + first);
  const __m512i of_b = _mm512_maskz_loadu_epi32(lanes, multipliers + op.output.channels + first);
  const PostTarget target = {op, params_of<intrt_add_params>(op.record).post};
  with_codes(op.input_data_at(0), op.input.type, [&](const auto* a) {
    with_codes(op.input_data_at(1), op.input_at(1).type, [&](const auto* b) {
      add_codes(Summands{a, b, of_a, of_b, lanes}, target, post, start, places, step);
    });
  });
}

}  // namespace
}  // namespace intrt

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_avx512vnni_add = {intrt::takes, intrt::run,    nullptr,
                                                nullptr,      intrt::slices, intrt::row_slices};
