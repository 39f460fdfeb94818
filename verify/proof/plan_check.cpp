#include "verify/proof/plan_check.h"

#include "verify/differential/channel_map.h"

namespace lockstep::verify {

PlanCheck::PlanCheck(const ExactNetwork& network_, const Parameters& parameters_,
                     const OpenPlan& plan_)
    : network(network_),
      graph(network_.graph()),
      parameters(parameters_),
      plan(plan_),
      terms(network_, parameters_) {
  for (std::uint32_t t = 0; t < intrt_tensor_count(plan.get()); ++t)
    tensors.push_back(plan.tensor(t));
  held.resize(tensors.size());
  made.assign(tensors.size(), false);
}

Place place_of(const VisibleTensor& tensor, std::int64_t logical) {
  const std::int64_t width = tensor.width, plane = tensor.height * width;
  return {logical / plane, logical % plane / width, logical % width};
}

std::int64_t physical_index(const VisibleTensor& tensor, std::int64_t logical) {
  const Place place = place_of(tensor, logical);
  return (place.y * tensor.width + place.x) * tensor.channels + place.channel;
}

std::int64_t logical_index(const VisibleTensor& tensor, std::int64_t physical) {
  const std::int64_t channels = tensor.channels;
  return physical % channels * (std::int64_t{tensor.height} * tensor.width) + physical / channels;
}

std::string place_text(const VisibleTensor& tensor, std::int64_t logical) {
  const Place place = place_of(tensor, logical);
  return fmt::format("channel {}, position ({}, {})", graph_channel(tensor, place.channel), place.y,
                     place.x);
}

}  // namespace lockstep::verify
