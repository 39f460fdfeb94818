// Four times 16 accumulators become 64 bytes at once.
#pragma once

#include "intrt/kernels/avx512vnni/post.h"

namespace intrt {
namespace {

// Loads a constant for what follows, which would else load it at each use.
template <typename Vector>
inline void in_register(Vector& constant) {
  asm("" : "+v"(constant));
}

// Functions of sums; load(): their constants, so many, are to lie in registers.
//
// intrt_shift_right_floor.
struct PostLanes::ShiftDown : PostLanes::IntegerLimits {
  static constexpr int kConstants = 1;
  __m512i shifts;
  explicit ShiftDown(const PostLanes& post) : shifts(post.shifts_) {}
  void load() { in_register(shifts); }
  __m512i operator()(__m512i x) const { return _mm512_srav_epi32(x, shifts); }
};

struct PostLanes::ShiftToZero : PostLanes::IntegerLimits {
  static constexpr int kConstants = 2;
  __m512i shifts, left;
  explicit ShiftToZero(const PostLanes& post)
      : shifts(post.shifts_), left(_mm512_sub_epi32(_mm512_set1_epi32(32), shifts)) {}
  void load() { in_register(shifts), in_register(left); }
  __m512i operator()(__m512i x) const { return shift_toward_zero(x, shifts, left); }
};

// intrt_scale_high.
template <bool kTowardZero>
struct PostLanes::ScaleHigh : PostLanes::IntegerLimits {
  static constexpr int kConstants = 4;
  __m512i multipliers[2], addends[2];  // of even and of odd channels
  explicit ScaleHigh(const PostLanes& post)
      : multipliers{post.high_multipliers_[0], post.high_multipliers_[1]},
        addends{post.high_addends_[0], post.high_addends_[1]} {}
  void load() {
    in_register(multipliers[0]), in_register(multipliers[1]);
    in_register(addends[0]), in_register(addends[1]);
  }
  __m512i operator()(__m512i x) const {
    __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, multipliers[0]), addends[0]);
    __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(x, 32), multipliers[1]), addends[1]);
    if (kTowardZero) {
      const __m512i below = _mm512_set1_epi64(0xFFFFFFFF);
      even = _mm512_mask_add_epi64(even, _mm512_movepi64_mask(even), even, below);
      odd = _mm512_mask_add_epi64(odd, _mm512_movepi64_mask(odd), odd, below);
    }
    return _mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xAAAA, odd);
  }
};

template <bool kTowardZero, bool kExcept>
struct PostLanes::ScaleFloat {
  static constexpr int kConstants = kExcept ? 4 : 2;
  static __m512i lo(const PostLanes& post) { return post.float_lo_; }
  static __m512i hi(const PostLanes& post) { return post.float_hi_; }
  __m512 multipliers, addends;
  __m512i exceptions, changes;
  explicit ScaleFloat(const PostLanes& post)
      : multipliers(post.float_multipliers_),
        addends(post.float_addends_),
        exceptions(post.float_exceptions_),
        changes(post.float_changes_) {}
  void load() {
    in_register(multipliers), in_register(addends);
    if (kExcept) in_register(exceptions), in_register(changes);
  }
  __m512i operator()(__m512i x) const {
    const __m512i code = scaled_by_floats<kTowardZero>(x, multipliers, addends);
    if (!kExcept) return code;
    return _mm512_mask_add_epi32(code, _mm512_cmpeq_epi32_mask(x, exceptions), code, changes);
  }
};

// Four times 16 numbers, saturated to bytes: quarter i of the register gets numbers 4i to 4i + 3 of
// each, one after the other.
inline __m512i packed_in_quarters(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

// Of quarters, what brings their numbers one after the other.
inline __m512i quarters_in_order() {
  return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// Four times 16 numbers, saturated to bytes, one after the other.
inline __m512i packed(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_permutexvar_epi32(quarters_in_order(), packed_in_quarters(a, b, c, d));
}

// Quarter i of register q changes places with quarter q of register i.
inline void transpose_quarters(__m512i (&x)[4]) {
  const __m512i low[] = {_mm512_shuffle_i32x4(x[0], x[1], 0x44),
                         _mm512_shuffle_i32x4(x[2], x[3], 0x44)};
  const __m512i high[] = {_mm512_shuffle_i32x4(x[0], x[1], 0xEE),
                          _mm512_shuffle_i32x4(x[2], x[3], 0xEE)};
  x[0] = _mm512_shuffle_i32x4(low[0], low[1], 0x88);
  x[1] = _mm512_shuffle_i32x4(low[0], low[1], 0xDD);
  x[2] = _mm512_shuffle_i32x4(high[0], high[1], 0x88);
  x[3] = _mm512_shuffle_i32x4(high[0], high[1], 0xDD);
}

// How V * 16 bytes of each place are stored.
enum class Layout {
  kJoined,  // all of them, those of the register's next place behind
  kWhole,   // all of them, each place by itself
  kEights,  // 8 of 16, those of the next place behind
  kMasked   // those of some lanes
};

template <Layout kLayout>
struct ConstantLayout {};

template <size_t kBytes>
inline void store_bytes(int8_t* to, __m512i bytes) {
  void* const place = to;
  if constexpr (kBytes == 16)
    _mm_storeu_si128(static_cast<__m128i_u*>(place), _mm512_castsi512_si128(bytes));
  else if constexpr (kBytes == 32)
    _mm256_storeu_si256(static_cast<__m256i_u*>(place), _mm512_castsi512_si256(bytes));
  else
    _mm512_storeu_si512(place, bytes);
}
template <size_t kBytes>
inline void store_bytes(int8_t* to, __m512i bytes, __mmask64 lanes) {
  if constexpr (kBytes == 16)
    _mm_mask_storeu_epi8(to, static_cast<__mmask16>(lanes), _mm512_castsi512_si128(bytes));
  else if constexpr (kBytes == 32)
    _mm256_mask_storeu_epi8(to, static_cast<__mmask32>(lanes), _mm512_castsi512_si256(bytes));
  else
    _mm512_mask_storeu_epi8(to, lanes, bytes);
}

// Part i of kParts of the register, at its begin.
template <int kParts>
inline __m512i part_of(__m512i bytes, int i) {
  if (i == 0) return bytes;
  if (kParts == 2) return _mm512_castsi256_si512(_mm512_extracti64x4_epi64(bytes, 1));
  return _mm512_castsi128_si512(i == 1   ? _mm512_extracti32x4_epi32(bytes, 1)
                                : i == 2 ? _mm512_extracti32x4_epi32(bytes, 2)
                                         : _mm512_extracti32x4_epi32(bytes, 3));
}

// The first `places` (at most 4 / V) of V * 16 bytes each, of which `lanes` are stored.
template <int V, Layout kLayout>
__attribute__((always_inline)) inline void store_places(ConstantLayout<kLayout>, int8_t* to,
                                                        __m512i bytes, size_t places, size_t step,
                                                        __mmask64 lanes) {
  constexpr int kPlaces = 4 / V;
  if (kLayout == Layout::kJoined && places == kPlaces) {
    store_bytes<64>(to, bytes);
    return;
  }
  if (kLayout == Layout::kEights && places == kPlaces) {
    const __m512i even = _mm512_setr_epi64(0, 2, 4, 6, 0, 2, 4, 6);
    store_bytes<32>(to, _mm512_permutexvar_epi64(even, bytes));
    return;
  }
  _Pragma("GCC unroll 4") for (int i = 0; i < kPlaces; ++i) {
    if (static_cast<size_t>(i) >= places) return;
    int8_t* const place = to + static_cast<size_t>(i) * step;
    const __m512i part = part_of<kPlaces>(bytes, i);
    if (kLayout == Layout::kJoined || kLayout == Layout::kWhole)
      store_bytes<V * kLanes>(place, part);
    else
      store_bytes<V * kLanes>(place, part, lanes);
  }
}

// Calls store with the ConstantLayout.
template <int V, typename Store>
__attribute__((always_inline)) inline void with_layout(size_t step, __mmask64 lanes,
                                                       const Store& store) {
  constexpr size_t kBytes = V * kLanes;
  if (lanes != ~uint64_t{0} >> (64 - kBytes)) {
    if (V == 1 && lanes == 0xFF && step == 8)
      store(ConstantLayout<Layout::kEights>());
    else
      store(ConstantLayout<Layout::kMasked>());
  } else if (V == 4 || step == kBytes) {
    store(ConstantLayout<Layout::kJoined>());
  } else {
    store(ConstantLayout<Layout::kWhole>());
  }
}

template <int V, typename F>
class PostLanes::Packer {
 public:
  static constexpr int kPlaces = 4 / V;  // at once

  explicit Packer(const PostLanes* posts)
      : forms_{F(posts[0]), F(posts[1 % V]), F(posts[2 % V]), F(posts[3 % V])},
        lo_(packed(F::lo(posts[0]), F::lo(posts[1 % V]), F::lo(posts[2 % V]), F::lo(posts[3 % V]))),
        hi_(packed(F::hi(posts[0]), F::hi(posts[1 % V]), F::hi(posts[2 % V]), F::hi(posts[3 % V]))),
        lanes_(~uint64_t{0} >> (64 - ((V - 1) * kLanes + posts[V - 1].count_))) {}

  // What turns sums into codes. A copy, so that it can stay in registers: what is reached through
  // a pointer is read again behind each byte that is stored.
  struct Constants {
    F forms[4];
    __m512i order, lo, hi;

    void load() {
      in_register(order);
      if constexpr (F::kConstants * V <= 8)
        _Pragma("GCC unroll 4") for (int v = 0; v < V; ++v) forms[v].load();
      if constexpr (F::kConstants * V <= 4) in_register(lo), in_register(hi);
    }
    __attribute__((always_inline)) __m512i codes(__m512i a, __m512i b, __m512i c, __m512i d) const {
      const __m512i bytes =
          packed_in_quarters(forms[0](a), forms[1 % V](b), forms[2 % V](c), forms[3 % V](d));
      return _mm512_min_epi8(_mm512_max_epi8(_mm512_permutexvar_epi32(order, bytes), lo), hi);
    }
    // Of 8 outputs: for 8 of one place beside 8 of the next.
    void repeat_8() {
      constexpr size_t kRegisters = sizeof(F) / sizeof(__m512i);
      __m512i of_form[kRegisters];
      __builtin_memcpy(of_form, &forms[0], sizeof(F));
      _Pragma("GCC unroll 8") for (__m512i& constant : of_form) constant =
          _mm512_broadcast_i64x4(_mm512_castsi512_si256(constant));
      _Pragma("GCC unroll 4") for (F& form : forms) __builtin_memcpy(&form, of_form, sizeof(F));
      lo = _mm512_broadcastq_epi64(_mm512_castsi512_si128(lo));
      hi = _mm512_broadcastq_epi64(_mm512_castsi512_si128(hi));
    }
  };
  Constants constants() const {
    return {{forms_[0], forms_[1], forms_[2], forms_[3]}, quarters_in_order(), lo_, hi_};
  }

  // All blocks of the first place, then of the next; of kPlaces, or of fewer, `places`.
  __attribute__((always_inline)) void store(int8_t* to, size_t step, size_t places, __m512i a,
                                            __m512i b, __m512i c, __m512i d) const {
    const __m512i codes = constants().codes(a, b, c, d);
    with_layout<V>(
        step, lanes_, [&](auto layout) __attribute__((always_inline)) {
          store_places<V>(layout, to, codes, places, step, lanes_);
        });
  }

  bool has_8_outputs() const { return V == 1 && lanes_ == 0xFF; }

  // The sums of P places. kLoad: the constants are loaded when the first four sums are done with,
  // into their registers.
  template <bool kLoad, int P>
  __attribute__((always_inline)) void store_all(int8_t* to, size_t step,
                                                const __m512i (&sums)[P][V], Constants& by) const {
    constexpr int kRegisters = (P * V + 3) / 4;
    const auto sum = [&](int i) { return i < P * V ? sums[i / V][i % V] : sums[P - 1][i % V]; };
    __m512i codes[kRegisters];
    _Pragma("GCC unroll 16") for (int i = 0; i < kRegisters; ++i) {
      codes[i] = by.codes(sum(4 * i), sum(4 * i + 1), sum(4 * i + 2), sum(4 * i + 3));
      if (kLoad && i == 0) by.load();
    }
    with_layout<V>(
        step, lanes_, [&](auto layout) __attribute__((always_inline)) {
          _Pragma("GCC unroll 16") for (int i = 0; i < kRegisters; ++i) {
            const int place = i * kPlaces;
            store_places<V>(layout, to + static_cast<size_t>(place) * step, codes[i],
                            static_cast<size_t>(P - place < kPlaces ? P - place : kPlaces), step,
                            lanes_);
          }
        });
  }

  // The codes of sums of Count places, in the order of the outputs; posts and sums are transposed.
  template <int Count>
  __attribute__((always_inline)) void codes_of_transposed(__m512i (&sums)[Count][4],
                                                          __m512i (&codes)[Count]) const {
    _Pragma("GCC unroll 4") for (int v = 0; v < 4; ++v) {
      F form = forms_[v];
      form.load();
      _Pragma("GCC unroll 4") for (int i = 0; i < Count; ++i) sums[i][v] = form(sums[i][v]);
    }
    __m512i lo = lo_, hi = hi_;
    in_register(lo), in_register(hi);
    _Pragma("GCC unroll 4") for (int i = 0; i < Count; ++i) codes[i] = _mm512_min_epi8(
        _mm512_max_epi8(packed_in_quarters(sums[i][0], sums[i][1], sums[i][2], sums[i][3]), lo),
        hi);
  }

 private:
  F forms_[4];
  __m512i lo_, hi_;
  __mmask64 lanes_;
};

inline void PostLanes::transpose_constants(PostLanes* posts) {
  const auto transpose = [posts](const auto& member_of) {
    __m512i constants[4];
    for (int v = 0; v < 4; ++v)
      __builtin_memcpy(&constants[v], &member_of(posts[v]), sizeof(__m512i));
    transpose_quarters(constants);
    for (int v = 0; v < 4; ++v)
      __builtin_memcpy(&member_of(posts[v]), &constants[v], sizeof(__m512i));
  };
  transpose([](PostLanes& post) -> __m512i& { return post.shifts_; });
  for (int i = 0; i < 2; ++i) {
    transpose([i](PostLanes& post) -> __m512i& { return post.high_multipliers_[i]; });
    transpose([i](PostLanes& post) -> __m512i& { return post.high_addends_[i]; });
  }
  transpose([](PostLanes& post) -> __m512& { return post.float_multipliers_; });
  transpose([](PostLanes& post) -> __m512& { return post.float_addends_; });
  transpose([](PostLanes& post) -> __m512i& { return post.float_exceptions_; });
  transpose([](PostLanes& post) -> __m512i& { return post.float_changes_; });
}

// The form that serves blocks of both; kOther: none.
inline PostLanes::Form PostLanes::common(Form a, Form b) {
  if (a == b) return a;
  const auto both = [a, b](Form plain, Form except) {
    return (a == plain || a == except) && (b == plain || b == except);
  };
  if (both(Form::kFloatDown, Form::kFloatDownExcept)) return Form::kFloatDownExcept;
  if (both(Form::kFloatToZero, Form::kFloatToZeroExcept)) return Form::kFloatToZeroExcept;
  return Form::kOther;
}

// The form that serves all blocks; where their best ones have none in common, that of integers.
template <int V>
inline PostLanes::Form PostLanes::common_form(const PostLanes* posts) {
  Form best = posts[0].best_form_, form = posts[0].form_;
  for (int v = 1; v < V; ++v) {
    best = common(best, posts[v].best_form_);
    form = common(form, posts[v].form_);
  }
  return best != Form::kOther ? best : form;
}

template <int V>
inline uint32_t PostLanes::steps_left(const PostLanes* posts, Form form) {
  uint32_t steps = 0;
  if (form < Form::kFloatDown)
    for (int v = 0; v < V; ++v) steps |= posts[v].stepped_;
  return steps;
}

template <int V, typename Run>
__attribute__((always_inline)) inline bool PostLanes::with_form(const PostLanes* posts, Form form,
                                                                const Run& run) {
  switch (form) {
    case Form::kShiftDown:
      run(Packer<V, ShiftDown>(posts));
      return true;
    case Form::kShiftToZero:
      run(Packer<V, ShiftToZero>(posts));
      return true;
    case Form::kScaleDown:
      run(Packer<V, ScaleHigh<false>>(posts));
      return true;
    case Form::kScaleToZero:
      run(Packer<V, ScaleHigh<true>>(posts));
      return true;
    case Form::kFloatDown:
      run(Packer<V, ScaleFloat<false, false>>(posts));
      return true;
    case Form::kFloatToZero:
      run(Packer<V, ScaleFloat<true, false>>(posts));
      return true;
    case Form::kFloatDownExcept:
      run(Packer<V, ScaleFloat<false, true>>(posts));
      return true;
    case Form::kFloatToZeroExcept:
      run(Packer<V, ScaleFloat<true, true>>(posts));
      return true;
    case Form::kOther:
      break;
  }
  return false;
}

template <int V>
inline bool PostLanes::have_packer(const PostLanes* posts) {
  const Form form = common_form<V>(posts);
  return form != Form::kOther && steps_left<V>(posts, form) == 0;
}

template <int V, typename Run>
__attribute__((always_inline)) inline bool PostLanes::with_packer(const PostLanes* posts,
                                                                  const Run& run) {
  return have_packer<V>(posts) && with_form<V>(posts, common_form<V>(posts), run);
}

template <int V>
__attribute__((noinline)) void PostLanes::store_blocks(const PostLanes* posts,
                                                       const PostTarget& target,
                                                       const int32_t* sums, size_t count,
                                                       size_t element, size_t step) {
  const Form form = common_form<V>(posts);
  const bool stored = with_form<V>(
      posts, form, [ =, &target ](const auto& packer) __attribute__((always_inline)) {
        constexpr size_t kPlaces = 4 / V;
        int8_t* to = target.bytes() + element;
        const int32_t* from = sums;
        for (size_t i = 0; i < count; i += kPlaces, from += 4 * kLanes, to += kPlaces * step)
          packer.store(to, step, count - i < kPlaces ? count - i : kPlaces, _mm512_load_si512(from),
                       _mm512_load_si512(from + kLanes), _mm512_load_si512(from + 2 * kLanes),
                       _mm512_load_si512(from + 3 * kLanes));
      });
  if (stored && steps_left<V>(posts, form) == 0) return;
  for (int v = 0; v < V; ++v, sums += kLanes, element += kLanes) {
    const PostLanes& post = posts[v];
    if (!stored && !post.one_by_one_)
      for (size_t i = 0; i < count; ++i)
        post.store_any(target, _mm512_load_si512(sums + i * V * kLanes), element + i * step);
    const uint32_t rest = post.one_by_one_ ? post.lanes_ : post.stepped_;
    if (rest != 0) post.store_one_by_one(target, rest, sums, V * kLanes, count, element, step);
  }
}

}  // namespace
}  // namespace intrt
