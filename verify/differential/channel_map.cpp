#include "verify/differential/channel_map.h"

#include <fmt/format.h>

#include <vector>

#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

std::int64_t plane_of(const VisibleTensor& tensor) {
  return std::int64_t{tensor.height} * tensor.width;
}

// How many channels the value has, counted as the tensor's map counts them; 0: they do not fit.
std::int64_t channels_of(const VisibleTensor& tensor, const Format& format) {
  if (format.shape.size() > 1) return format.shape[0];
  const std::int64_t plane = plane_of(tensor);
  return format.shape[0] % plane == 0 ? format.shape[0] / plane : 0;
}

}  // namespace

std::int64_t graph_channel(const VisibleTensor& tensor, std::int64_t channel) {
  return tensor.channel_map.empty() ? channel : tensor.channel_map[at(channel)];
}

std::int64_t graph_element(const VisibleTensor& tensor, std::int64_t element) {
  if (tensor.channel_map.empty()) return element;
  const std::int64_t plane = plane_of(tensor);
  return graph_channel(tensor, element / plane) * plane + element % plane;
}

std::string map_fault(const VisibleTensor& tensor, const Format& format) {
  const std::int64_t channels = channels_of(tensor, format);
  std::vector<bool> listed(at(channels), false);
  for (const std::uint32_t channel : tensor.channel_map) {
    if (channel >= channels)
      return fmt::format("its channel map lists channel {}, but there are {}", channel, channels);
    if (listed[channel]) return fmt::format("its channel map lists channel {} twice", channel);
    listed[channel] = true;
  }
  return "";
}

bool is_part_of(const VisibleTensor& tensor, const Format& format) {
  if (tensor.channel_map.empty()) return tensor.element_count() == format.element_count();
  return channels_of(tensor, format) * plane_of(tensor) == format.element_count() &&
         map_fault(tensor, format).empty();
}

}  // namespace lockstep::verify
