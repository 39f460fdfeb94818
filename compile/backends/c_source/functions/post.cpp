// From accumulator to output element. Shifts and clamps call the runtime's functions with literal
// arguments; a scale gets a small function of its own, with whatever all channels share as a
// literal.
#include <algorithm>

#include "compile/backends/c_source/functions/function.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

std::string_view rounding_function(Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return "intrt_shift_right_toward_zero";
    case Rounding::kFloor:
      return "intrt_shift_right_floor";
    case Rounding::kHalfEven:
      break;
  }
  return "intrt_shift_right_half_even";
}

std::string_view rounding_macro(Rounding rounding) {
  switch (rounding) {
    case Rounding::kTowardZero:
      return "INTRT_ROUND_TOWARD_ZERO";
    case Rounding::kFloor:
      return "INTRT_ROUND_FLOOR";
    case Rounding::kHalfEven:
      break;
  }
  return "INTRT_ROUND_HALF_EVEN";
}

bool has_steps(const ChannelScale& c) { return c.has_steps(); }

// Rounding toward zero and rounding down differ below 0 only.
Rounding rounding_for(Rounding rounding, std::int64_t lo) {
  return rounding == Rounding::kTowardZero && lo >= 0 ? Rounding::kFloor : rounding;
}

std::string shifted(const Requantize& r, bool wide, const std::string& acc,
                    const std::string& shift) {
  const std::string lo = c_integer(r.lo), hi = c_integer(r.hi);
  if (wide)
    return fmt::format("intrt_requantize_wide({}, {}, {}, {}, {})", acc, shift,
                       rounding_macro(r.rounding), lo, hi);
  const bool right = std::all_of(r.shifts.begin(), r.shifts.end(), [](int s) { return s >= 0; });
  if (r.shifts.size() == 1 && r.shifts[0] == 0)
    return fmt::format("intrt_clamp({}, {}, {})", acc, lo, hi);
  if (right)
    return fmt::format("intrt_clamp({}({}, {}), {}, {})",
                       rounding_function(rounding_for(r.rounding, r.lo)), acc, shift, lo, hi);
  return fmt::format("intrt_requantize({}, {}, {}, {}, {})", acc, shift, rounding_macro(r.rounding),
                     lo, hi);
}

}  // namespace

void Function::mask_constants(const std::vector<std::uint8_t>& mask) {
  if (mask.empty()) return;
  const std::vector<std::uint8_t> bits = pack_mask(mask);
  text_.array("uint8_t", name_ + "_mask", {bits.begin(), bits.end()});
}

void Function::post_constants(const Post& post, const std::vector<Accumulator>& accumulators,
                              std::vector<std::int64_t>* starts) {
  const Requantize* r = post.requantize();
  if (r != nullptr && r->shifts.size() > 1)
    text_.array("int8_t", name_ + "_shift", {r->shifts.begin(), r->shifts.end()});
  if (const Scale* scale = post.scale()) {
    const ScaleForm form = scale_form(*scale, accumulators, starts != nullptr);
    for (std::size_t i = 0; i < form.offsets.size(); ++i) starts->at(i) += form.offsets[i];
    scale_function(form);
  }
  mask_constants(post.mask);
}

// INTRT_INLINE int32_t NAME_scale(int32_t acc, int32_t c): the code of an accumulator of channel c;
// without c where all channels are alike.
void Function::scale_function(const ScaleForm& form) {
  const std::vector<ChannelScale>& channels = form.channels;
  scale_by_channel_ = channels.size() > 1;
  const bool all_steps = std::all_of(channels.begin(), channels.end(), has_steps);
  const bool any_steps = std::any_of(channels.begin(), channels.end(), has_steps);
  const auto straight = std::find_if_not(channels.begin(), channels.end(), has_steps);

  std::string scaled;
  if (!all_steps) {
    // Of channels with steps nobody reads these; a copy of another channel's may make all alike.
    const auto each = [&](std::string_view suffix, auto member) {
      std::vector<std::int64_t> elements;
      for (const ChannelScale& c : channels)
        elements.push_back((c.has_steps() ? *straight : c).*member);
      return constant(fmt::format("scale_{}", suffix), elements, "c");
    };
    const std::string multiplier = each("multiplier", &ChannelScale::multiplier),
                      addend = each("addend", &ChannelScale::addend),
                      lo = each("lo", &ChannelScale::lo), hi = each("hi", &ChannelScale::hi);
    const std::string_view rounding = rounding_macro(form.rounding);
    switch (form.function) {
      case ScaleForm::Function::kTop:
        scaled = fmt::format("intrt_scale_top(acc, {}, {}, {}, {})", multiplier, addend, lo, hi);
        break;
      case ScaleForm::Function::kHigh:
        scaled = fmt::format("intrt_scale_high(acc, {}, {}, {}, {}, {})", multiplier, addend,
                             rounding, lo, hi);
        break;
      case ScaleForm::Function::kScale:
        scaled = fmt::format("intrt_scale(acc, {}, {}, {}, {}, {}, {})", multiplier, addend,
                             each("shift", &ChannelScale::shift), rounding, lo, hi);
        break;
    }
  }
  std::vector<std::int64_t> starts, thresholds, codes;
  for (const ChannelScale& c : channels) {
    starts.push_back(static_cast<std::int64_t>(thresholds.size()));
    thresholds.insert(thresholds.end(), c.thresholds.begin(), c.thresholds.end());
    codes.insert(codes.end(), c.codes.begin(), c.codes.end());
    if (!c.has_steps()) codes.push_back(0);  // so that channel c's codes start at starts[c] + c
  }
  starts.push_back(static_cast<std::int64_t>(thresholds.size()));
  const std::string threshold_name = name_ + "_threshold", code_name = name_ + "_code";
  if (any_steps) {
    text_.array("int32_t", threshold_name, thresholds);
    text_.array("int16_t", code_name, codes);
    if (channels.size() > 1) text_.array("uint32_t", name_ + "_first_step", starts);
  }

  text_.line("INTRT_INLINE int32_t {}_scale(int32_t acc{}) {{", name_,
             channels.size() > 1 ? ", int32_t c" : "");
  if (any_steps && channels.size() == 1) {
    text_.line("return intrt_step(acc, {}, {}u, {});", threshold_name, thresholds.size(),
               code_name);
  } else if (any_steps) {
    text_.line("const uint32_t first = {0}_first_step[c], count = {0}_first_step[c + 1] - first;",
               name_);
    if (!all_steps) text_.line("if (count == 0) return {};", scaled);
    text_.line("return intrt_step(acc, {} + first, count, {} + first + c);", threshold_name,
               code_name);
  } else {
    if (channels.size() > 1 && scaled.find("[c]") == std::string::npos) text_.line("(void)c;");
    text_.line("return {};", scaled);
  }
  text_.line("}}");
}

bool Function::differs_by_channel(const Post& post) const {
  const Requantize* r = post.requantize();
  return r != nullptr ? r->shifts.size() > 1 : scale_by_channel_;
}

std::string Function::unmasked_value(const Post& post, const std::string& acc,
                                     const std::string& channel) const {
  if (const Requantize* r = post.requantize())
    return shifted(*r, wide_, acc,
                   r->shifts.size() == 1 ? fmt::format("{}", r->shifts[0])
                                         : fmt::format("{}_shift[{}]", name_, channel));
  if (post.scale() == nullptr) return acc;
  return differs_by_channel(post) ? fmt::format("{}_scale({}, {})", name_, acc, channel)
                                  : fmt::format("{}_scale({})", name_, acc);
}

std::string Function::post_value(const Post& post, const std::string& acc,
                                 const std::string& channel, const std::string& element) const {
  const std::string value = unmasked_value(post, acc, channel);
  return cast(post.mask.empty() ? value : fmt::format("({} ? {} : 0)", keeps(element), value));
}

}  // namespace lockstep::backends
