// Operators that are divided among threads: each computes some slices of the output, so the codes
// do not depend on how many there are.
#include "intrt/prepared.h"

namespace {

using namespace intrt;

// What is worth a part of its own: less work takes no longer than to hand it to another thread.
// Powers of two, since not every core can divide 64 bits. Measured: docs/architecture.md.
constexpr uint32_t kMacsOfPart = 20, kElementsOfPart = 16;

uint32_t parts_worth_it(const OpToRun& call, uint32_t op) {
  const uint64_t macs = intrt_op_macs(&call.plan, op);
  // A linear layer takes as long as it takes to read its weights, each of which it needs once.
  const uint64_t elements = element_count(call.input) + element_count(call.output) +
                            (call.record.code == kOp_linear ? macs : 0);
  const uint64_t by_macs = macs >> kMacsOfPart, by_elements = elements >> kElementsOfPart;
  const uint64_t parts = by_macs > by_elements ? by_macs : by_elements;
  return parts < UINT32_MAX ? static_cast<uint32_t>(parts) : UINT32_MAX;
}

struct Divided {
  const FastKernel& kernel;
  const OpToRun& call;
  uint32_t slices, parts;

  // The first parts have one more where there is a remainder.
  uint32_t begin_of(uint32_t part) const {
    const uint32_t rest = slices % parts;
    return part * (slices / parts) + (part < rest ? part : rest);
  }
};

void run_part(void* work, uint32_t index) {
  const Divided& divided = *static_cast<const Divided*>(work);
  OpToRun call = divided.call;
  call.slices = {divided.begin_of(index), divided.begin_of(index + 1)};
  divided.kernel.run(call);
}

}  // namespace

void intrt::run_divided(const FastKernel& kernel, OpToRun& call, uint32_t op,
                        const intrt_run_options* options) {
  const uint32_t slices = kernel.slices == nullptr
                              ? 1
                              : kernel.slices({call.plan, call.record, call.input, call.output});
  call.slices = {0, slices};
  const intrt_parallel* parallel = options == nullptr ? nullptr : options->parallel;
  if (parallel != nullptr && parallel->threads > 1 && slices > 1) {
    uint32_t parts = parts_worth_it(call, op);
    if (parts > parallel->threads) parts = parallel->threads;
    if (parts > slices) parts = slices;
    if (parts > 1) {
      Divided divided = {kernel, call, slices, parts};
      return parallel->run(parallel->pool, parts, run_part, &divided);
    }
  }
  kernel.run(call);
}
