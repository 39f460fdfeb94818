// Stands for process_group.cpp where the build has no headers of Gloo.
#include "compile/support/error.h"
#include "train/process_group.h"

namespace lockstep::train {

struct ProcessGroup::Connection {};

ProcessGroup::ProcessGroup(const GroupOptions& options) : options_(options) {
  throw InputError(
      "training with several processes needs Gloo, and this build has none (install libgloo-dev "
      "and configure again)");
}

ProcessGroup::~ProcessGroup() = default;

// There is no object to call them on.
void ProcessGroup::sum(std::span<float>) { LOCKSTEP_ASSERT(false); }
void ProcessGroup::sum(std::span<std::int64_t>) { LOCKSTEP_ASSERT(false); }
void ProcessGroup::broadcast(std::span<float>, std::int64_t) { LOCKSTEP_ASSERT(false); }
std::vector<std::byte> ProcessGroup::broadcast(std::vector<std::byte>) {
  LOCKSTEP_ASSERT(false);
  return {};
}
std::vector<std::string> ProcessGroup::gather(const std::string&) {
  LOCKSTEP_ASSERT(false);
  return {};
}
void ProcessGroup::wait_for_all() { LOCKSTEP_ASSERT(false); }
void ProcessGroup::leave(std::string_view) noexcept { LOCKSTEP_ASSERT(false); }

}  // namespace lockstep::train
