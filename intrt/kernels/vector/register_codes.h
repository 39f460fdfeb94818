// Sums that become codes without leaving the registers, where there is one place at a time: what
// PostLanes holds for that, side by side, without what other forms need.
#pragma once

#include "intrt/kernels/vector/post.h"

namespace intrt {
namespace {

// Of v blocks of channels beside each other (1, 2 or 4), of which only the last may have fewer than
// kLanes. Points to nothing, so that it can be prepared.
class PostLanes::RegisterCodes {
 public:
  RegisterCodes(const PostLanes* posts, size_t v)
      : lo_(packed(posts, v, &PostLanes::lo_)),
        hi_(packed(posts, v, &PostLanes::hi_)),
        form_(v == 1   ? common_form<1>(posts, true)
              : v == 2 ? common_form<2>(posts, true)
                       : common_form<4>(posts, true)),
        bytes_(static_cast<uint32_t>(bytes_of_place(posts, v))) {
    for (size_t i = 0; i < v; ++i) {
      if (form_ < Form::kScaleDown) shifts_[i] = posts[i].shifts_;
      if (!is_of_floats(form_)) continue;
      multipliers_[i] = posts[i].float_multipliers_;
      addends_[i] = posts[i].float_addends_;
      exceptions_[i] = posts[i].scale_extras().float_exceptions;
      changes_[i] = posts[i].scale_extras().float_changes;
    }
  }
  // Into memory that was set to 0, so that what lies between the members is 0, too.
  static void* operator new(size_t, void* place) noexcept { return place; }

  // False: they are for store_blocks.
  bool are_possible(const Target& target) const {
    return (form_ < Form::kScaleDown || target.may_use_floats) &&
           with_register_form(form_, [](auto) {});
  }

  // Of one place of these blocks, where they are possible.
  template <int V>
  __attribute__((always_inline)) void store(int8_t* to, const Vector (&sums)[V]) const {
    with_register_form(
        form_, [&](auto form) __attribute__((always_inline)) {
          using F = typename decltype(form)::Type;
          const FourCodes<F, false> codes_of(*this, {0, 1 % V, 2 % V, 3 % V});
          const Packed4 codes = codes_of({sums[0], sums[1 % V], sums[2 % V], sums[3 % V]});
          if (bytes_ == 4 * kLanes) return store_packed4(to, codes);
          int8_t stored[4 * kLanes];
          store_packed4(stored, codes);
          copy_bytes(to, stored, bytes_);
        });
  }

 private:
  friend class PostLanes;

  static Packed4 packed(const PostLanes* posts, size_t v, Vector PostLanes::*limits) {
    return pack4(posts[0].*limits, posts[1 % v].*limits, posts[2 % v].*limits,
                 posts[3 % v].*limits);
  }

  // What is read most stands at the end, next to biases and weights.
  Vector exceptions_[4]{}, changes_[4]{}, shifts_[4]{};
  Floats multipliers_[4]{}, addends_[4]{};
  Packed4 lo_, hi_;
  Form form_;
  uint32_t bytes_;
};

inline PostLanes::ShiftDown::ShiftDown(const RegisterCodes& of, size_t block)
    : shifts(of.shifts_[block]) {}
inline PostLanes::ShiftToZero::ShiftToZero(const RegisterCodes& of, size_t block)
    : ShiftToZero(of.shifts_[block]) {}
template <bool kTowardZero, bool kExcept>
PostLanes::ScaleByFloat<kTowardZero, kExcept>::ScaleByFloat(const RegisterCodes& of, size_t block)
    : multiplier(of.multipliers_[block]),
      addend(of.addends_[block]),
      exception(of.exceptions_[block]),
      change(of.changes_[block]) {}
template <typename F, bool kStacked>
PostLanes::FourCodes<F, kStacked>::FourCodes(const RegisterCodes& of, const size_t (&blocks)[4])
    : code_of{F(of, blocks[0]), F(of, blocks[1]), F(of, blocks[2]), F(of, blocks[3])},
      lo(of.lo_),
      hi(of.hi_) {
  static_assert(!kStacked, "limits are in order");
}

}  // namespace
}  // namespace intrt
