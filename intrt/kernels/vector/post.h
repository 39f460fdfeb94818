// A post record at work on kLanes accumulators at a time. Include the variant's vector.h or wide.h
// before.
#pragma once

#include "intrt/kernels/kernel.h"
#include "intrt/kernels/vector/codes.h"

namespace intrt {
namespace {

// Sums are put aside for as many places before they are brought to codes, but for those of
// convolution.h.
constexpr size_t kSumsAtOnce = 32;

constexpr bool kSumsAreNearest = true;
constexpr int kFloatsAtOnce = 16;
template <bool kTowardZero>
inline void codes_by_floats(const int32_t (&x)[kFloatsAtOnce], float multiplier, float addend,
                            int32_t (&codes)[kFloatsAtOnce]) {
  float multipliers[kLanes], addends[kLanes];
  for (size_t i = 0; i < kLanes; ++i) multipliers[i] = multiplier, addends[i] = addend;
  for (size_t i = 0; i < kFloatsAtOnce; i += kLanes)
    store(codes + i, scaled_by_floats<kTowardZero>(load(x + i), load(multipliers), load(addends)));
}

}  // namespace
}  // namespace intrt

#include "intrt/kernels/vector/float_scale.h"

namespace intrt {
namespace {

// The channels of some lanes: four from `first` on, then four that come `quad_step` after these,
// and so on: `count` one after the other or, where there is another step, all kLanes.
struct LaneChannels {
  uint32_t first, count;
  // No byte lies between the members. 0: the same four channels again and again.
  uint32_t quad_step = 4;

  uint32_t channel(uint32_t lane) const { return first + lane / 4 * quad_step + lane % 4; }
};

// Where the codes of kLanes sums go, four lanes at a time: so many quads, so many elements apart.
struct QuadPlaces {
  size_t step = 4, count = kLanes / 4;

  size_t place(size_t lane) const { return lane / 4 * step + lane % 4; }
};

// With what is found out once for a run.
struct Target : PostTarget {
  bool may_use_floats;

  Target(const OpToRun& running, const intrt_post_record& its_post)
      : PostTarget{running, its_post},
        may_use_floats(its_post.kind == INTRT_POST_SCALE && floats_round_to_nearest()) {}
};

// Codes of four blocks whose quads lie on top of each other: 16 bytes of each.
inline void store_quads(int8_t* to, const QuadPlaces& quads, Packed4 codes) {
  if (quads.count == kLanes / 4) return store_places<16 / kLanes>(to, quads.step, codes);
  int8_t stored[4 * kLanes];
  store_packed4(stored, codes);
  for (size_t i = 0; i < quads.count; ++i) copy_bytes(to + i * quads.step, stored + 16 * i, 16);
}

// Of some channels: what becomes of their accumulators. What only few forms need, the extras, lies
// elsewhere in the same memory: the rest, which each run reads, is small. Holds no address, so that
// it can be prepared.
class PostLanes {
 public:
  // extras: so many bytes that are 0, at most most_extras, aligned as PostLanes are.
  static size_t extras_bytes(const intrt_post_record& post) {
    if (post.kind != INTRT_POST_SCALE) return 0;
    return sizeof(ScaleExtras) + (post.starts_offset != 0 ? sizeof(StepExtras) : 0);
  }
  static constexpr size_t most_extras() { return sizeof(ScaleExtras) + sizeof(StepExtras); }
  PostLanes(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count,
            void* extras)
      : PostLanes(op.plan, post, op.output, op.step_tables, LaneChannels{channel, count}, extras) {}
  // Takes more time to find what runs faster. starts: of each lane, what a sum of products begins
  // with; where sums become codes as floats (are_floats), they are then to come without it.
  PostLanes(const OpToPrepare& op, const intrt_post_record& post, uint32_t channel, uint32_t count,
            void* extras)
      : PostLanes(op, post, LaneChannels{channel, count}, nullptr, extras) {}
  PostLanes(const OpToPrepare& op, const intrt_post_record& post, LaneChannels channels,
            const int64_t* starts, void* extras)
      : PostLanes(op.plan, post, op.output, op.step_tables, channels, extras) {
    if (post.kind == INTRT_POST_SCALE && form_ != Form::kOther)
      find_floats(op.plan, post, starts, *static_cast<ScaleExtras*>(extras));
  }
  PostLanes(const PostLanes&) = delete;
  PostLanes& operator=(const PostLanes&) = delete;

  // Into memory that was set to 0, so that what lies between the members is 0, too.
  static void* operator new(size_t, void* place) noexcept { return place; }

  // The first `count` of these channels; more, where all channels fare alike.
  PostLanes first(uint32_t count) const { return {*this, count}; }

  // Sums of the channels at `count` places, kLanes numbers for each: to the elements from `element`
  // on, `step` apart.
  void store(const Target& target, const int32_t* sums, size_t count, size_t element,
             size_t step) const {
    store_blocks<1>(this, target, sums, count, element, step);
  }

  // The same for V blocks of channels beside each other (1, 2 or 4), of which only the last may
  // have fewer than kLanes: sums of all blocks for the first place, then for the next. kStacked: of
  // four blocks whose quads go to `quads`, and those of each block behind those of the one before.
  template <int V, bool kStacked = false>
  __attribute__((noinline)) static void store_blocks(const PostLanes* posts, const Target& target,
                                                     const int32_t* sums, size_t count,
                                                     size_t element, size_t step,
                                                     const QuadPlaces& quads = {}) {
    const BlockSums of = {posts, target, sums, count, element, step, quads};
    switch (common_form<V>(posts, target.may_use_floats)) {
      case Form::kShiftDown:
        return store_bytes<V, kStacked, ShiftDown>(of);
      case Form::kShiftToZero:
        return store_bytes<V, kStacked, ShiftToZero>(of);
      case Form::kShiftHalfEven:
        return store_bytes<V, kStacked, ShiftHalfEven>(of);
      case Form::kShiftEitherWay:
        return store_bytes<V, kStacked, ShiftEitherWay>(of);
      case Form::kScaleDown:
        return store_bytes<V, kStacked, ScaleBy<false>>(of);
      case Form::kScaleToZero:
        return store_bytes<V, kStacked, ScaleBy<true>>(of);
      case Form::kScaleOrStep:
        return store_bytes<V, kStacked, ScaleOrStep>(of);
      case Form::kFloatDown:
        return store_bytes<V, kStacked, ScaleByFloat<false, false>>(of);
      case Form::kFloatToZero:
        return store_bytes<V, kStacked, ScaleByFloat<true, false>>(of);
      case Form::kFloatDownExcept:
        return store_bytes<V, kStacked, ScaleByFloat<false, true>>(of);
      case Form::kFloatToZeroExcept:
        return store_bytes<V, kStacked, ScaleByFloat<true, true>>(of);
      case Form::kOther:
        for (size_t v = 0; v < V; ++v)
          posts[v].store_any(target, sums + v * kLanes, V * kLanes, count,
                             element + v * (kStacked ? 4 : kLanes), step, quads);
    }
  }

  // Whether V blocks' sums become codes as floats.
  template <int V>
  static bool are_floats(const PostLanes* posts, const Target& target) {
    return is_of_floats(common_form<V>(posts, target.may_use_floats));
  }

  // How sums become codes without leaving the registers (register_codes.h).
  class RegisterCodes;

  // Calls work(codes_of, a Constant) where codes of four blocks of stacked channels are made in
  // registers, block by block with codes_of.code, and then codes_of.packed; true: they are floats'.
  // False where that takes more than registers, and the sums are for store_blocks.
  template <typename Work>
  static bool with_stacked_codes(const PostLanes* posts, const Target& target, const Work& work) {
    const Form common = common_form<4>(posts, target.may_use_floats);
    return with_plain_form(common, [&](auto form) {
      using F = typename decltype(form)::Type;
      work(FourCodes<F, true>(posts[0], posts[1], posts[2], posts[3], target),
           Constant<F::kFloats>());
    });
  }

 private:
  // How codes that are bytes come about, apart from their clamp. kOther: they are not, as where
  // there is no post, or a mask leaves some out, or they are made one by one.
  enum class Form : uint32_t {
    kShiftDown,
    kShiftToZero,
    kShiftHalfEven,
    kShiftEitherWay,  // whatever shifts and rounding
    kScaleDown,
    kScaleToZero,
    kScaleOrStep,  // whatever scales, steps and rounding
    kFloatDown,
    kFloatToZero,
    kFloatDownExcept,
    kFloatToZeroExcept,
    kOther
  };

  // Of scales: with 64 bits; of those as floats, the accumulators that are exceptions.
  struct ScaleExtras {
    Scale scale;
    Vector float_exceptions{}, float_changes{};

    static void* operator new(size_t, void* place) noexcept { return place; }
  };
  // Behind those, of channels with steps: first and last threshold, and the parts' shift; where
  // thresholds begin and how many there are, where codes and (parts) the counts of step_tables.h
  // begin.
  struct StepExtras {
    Vector first{}, last{}, shift{};
    uint32_t starts[kLanes]{}, counts[kLanes]{}, codes[kLanes]{}, parts[kLanes]{};
    bool are_there = false, are_everywhere = false;

    static void* operator new(size_t, void* place) noexcept { return place; }
  };

  PostLanes(const intrt_plan& plan, const intrt_post_record& post,
            const intrt_tensor_record& output, const StepTables* step_tables, LaneChannels channels,
            void* extras)
      : extras_at_(distance_to(extras)), channels_(channels), has_steps_(step_tables != nullptr) {
    if (post.kind == INTRT_POST_SHIFT) load_shifts(plan, post);
    if (post.kind == INTRT_POST_SCALE) {
      ScaleExtras* of_scale = new (extras) ScaleExtras;
      StepExtras* steps = has_steps_ ? new (of_scale + 1) StepExtras : nullptr;
      if (has_steps_) load_steps(plan, post, *step_tables, *steps);
      load_scales(plan, post, steps, *of_scale);
    }
    const bool are_bytes = post.kind != INTRT_POST_NONE && post.mask_offset == 0 &&
                           output.type == INTRT_INT8 && !one_by_one_;
    form_ = best_form_ = are_bytes ? form_of(post) : Form::kOther;
  }

  Form form_of(const intrt_post_record& post) const {
    if (has_left_shifts_) return Form::kShiftEitherWay;
    if (has_steps_ && steps().are_there) return Form::kScaleOrStep;
    const bool is_shift = post.kind == INTRT_POST_SHIFT;
    if (post.rounding == INTRT_ROUND_HALF_EVEN) return Form::kShiftHalfEven;
    // To zero comes to the same where what lies between -1 and 0 is clamped.
    if (post.rounding == INTRT_ROUND_FLOOR || gives_no_negative())
      return is_shift ? Form::kShiftDown : Form::kScaleDown;
    return is_shift ? Form::kShiftToZero : Form::kScaleToZero;
  }
  // Channels with steps aside.
  bool gives_no_negative() const {
    int32_t lo[kLanes];
    intrt::store(lo, lo_);
    for (size_t i = 0; i < channels_.count; ++i)
      if (lo[i] < 0 && !has_steps(i)) return false;
    return true;
  }
  bool has_steps(size_t lane) const { return has_steps_ && steps().counts[lane] != 0; }

  PostLanes(const PostLanes& other, uint32_t count)
      : extras_at_(distance_to(other.extras())),
        channels_{other.channels_.first, count, other.channels_.quad_step},
        form_(other.form_),
        best_form_(other.best_form_),
        has_steps_(other.has_steps_),
        one_by_one_(other.one_by_one_),
        has_left_shifts_(other.has_left_shifts_),
        lo_(other.lo_),
        hi_(other.hi_),
        shifts_(other.shifts_),
        left_shifts_(other.left_shifts_) {}

  // Not of one array where a copy has the extras of what it was copied from.
  intptr_t distance_to(const void* extras) const {
    return reinterpret_cast<intptr_t>(extras) - reinterpret_cast<intptr_t>(this);
  }
  const void* extras() const {
    return reinterpret_cast<const void*>(reinterpret_cast<intptr_t>(this) + extras_at_);
  }
  const ScaleExtras& scale_extras() const { return *static_cast<const ScaleExtras*>(extras()); }
  const StepExtras& steps() const {
    return *static_cast<const StepExtras*>(static_cast<const void*>(&scale_extras() + 1));
  }

  // The form that serves all blocks.
  template <int V>
  static Form common_form(const PostLanes* posts, bool may_use_floats) {
    Form best = posts[0].best_form_, form = posts[0].form_;
    bool have_floats = may_use_floats, are_alike = true;
    for (int v = 1; v < V; ++v) {
      have_floats = have_floats && with_exceptions(posts[v].best_form_) == with_exceptions(best);
      if (posts[v].best_form_ != best) best = with_exceptions(best);
      are_alike = are_alike && posts[v].form_ == form;
    }
    if (have_floats && is_of_floats(best)) return best;
    if (are_alike) return form;
    for (int v = 0; v < V; ++v)
      if (posts[v].form_ == Form::kOther) return Form::kOther;
    return form >= Form::kScaleDown ? Form::kScaleOrStep : Form::kShiftEitherWay;
  }
  static Form with_exceptions(Form form) {
    return form == Form::kFloatDown     ? Form::kFloatDownExcept
           : form == Form::kFloatToZero ? Form::kFloatToZeroExcept
                                        : form;
  }

  static bool is_of_floats(Form form) { return form >= Form::kFloatDown && form != Form::kOther; }

  // Calls work(a Named<F>), where F turns sums into codes in registers; false where none does.
  // Plain: without exceptions, which are so rare that no large loop is made for them.
  template <typename F>
  struct Named {
    using Type = F;
  };
  template <typename Work>
  __attribute__((always_inline)) static bool with_plain_form(Form form, const Work& work) {
    switch (form) {
      case Form::kShiftDown:
        return work(Named<ShiftDown>()), true;
      case Form::kShiftToZero:
        return work(Named<ShiftToZero>()), true;
      case Form::kFloatDown:
        return work(Named<ScaleByFloat<false, false>>()), true;
      case Form::kFloatToZero:
        return work(Named<ScaleByFloat<true, false>>()), true;
      default:
        return false;
    }
  }
  template <typename Work>
  __attribute__((always_inline)) static bool with_register_form(Form form, const Work& work) {
    switch (form) {
      case Form::kFloatDownExcept:
        return work(Named<ScaleByFloat<false, true>>()), true;
      case Form::kFloatToZeroExcept:
        return work(Named<ScaleByFloat<true, true>>()), true;
      default:
        return with_plain_form(form, work);
    }
  }

  // Codes of V blocks.
  static size_t bytes_of_place(const PostLanes* posts, size_t v) {
    return (v - 1) * kLanes + posts[v - 1].channels_.count;
  }

  // What store_blocks gets.
  struct BlockSums {
    const PostLanes* posts;
    const Target& target;
    const int32_t* sums;
    size_t count, element, step;
    const QuadPlaces& quads;
  };

  // Four blocks' sums into codes. Limits of bytes are bytes, or there are none, so saturated codes
  // may be clamped instead.
  template <typename F, bool kStacked>
  struct FourCodes {
    F code_of[4];
    Packed4 lo, hi;

    FourCodes(const PostLanes& a, const PostLanes& b, const PostLanes& c, const PostLanes& d,
              const Target& target)
        : code_of{F(a, target), F(b, target), F(c, target), F(d, target)},
          lo(pack(a.lo_, b.lo_, c.lo_, d.lo_)),
          hi(pack(a.hi_, b.hi_, c.hi_, d.hi_)) {}
    // Of four blocks, or of one or two again and again.
    FourCodes(const RegisterCodes& of, const size_t (&blocks)[4]);

    Packed4 operator()(const Vector (&sums)[4]) const {
      return clamped4(
          pack(code_of[0](sums[0]), code_of[1](sums[1]), code_of[2](sums[2]), code_of[3](sums[3])),
          lo, hi);
    }
    // The same in steps: what becomes of one block's sum, and two of these in words each.
    Vector code(size_t i, Vector sum) const { return code_of[i](sum); }
    Packed4 packed(PackedWords ab, PackedWords cd) const {
      static_assert(kStacked, "others are permuted");
      return clamped4(pack_bytes(ab, cd), lo, hi);
    }
    static Packed4 pack(Vector a, Vector b, Vector c, Vector d) {
      return kStacked ? pack_stacked(a, b, c, d) : pack4(a, b, c, d);
    }
  };

  template <int V, bool kStacked, typename F>
  static void store_bytes(const BlockSums& of) {
    constexpr size_t kPlaces = 4 / V;  // at once
    const auto post = [&of](size_t i) -> const PostLanes& { return of.posts[i % V]; };
    const FourCodes<F, kStacked> codes_of_four(post(0), post(1), post(2), post(3), of.target);
    // Of the sums of `blocks` of the next four blocks; the last instead of those behind.
    const auto codes_of = [&](const int32_t* sums, size_t blocks) {
      const auto sum = [&](size_t i) {
        return load(sums + (i < blocks ? i : blocks - 1) * kLanes);
      };
      return codes_of_four({sum(0), sum(1), sum(2), sum(3)});
    };
    int8_t* to = of.target.bytes() + of.element;
    const int32_t* sums = of.sums;
    size_t left = of.count;
    if constexpr (kStacked) {
      for (; left > 0; --left, sums += 4 * kLanes, to += of.step)
        store_quads(to, of.quads, codes_of(sums, 4));
      return;
    }
    const size_t bytes = bytes_of_place(of.posts, V);
    if (bytes == V * kLanes)
      for (; left >= kPlaces; left -= kPlaces, sums += 4 * kLanes, to += kPlaces * of.step)
        store_places<V>(to, of.step, codes_of(sums, 4));
    while (left > 0) {
      const size_t places = left < kPlaces ? left : kPlaces;
      int8_t codes[4 * kLanes];
      store_packed4(codes, codes_of(sums, places * V));
      for (size_t i = 0; i < places; ++i, to += of.step)
        copy_bytes(to, codes + i * V * kLanes, bytes);
      left -= places;
      sums += places * V * kLanes;
    }
  }

  // Sums of a place lie sums_step numbers behind those of the place before.
  __attribute__((noinline)) void store_any(const Target& target, const int32_t* sums,
                                           size_t sums_step, size_t count, size_t element,
                                           size_t step, const QuadPlaces& quads) const {
    if (one_by_one_) return store_one_by_one(target, sums, sums_step, count, element, step, quads);
    const OpToRun& op = target.op;
    const uint32_t kind = target.post.kind;
    const Mask mask(op.plan, target.post.mask_offset);
    const bool all_kept = target.post.mask_offset == 0;
    const ShiftEitherWay shifted(*this, target);
    const ScaleOrStep scaled(*this, target);
    for (size_t i = 0; i < count; ++i, sums += sums_step, element += step) {
      const Vector x = load(sums);
      int32_t codes[kLanes];
      intrt::store(codes, clamped(kind == INTRT_POST_SHIFT   ? shifted(x)
                                  : kind == INTRT_POST_SCALE ? scaled(x)
                                                             : x));
      if (all_kept && op.output.type == INTRT_INT16 && quads.step == 4) {
        store_words(static_cast<int16_t*>(op.output_data) + element, codes);
        continue;
      }
      for (size_t lane = 0; lane < lanes_of(quads); ++lane) {
        const size_t place = element + quads.place(lane);
        store_code(op.output_data, op.output.type, place, mask.keeps(place) ? codes[lane] : 0);
      }
    }
  }
  // That are stored.
  size_t lanes_of(const QuadPlaces& quads) const {
    return channels_.count < 4 * quads.count ? channels_.count : 4 * quads.count;
  }
  void store_words(int16_t* to, const int32_t (&codes)[kLanes]) const {
    // With a constant number of lanes the compiler makes one store of them.
    if (channels_.count == kLanes)
      for (size_t lane = 0; lane < kLanes; ++lane) to[lane] = static_cast<int16_t>(codes[lane]);
    else
      for (size_t lane = 0; lane < channels_.count; ++lane)
        to[lane] = static_cast<int16_t>(codes[lane]);
  }

  // Flat: other files define PostOp's functions, too, and not for these instructions.
  __attribute__((flatten)) void store_one_by_one(const Target& target, const int32_t* sums,
                                                 size_t sums_step, size_t count, size_t element,
                                                 size_t step, const QuadPlaces& quads) const {
    const PostOp post(target.op, target.post);
    for (size_t i = 0; i < count; ++i, sums += sums_step, element += step)
      for (uint32_t lane = 0; lane < lanes_of(quads); ++lane)
        post.store(element + quads.place(lane), channels_.channel(lane), sums[lane]);
  }

  void load_shifts(const intrt_plan& plan, const intrt_post_record& post) {
    const int8_t* from = object_at<int8_t>(plan, post.shifts_offset);
    int32_t shifts[kLanes] = {}, left_shifts[kLanes] = {};
    const bool alike = post.shift_count == 1;  // behind `count`, too
    for (uint32_t i = 0; i < (alike ? kLanes : channels_.count); ++i) {
      shifts[i] = from[alike ? 0 : channels_.channel(i)];
      if (shifts[i] >= 0) continue;
      left_shifts[i] = -shifts[i];
      shifts[i] = 0;
      has_left_shifts_ = true;
      if (!saturates(left_shifts[i], post.lo, post.hi)) one_by_one_ = true;
    }
    lo_ = all(post.lo);
    hi_ = all(post.hi);
    if (one_by_one_) return;
    left_shifts_ = load(left_shifts);
    shifts_ = load(shifts);
  }

  void load_steps(const intrt_plan& plan, const intrt_post_record& post, const StepTables& tables,
                  StepExtras& steps) {
    const uint32_t* starts = object_at<uint32_t>(plan, post.starts_offset);
    int32_t first[kLanes] = {}, last[kLanes] = {}, shift[kLanes] = {};
    steps.are_everywhere = true;
    for (uint32_t i = 0; i < channels_.count; ++i) {
      const uint32_t channel = channels_.channel(i);
      const StepParts& parts = tables.parts()[channel];
      first[i] = parts.first;
      last[i] = parts.last;
      shift[i] = static_cast<int32_t>(parts.shift);
      steps.parts[i] = parts.counts;
      steps.starts[i] = starts[channel];
      steps.counts[i] = starts[channel + 1] - starts[channel];
      steps.codes[i] = starts[channel] + channel;
      if (steps.counts[i] != 0)
        steps.are_there = true;
      else
        steps.are_everywhere = false;
    }
    steps.first = load(first);
    steps.last = load(last);
    steps.shift = load(shift);
  }

  // steps: null where there are none.
  void load_scales(const intrt_plan& plan, const intrt_post_record& post, const StepExtras* steps,
                   ScaleExtras& to) {
    const int32_t* multipliers_from = object_at<int32_t>(plan, post.multipliers_offset);
    const int64_t* addends_from = object_at<int64_t>(plan, post.addends_offset);
    const int8_t* shifts_from = object_at<int8_t>(plan, post.shifts_offset);
    const int16_t* limits = object_at<int16_t>(plan, post.limits_offset);
    int32_t multipliers[kLanes] = {}, shifts[kLanes] = {}, lo[kLanes] = {}, hi[kLanes] = {};
    int64_t addends[kLanes] = {};
    for (uint32_t i = 0; i < channels_.count; ++i) {
      if (steps != nullptr && steps->counts[i] != 0) {  // not clamped
        lo[i] = INT32_MIN;
        hi[i] = INT32_MAX;
        continue;
      }
      const size_t channel = channels_.channel(i);
      multipliers[i] = multipliers_from[channel];
      addends[i] = addends_from[channel];
      shifts[i] = shifts_from[channel];
      lo[i] = limits[2 * channel];
      hi[i] = limits[2 * channel + 1];
    }
    to.scale = Scale(multipliers, addends, shifts);
    lo_ = load(lo);
    hi_ = load(hi);
  }

  void find_floats(const intrt_plan& plan, const intrt_post_record& post, const int64_t* starts,
                   ScaleExtras& extras) {
    if (!floats_round_to_nearest()) return;
    // Where only codes that are not negative count, down and to zero come to the same.
    const bool to_zero = post.rounding == INTRT_ROUND_TOWARD_ZERO || gives_no_negative();
    if (!(to_zero ? load_floats<true>(plan, post, starts, extras)
                  : load_floats<false>(plan, post, starts, extras)))
      return;
    int32_t changes[kLanes];
    intrt::store(changes, extras.float_changes);
    best_form_ = to_zero ? Form::kFloatToZero : Form::kFloatDown;
    for (const int32_t change : changes)
      if (change != 0) best_form_ = with_exceptions(best_form_);
  }

  // False: not for all channels.
  template <bool kTowardZero>
  bool load_floats(const intrt_plan& plan, const intrt_post_record& post, const int64_t* starts,
                   ScaleExtras& extras) {
    float multipliers[kLanes] = {}, addends[kLanes] = {};
    int32_t lo[kLanes], hi[kLanes], exceptions[kLanes] = {}, changes[kLanes] = {};
    intrt::store(lo, lo_);
    intrt::store(hi, hi_);
    for (uint32_t i = 0; i < channels_.count; ++i) {
      FloatScale scale;
      if (!find_float_scale_of<kTowardZero>(plan, post, channels_.channel(i),
                                            starts == nullptr ? 0 : starts[i], lo[i], hi[i], scale))
        return false;
      multipliers[i] = scale.multiplier;
      addends[i] = scale.addend;
      exceptions[i] = scale.exception;
      changes[i] = scale.change;
    }
    float_multipliers_ = load(multipliers);
    float_addends_ = load(addends);
    extras.float_exceptions = load(exceptions);
    extras.float_changes = load(changes);
    // Of channels with steps, the least and the greatest code.
    lo_ = load(lo);
    hi_ = load(hi);
    return true;
  }

  Vector clamped(Vector x) const { return least(greatest(x, lo_), hi_); }

  // Each turns sums of one block into codes that are not clamped yet.
  struct ShiftDown {
    static constexpr bool kFloats = false;
    Vector shifts;
    ShiftDown(const PostLanes& post, const Target&) : shifts(post.shifts_) {}
    ShiftDown(const RegisterCodes& of, size_t block);
    Vector operator()(Vector x) const { return shift_right(x, shifts); }
  };

  // intrt_shift_right_toward_zero: 2^shift - 1 where x is negative; a shift by 32 leaves 0.
  struct ShiftToZero {
    static constexpr bool kFloats = false;
    Vector shifts, left;  // left: 32 - shift
    explicit ShiftToZero(Vector by) : shifts(by), left(subtract(all(32), by)) {}
    ShiftToZero(const PostLanes& post, const Target&) : ShiftToZero(post.shifts_) {}
    ShiftToZero(const RegisterCodes& of, size_t block);
    Vector operator()(Vector x) const {
      const Vector more = shift_right_unsigned(shift_right(x, all(31)), left);
      return shift_right(add(x, more), shifts);
    }
  };

  // intrt_shift_right_half_even: one more where what is dropped, plus 1 where the quotient is odd,
  // exceeds one half.
  struct ShiftHalfEven {
    static constexpr bool kFloats = false;
    Vector shifts, below, half;  // 2^shift - 1; half of 2^shift, or 1 where nothing is dropped
    ShiftHalfEven(const PostLanes& post, const Target&)
        : shifts(post.shifts_),
          below(subtract(shift_left(all(1), shifts), all(1))),
          half(greatest(shift_right_unsigned(shift_left(all(1), shifts), all(1)), all(1))) {}
    Vector operator()(Vector x) const {
      const Vector quotient = shift_right(x, shifts);
      const Vector dropped = add(bits_in_both(x, below), bits_in_both(quotient, all(1)));
      return subtract(quotient, greater(dropped, half));
    }
  };

  // The shift to the left, which may leave 32 bits, comes first; of other lanes it is 0.
  struct ShiftEitherWay {
    static constexpr bool kFloats = false;
    const PostLanes& post;
    const Target& target;
    ShiftEitherWay(const PostLanes& of_post, const Target& its_target)
        : post(of_post), target(its_target) {}
    Vector operator()(Vector x) const {
      const Vector lowest = shift_right(all(INT32_MIN), post.left_shifts_),
                   highest = shift_right(all(INT32_MAX), post.left_shifts_);
      const Vector moved = shift_left(least(greatest(x, lowest), highest), post.left_shifts_);
      const uint32_t rounding = target.post.rounding;
      return rounding == INTRT_ROUND_TOWARD_ZERO ? ShiftToZero(post, target)(moved)
             : rounding == INTRT_ROUND_FLOOR     ? ShiftDown(post, target)(moved)
                                                 : ShiftHalfEven(post, target)(moved);
    }
  };

  template <bool kTowardZero>
  struct ScaleBy {
    static constexpr bool kFloats = false;
    const Scale& scale;
    ScaleBy(const PostLanes& post, const Target&) : scale(post.scale_extras().scale) {}
    Vector operator()(Vector x) const { return scale.of<kTowardZero>(x); }
  };

  template <bool kTowardZero, bool kExcept>
  struct ScaleByFloat {
    static constexpr bool kFloats = true;
    Floats multiplier, addend;
    Vector exception{}, change{};
    ScaleByFloat(const PostLanes& post, const Target&)
        : multiplier(post.float_multipliers_), addend(post.float_addends_) {
      if (!kExcept) return;
      exception = post.scale_extras().float_exceptions;
      change = post.scale_extras().float_changes;
    }
    ScaleByFloat(const RegisterCodes& of, size_t block);
    Vector operator()(Vector x) const {
      const Vector code = scaled_by_floats<kTowardZero>(x, multiplier, addend);
      return kExcept ? add(code, bits_in_both(equal(x, exception), change)) : code;
    }
  };

  struct ScaleOrStep {
    static constexpr bool kFloats = false;
    const PostLanes& post;
    const Target& target;
    ScaleOrStep(const PostLanes& of_post, const Target& its_target)
        : post(of_post), target(its_target) {}
    Vector operator()(Vector x) const {
      const bool has_steps = post.has_steps_ && post.steps().are_there;
      if (has_steps && post.steps().are_everywhere) return post.with_steps(target, x, x);
      const Scale& scale = post.scale_extras().scale;
      const Vector codes =
          target.post.rounding == INTRT_ROUND_TOWARD_ZERO ? scale.of<true>(x) : scale.of<false>(x);
      return has_steps ? post.with_steps(target, x, codes) : codes;
    }
  };

  // `codes`, and those of channels with steps: intrt_step for all lanes at once, in searches that
  // do not wait for each other.
  Vector with_steps(const Target& target, Vector x, Vector codes) const {
    const intrt_plan& plan = target.op.plan;
    const StepTables& tables = *target.op.step_tables;
    const int32_t* thresholds = object_at<int32_t>(plan, target.post.thresholds_offset);
    const int16_t* codes_of_steps = object_at<int16_t>(plan, target.post.codes_offset);
    const StepExtras& steps = this->steps();
    const Vector near = least(greatest(x, steps.first), steps.last);
    int32_t numbers[kLanes], results[kLanes], parts[kLanes];
    intrt::store(parts, shift_right_unsigned(subtract(near, steps.first), steps.shift));
    intrt::store(numbers, x);
    intrt::store(results, codes);
    uint32_t passed[kLanes];  // thresholds that are not above the number
    for (size_t lane = 0; lane < kLanes; ++lane)
      passed[lane] = tables.counts()[steps.parts[lane] + static_cast<uint32_t>(parts[lane])];
    for (uint32_t more = tables.most; more > 0; more /= 2)
      for (size_t lane = 0; lane < kLanes; ++lane) {
        const uint32_t next = passed[lane] + more;
        // Where it is not, a threshold that is there is read, and not heeded.
        const bool is_there = next <= steps.counts[lane];
        const bool is_passed =
            thresholds[steps.starts[lane] + (is_there ? next - 1 : 0)] <= numbers[lane];
        passed[lane] = is_there && is_passed ? next : passed[lane];
      }
    for (size_t lane = 0; lane < kLanes; ++lane)
      if (steps.counts[lane] != 0) results[lane] = codes_of_steps[steps.codes[lane] + passed[lane]];
    return load(results);
  }

  intptr_t extras_at_;  // from here
  LaneChannels channels_;
  Form form_ = Form::kOther, best_form_ = Form::kOther;  // the first: of integers
  bool has_steps_;                                       // there are StepExtras
  bool one_by_one_ = false, has_left_shifts_ = false;
  Vector lo_ = all(INT32_MIN), hi_ = all(INT32_MAX);
  // Of a shift, and of a scale as floats.
  union {
    Vector shifts_{};
    Floats float_multipliers_;
  };
  union {
    Vector left_shifts_{};
    Floats float_addends_;
  };
};

// With extras of its own, for one run.
class PostAlone {
 public:
  PostAlone(const OpToRun& op, const intrt_post_record& post, uint32_t channel, uint32_t count)
      : lanes_(op, post, channel, count, extras_) {}
  const PostLanes& lanes() const { return lanes_; }

 private:
  alignas(PostLanes) uint8_t extras_[PostLanes::most_extras()] = {};
  PostLanes lanes_;
};

inline uint32_t lanes_from(size_t first, size_t channels) {
  const size_t left = channels - first;
  return static_cast<uint32_t>(left < kLanes ? left : kLanes);
}

// All channels of an operator's output fare alike.
inline bool channels_alike(const intrt_post_record& post) {
  return post.kind == INTRT_POST_NONE || (post.kind == INTRT_POST_SHIFT && post.shift_count == 1);
}

}  // namespace
}  // namespace intrt
