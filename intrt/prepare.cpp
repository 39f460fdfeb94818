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

size_t entries_bytes(const intrt_plan& plan) {
  return sizeof(PreparedHeader) + 2 * sizeof(uint64_t) * intrt_op_count(&plan);
}
size_t kernels_begin(const intrt_plan& plan) {
  return aligned(entries_bytes(plan) + chain_bytes(plan));
}

// No code that the post record gives to one of so many channels is negative.
bool gives_no_negative(const intrt_plan& plan, const intrt_post_record& post, uint32_t channels) {
  if (post.kind == INTRT_POST_SHIFT) return post.lo >= 0;
  if (post.kind != INTRT_POST_SCALE) return false;
  const int16_t* limits = object_at<int16_t>(plan, post.limits_offset);
  for (uint32_t c = 0; c < channels; ++c)
    if (limits[2 * static_cast<size_t>(c)] < 0) return false;
  if (post.starts_offset == 0) return true;
  const uint32_t codes = object_at<uint32_t>(plan, post.starts_offset)[channels] + channels;
  for (uint32_t i = 0; i < codes; ++i)
    if (object_at<int16_t>(plan, post.codes_offset)[i] < 0) return false;
  return true;
}

// The post record of an operator; null: it has none.
const intrt_post_record* post_of(const intrt_op_record& record) {
  switch (record.code) {
    case kOp_conv2d:
      return &params_of<intrt_conv2d_params>(record).post;
    case kOp_conv_transpose2d:
      return &params_of<intrt_conv_transpose2d_params>(record).post;
    case kOp_linear:
      return &params_of<intrt_linear_params>(record).post;
    case kOp_avg_pool2d:
      return &params_of<intrt_avg_pool2d_params>(record).post;
    case kOp_requantize:
      return &params_of<intrt_requantize_params>(record).post;
    case kOp_add:
      return &params_of<intrt_add_params>(record).post;
    case kOp_mul:
      return &params_of<intrt_mul_params>(record).post;
    default:
      return nullptr;
  }
}

// Operators that a search goes back at most, so that preparing takes time linear in their number.
constexpr uint32_t kFarthest = 64;

// Whether no code of the first input of operator `op` can be negative, as far as the operators say
// that it comes from: they clamp, or pass on what was clamped.
bool never_negative(const intrt_plan& plan, uint32_t op) {
  uint32_t tensor = input_index(plan, op_record(plan, op), 0);
  for (uint32_t back = 1; back <= op && back <= kFarthest; ++back) {
    const intrt_op_record& record = op_record(plan, op - back);
    if (record.output != tensor) continue;
    if (record.code == kOp_max_pool2d) {
      tensor = input_index(plan, record, 0);
    } else {
      const intrt_post_record* post = post_of(record);
      return post != nullptr &&
             gives_no_negative(plan, *post, tensor_record(plan, tensor).channels);
    }
  }
  return false;
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

OpToPrepare operator_of(const intrt_plan& plan, uint32_t op) {
  OpToPrepare call = to_prepare(plan, op);
  call.input_never_negative = never_negative(plan, op);
  return call;
}

// Of the step tables of an operator that a fast kernel runs.
size_t step_bytes(const intrt_plan& plan, const OpToPrepare& op) {
  const intrt_post_record* post = post_of(op.record);
  return post == nullptr ? 0 : step_tables_bytes(plan, *post, op.output.channels);
}

}  // namespace

size_t intrt_prepared_bytes(const intrt_plan* plan, const char* kernels) {
  const uint32_t variant = choose_variant(kernels);
  if (variant == kVariants) return 0;
  size_t bytes = kernels_begin(*plan);
  for (uint32_t i = 0; i < intrt_op_count(plan); ++i) {
    const OpToPrepare op = operator_of(*plan, i);
    const Choice choice = choose(op, variant);
    if (choice.kernel != nullptr) bytes += aligned(step_bytes(*plan, op)) + aligned(choice.bytes);
  }
  return bytes;
}

intrt_status intrt_prepare(const intrt_plan* plan, const char* kernels, void* memory,
                           size_t bytes) {
  if (plan == nullptr || plan->bytes == nullptr || memory == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(memory) % INTRT_PREPARED_ALIGNMENT != 0)
    return INTRT_ERROR_ALIGNMENT;
  const uint32_t variant = choose_variant(kernels);
  if (variant == kVariants) return INTRT_ERROR_KERNELS;
  if (bytes < sizeof(PreparedHeader)) return INTRT_ERROR_PREPARED;
  PreparedHeader& header = *static_cast<PreparedHeader*>(memory);
  header.magic = 0;  // until all is there, it is no memory to run with
  size_t end = kernels_begin(*plan);
  if (end > bytes) return INTRT_ERROR_PREPARED;

  uint8_t* const base = static_cast<uint8_t*>(memory);
  // What lies between the kernels' numbers is 0, so that the same plan gives the same bytes, as
  // long as the caller's floats round alike.
  for (size_t i = 0; i < bytes; ++i) base[i] = 0;
  header = {0, variant, header_of(*plan).crc32, intrt_op_count(plan)};
  uint64_t* entries = static_cast<uint64_t*>(static_cast<void*>(base + sizeof(PreparedHeader)));
  for (uint32_t op = 0; op < intrt_op_count(plan); ++op) {
    OpToPrepare call = operator_of(*plan, op);
    const Choice choice = choose(call, variant);
    if (choice.kernel == nullptr) continue;
    const size_t of_steps = step_bytes(*plan, call);
    if (aligned(of_steps) + aligned(choice.bytes) > bytes - end) return INTRT_ERROR_PREPARED;
    if (of_steps != 0) {
      StepTables* tables = static_cast<StepTables*>(static_cast<void*>(base + end));
      fill_step_tables(*plan, *post_of(call.record), call.output.channels, *tables);
      entries[header.op_count + op] = end;
      call.step_tables = tables;
      end += aligned(of_steps);
    }
    entries[op] = end + choice.variant;
    if (choice.bytes != 0) choice.kernel->prepare(call, base + end);
    end += aligned(choice.bytes);
  }
  find_chains(*plan, header,
              static_cast<ChainLink*>(static_cast<void*>(base + entries_bytes(*plan))));
  header.magic = PreparedHeader::kMagic;
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
  const Prepared run = {header, run_divided, run_chain};
  return run_operators(plan, &run, arena, arena_bytes, options);
}

uint32_t intrt_chain_links(const void* prepared, uint32_t op) {
  return static_cast<const PreparedHeader*>(prepared)->links()[op].links;
}
