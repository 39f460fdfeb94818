// Memory for kernels that want their weights in another order than the plan's. A program that never
// asks for it links none of this.
#include "intrt/prepared.h"
#include "intrt/variants.h"

namespace {

using namespace intrt;

size_t aligned(size_t bytes) {
  return (bytes + INTRT_PREPARED_ALIGNMENT - 1) / INTRT_PREPARED_ALIGNMENT *
         INTRT_PREPARED_ALIGNMENT;
}

size_t entries_end(const intrt_plan& plan) {
  return aligned(sizeof(PreparedHeader) + sizeof(uint64_t) * intrt_op_count(&plan));
}

OpToPrepare to_prepare(const intrt_plan& plan, uint32_t op) {
  const intrt_op_record& record = op_record(plan, op);
  return {plan, record, input_record(plan, record, 0), tensor_record(plan, record.output)};
}

// How the first of the variants from `variant` on that this CPU runs and that takes the operator
// does.
struct Choice {
  const FastKernel* kernel;  // null: none
  uint32_t variant;
  size_t bytes;
};
Choice choose(const OpToPrepare& op, uint32_t variant) {
  const intrt_kernel& kernel = *find_kernel(op.plan, kernel_of(op.plan, op.record));
  for (; variant < kScalar; ++variant) {
    const FastKernel* fast = kernel.fast[variant];
    if (fast != nullptr && intrt_kernel_variant_runs_here(variant) != 0 && fast->takes(op))
      return {fast, variant, fast->prepared_bytes == nullptr ? 0 : fast->prepared_bytes(op)};
  }
  return {nullptr, kScalar, 0};
}

size_t bytes_for(const intrt_plan& plan, uint32_t variant) {
  size_t bytes = entries_end(plan);
  for (uint32_t op = 0; op < intrt_op_count(&plan); ++op)
    bytes += aligned(choose(to_prepare(plan, op), variant).bytes);
  return bytes;
}

}  // namespace

size_t intrt_prepared_bytes(const intrt_plan* plan, const char* kernels) {
  const uint32_t variant = choose_variant(kernels);
  return variant == kVariants ? 0 : bytes_for(*plan, variant);
}

intrt_status intrt_prepare(const intrt_plan* plan, const char* kernels, void* memory,
                           size_t bytes) {
  if (plan == nullptr || plan->bytes == nullptr || memory == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(memory) % INTRT_PREPARED_ALIGNMENT != 0)
    return INTRT_ERROR_ALIGNMENT;
  const uint32_t variant = choose_variant(kernels);
  if (variant == kVariants) return INTRT_ERROR_KERNELS;
  if (bytes < bytes_for(*plan, variant)) return INTRT_ERROR_PREPARED;

  uint8_t* const base = static_cast<uint8_t*>(memory);
  *static_cast<PreparedHeader*>(memory) = {PreparedHeader::kMagic, variant, header_of(*plan).crc32,
                                           intrt_op_count(plan)};
  uint64_t* entries = static_cast<uint64_t*>(static_cast<void*>(base + sizeof(PreparedHeader)));
  size_t end = entries_end(*plan);
  for (uint32_t op = 0; op < intrt_op_count(plan); ++op) {
    const OpToPrepare call = to_prepare(*plan, op);
    const Choice choice = choose(call, variant);
    entries[op] = choice.kernel == nullptr ? 0 : end + choice.variant;
    if (choice.bytes != 0) choice.kernel->prepare(call, base + end);
    end += aligned(choice.bytes);
  }
  return INTRT_OK;
}

intrt_status intrt_run_prepared(const intrt_plan* plan, const void* prepared, void* arena,
                                size_t arena_bytes, const intrt_run_options* options) {
  if (plan == nullptr || plan->bytes == nullptr || prepared == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(prepared) % INTRT_PREPARED_ALIGNMENT != 0)
    return INTRT_ERROR_ALIGNMENT;
  const PreparedHeader& header = *static_cast<const PreparedHeader*>(prepared);
  if (header.magic != PreparedHeader::kMagic || header.plan_crc32 != header_of(*plan).crc32 ||
      header.op_count != intrt_op_count(plan) || header.variant >= kVariants)
    return INTRT_ERROR_PREPARED;
  if (!intrt_kernel_variant_runs_here(header.variant) ||
      (options != nullptr && options->kernels != nullptr &&
       choose_variant(options->kernels) != header.variant))
    return INTRT_ERROR_KERNELS;
  const Prepared run = {header, run_divided};
  return run_operators(plan, &run, arena, arena_bytes, options);
}
