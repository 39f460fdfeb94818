#include "intrt/step_tables.h"

namespace {

using namespace intrt;

// Parts for each threshold of a channel, up to the next power of two, and the most that a channel
// has. Measured with tanh: half as many make the search a tenth longer.
constexpr uint32_t kPartsOfThreshold = 4, kMostParts = 1024;

uint32_t parts_for(uint32_t thresholds) {
  uint32_t parts = thresholds == 0 ? 0 : kPartsOfThreshold;
  while (parts < kMostParts && parts / kPartsOfThreshold < thresholds) parts *= 2;
  return parts;
}

}  // namespace

size_t intrt::step_tables_bytes(const intrt_plan& plan, const intrt_post_record& post,
                                uint32_t channels) {
  if (post.kind != INTRT_POST_SCALE || post.starts_offset == 0) return 0;
  const uint32_t* starts = object_at<uint32_t>(plan, post.starts_offset);
  size_t counts = 0;
  for (uint32_t c = 0; c < channels; ++c) counts += parts_for(starts[c + 1] - starts[c]);
  return counts == 0
             ? 0
             : sizeof(StepTables) + sizeof(StepParts) * channels + sizeof(uint16_t) * counts;
}

void intrt::fill_step_tables(const intrt_plan& plan, const intrt_post_record& post,
                             uint32_t channels, StepTables& tables) {
  const uint32_t* starts = object_at<uint32_t>(plan, post.starts_offset);
  tables.channels = channels;
  StepParts* all_parts = static_cast<StepParts*>(static_cast<void*>(&tables + 1));
  uint16_t* const counts = static_cast<uint16_t*>(static_cast<void*>(all_parts + channels));
  uint32_t filled = 0, most = 1;  // most: thresholds of a part
  for (uint32_t c = 0; c < channels; ++c) {
    StepParts& parts = all_parts[c];
    parts = {};
    const uint32_t count = starts[c + 1] - starts[c], number = parts_for(count);
    if (count == 0) continue;
    const int32_t* thresholds = object_at<int32_t>(plan, post.thresholds_offset) + starts[c];
    parts = {thresholds[0], thresholds[count - 1], 0, filled};
    const uint32_t length = static_cast<uint32_t>(parts.last) - static_cast<uint32_t>(parts.first);
    while (length >> parts.shift >= number) ++parts.shift;
    uint32_t before = 0;
    for (uint32_t part = 0; part < number; ++part) {
      // Fewer than there are will do, too.
      const uint32_t noted = before < UINT16_MAX ? before : UINT16_MAX;
      counts[filled++] = static_cast<uint16_t>(noted);
      const int64_t end = parts.first + (int64_t{part} + 1) * (int64_t{1} << parts.shift);
      while (before < count && thresholds[before] < end) ++before;
      if (before - noted > most) most = before - noted;
    }
  }
  tables.most = 1;
  while (tables.most <= most / 2) tables.most *= 2;
}
