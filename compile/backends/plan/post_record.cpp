#include "compile/backends/plan/post_record.h"

#include <algorithm>

#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::size_t kTableAlignment = 4;

void write_shift(PlanBytes& bytes, const Requantize& requantize, intrt_post_record& record) {
  std::vector<std::int8_t> shifts;
  for (const int shift : requantize.shifts) shifts.push_back(i8(shift));
  record.kind = INTRT_POST_SHIFT;
  record.rounding = static_cast<std::uint8_t>(requantize.rounding);
  record.lo = requantize.lo;
  record.hi = requantize.hi;
  record.shifts_offset = bytes.append_all(shifts);
  record.shift_count = size32(shifts.size());
}

// A channel without steps has a code, too, which nothing reads.
void write_steps(PlanBytes& bytes, const Scale& scale, intrt_post_record& record) {
  std::vector<std::uint32_t> starts;
  std::vector<std::int32_t> thresholds;
  std::vector<std::int16_t> codes;
  for (const ChannelScale& c : scale.channels) {
    starts.push_back(size32(thresholds.size()));
    thresholds.insert(thresholds.end(), c.thresholds.begin(), c.thresholds.end());
    if (c.has_steps())
      codes.insert(codes.end(), c.codes.begin(), c.codes.end());
    else
      codes.push_back(0);
  }
  starts.push_back(size32(thresholds.size()));
  record.starts_offset = bytes.append_all(starts);
  record.thresholds_offset = bytes.append_all(thresholds);
  record.codes_offset = bytes.append_all(codes, kTableAlignment);
}

void write_scale(PlanBytes& bytes, const Scale& scale, intrt_post_record& record) {
  std::vector<std::int8_t> shifts;
  std::vector<std::int32_t> multipliers;
  std::vector<std::int64_t> addends;
  std::vector<std::int16_t> limits;
  for (const ChannelScale& c : scale.channels) {
    shifts.push_back(i8(c.shift));
    multipliers.push_back(c.multiplier);
    addends.push_back(c.addend);
    limits.push_back(static_cast<std::int16_t>(c.lo));  // codes of at most 16 bits
    limits.push_back(static_cast<std::int16_t>(c.hi));
  }
  record.kind = INTRT_POST_SCALE;
  record.rounding = static_cast<std::uint8_t>(scale.rounding);
  record.shifts_offset = bytes.append_all(shifts);
  record.shift_count = size32(shifts.size());
  record.multipliers_offset = bytes.append_all(multipliers);
  record.addends_offset = bytes.append_all(addends);
  record.limits_offset = bytes.append_all(limits, kTableAlignment);
  if (std::any_of(scale.channels.begin(), scale.channels.end(),
                  [](const ChannelScale& c) { return c.has_steps(); }))
    write_steps(bytes, scale, record);
}

}  // namespace

intrt_post_record write_post(PlanBytes& bytes, const Post& post) {
  intrt_post_record record{};
  record.kind = INTRT_POST_NONE;
  if (const Requantize* requantize = post.requantize()) write_shift(bytes, *requantize, record);
  if (const Scale* scale = post.scale()) write_scale(bytes, *scale, record);
  record.mask_offset = write_mask(bytes, post.mask);
  return record;
}

std::uint32_t write_mask(PlanBytes& bytes, const std::vector<std::uint8_t>& mask) {
  return mask.empty() ? 0 : bytes.append_all(pack_mask(mask));
}

}  // namespace lockstep::backends
