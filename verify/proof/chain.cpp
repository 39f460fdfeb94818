#include "verify/proof/chain.h"

#include <algorithm>

#include "verify/semantics/index.h"

namespace lockstep::verify {

std::int32_t Chains::intern(const GraphStep& step) {
  const auto found = std::ranges::find(steps_, step);
  if (found != steps_.end()) return static_cast<std::int32_t>(found - steps_.begin());
  steps_.push_back(step);
  return static_cast<std::int32_t>(steps_.size() - 1);
}

std::int32_t Chains::extend(std::int32_t chain, std::int32_t step) {
  const std::uint64_t key =
      static_cast<std::uint64_t>(chain) << 32 | static_cast<std::uint32_t>(step);
  const auto [found, is_new] = extended_.try_emplace(key, static_cast<std::int32_t>(links_.size()));
  if (is_new) links_.push_back({chain, step, links_[at(chain)].length + 1});
  return found->second;
}

bool Chains::begins_with(std::int32_t chain, std::int32_t prefix) const {
  while (links_[at(chain)].length > links_[at(prefix)].length) chain = links_[at(chain)].parent;
  return chain == prefix;
}

Steps Chains::behind(std::int32_t chain, std::int32_t prefix) const {
  Steps steps;
  for (; chain != prefix; chain = links_[at(chain)].parent)
    steps.push_back(&steps_[at(links_[at(chain)].step)]);
  std::ranges::reverse(steps);
  return steps;
}

const GraphStep& Chains::last(std::int32_t chain) const {
  return steps_[at(links_[at(chain)].step)];
}

bool Chains::is_exact(std::int32_t chain) const {
  return chain == kEmpty || last(chain).kind != GraphStep::Kind::kReal;
}

std::int32_t Chains::exact_part(std::int32_t chain) const {
  return is_exact(chain) ? chain : links_[at(chain)].parent;
}

}  // namespace lockstep::verify
