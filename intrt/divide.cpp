// Operators that are divided among threads: each computes some slices of the output, so the codes
// do not depend on how many there are.
#include "intrt/prepared.h"

namespace {

using namespace intrt;

// What is worth a part of its own: less work takes no longer than to hand it to another thread.
// Powers of two, since not every core can divide 64 bits. Measured: docs/architecture.md.
constexpr uint32_t kMacsOfPart = 20, kElementsOfPart = 16;

struct Divided {
  const FastKernel& kernel;
  const OpToRun& call;
  uint32_t slices, parts;
};

void run_part(void* work, uint32_t index) {
  const Divided& divided = *static_cast<const Divided*>(work);
  OpToRun call = divided.call;
  call.slices = {begin_of_part(divided.slices, divided.parts, index),
                 begin_of_part(divided.slices, divided.parts, index + 1)};
  divided.kernel.run(call);
}

}  // namespace

uint32_t intrt::parts_worth_it(const intrt_plan& plan, uint32_t first, uint32_t count,
                               const intrt_run_options* options) {
  const intrt_parallel* parallel = options == nullptr ? nullptr : options->parallel;
  if (parallel == nullptr || parallel->threads <= 1) return 1;
  uint64_t macs = 0, elements = 0;
  for (uint32_t op = first; op < first + count; ++op) {
    const intrt_op_record& record = op_record(plan, op);
    const uint64_t macs_of_op = intrt_op_macs(&plan, op);
    macs += macs_of_op;
    for (uint32_t i = 0; i < record.input_count; ++i)
      elements += element_count(input_record(plan, record, i));
    elements += element_count(tensor_record(plan, record.output));
    // A linear layer takes as long as it takes to read its weights, each of which it needs once.
    if (record.code == kOp_linear) elements += macs_of_op;
  }
  const uint64_t by_macs = macs >> kMacsOfPart, by_elements = elements >> kElementsOfPart;
  const uint64_t parts = by_macs > by_elements ? by_macs : by_elements;
  if (parts <= 1) return 1;
  return parts < parallel->threads ? static_cast<uint32_t>(parts) : parallel->threads;
}

void intrt::run_divided(const FastKernel& kernel, OpToRun& call, uint32_t op,
                        const intrt_run_options* options) {
  const uint32_t slices = kernel.slices == nullptr
                              ? 1
                              : kernel.slices({call.plan, call.record, call.input, call.output});
  call.slices = {0, slices};
  uint32_t parts = slices > 1 ? parts_worth_it(call.plan, op, 1, options) : 1;
  if (parts > slices) parts = slices;
  if (parts > 1) {
    Divided divided = {kernel, call, slices, parts};
    return options->parallel->run(options->parallel->pool, parts, run_part, &divided);
  }
  kernel.run(call);
}
