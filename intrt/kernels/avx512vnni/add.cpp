#include "intrt/kernels/avx512vnni/packing.h"

#include "intrt/kernels/vector/short_sums.h"

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

// Sums of bytes whose channels are alike, 64 at a time.
template <bool kTowardZero>
void add_bytes(const ShortSums& sums, const int8_t* a, const int8_t* b, size_t count, int8_t* to) {
  const __m512i multipliers = _mm512_set1_epi16(sums.multipliers());
  const __m512i lo = _mm512_set1_epi8(static_cast<int8_t>(sums.post.lo)),
                hi = _mm512_set1_epi8(static_cast<int8_t>(sums.post.hi));
  const __m128i shift = _mm_cvtsi32_si128(sums.shift), left = _mm_cvtsi32_si128(16 - sums.shift);
  const auto shifted = [&](__m512i pairs) {
    __m512i x = _mm512_maddubs_epi16(multipliers, pairs);
    if (kTowardZero) x = _mm512_add_epi16(x, _mm512_srl_epi16(_mm512_srai_epi16(x, 15), left));
    return _mm512_sra_epi16(x, shift);
  };
  const auto codes = [&](__m512i of_a, __m512i of_b) {
    const __m512i all = _mm512_packs_epi16(shifted(_mm512_unpacklo_epi8(of_a, of_b)),
                                           shifted(_mm512_unpackhi_epi8(of_a, of_b)));
    return _mm512_min_epi8(_mm512_max_epi8(all, lo), hi);
  };
  constexpr size_t kBytes = 64;
  size_t i = 0;
  for (; i + kBytes <= count; i += kBytes)
    _mm512_storeu_si512(to + i, codes(_mm512_loadu_si512(a + i), _mm512_loadu_si512(b + i)));
  if (i == count) return;
  const __mmask64 rest = (uint64_t{1} << (count - i)) - 1;
  _mm512_mask_storeu_epi8(
      to + i, rest,
      codes(_mm512_maskz_loadu_epi8(rest, a + i), _mm512_maskz_loadu_epi8(rest, b + i)));
}

bool add_alike(const OpToRun& op, const int32_t* multipliers, size_t begin, size_t count) {
  return add_short_sums(op, multipliers, begin, count, add_bytes<false>, add_bytes<true>);
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
