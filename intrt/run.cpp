// Runs a plan that opened: choose kernels, check the input's codes, run the operators in order.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

struct VariantInfo {
  const char* name;
  bool (*runs_here)();
};

// In the order of Variant.
constexpr VariantInfo kVariantInfos[] = {{"scalar", [] { return true; }}};
static_assert(sizeof kVariantInfos / sizeof kVariantInfos[0] == kVariants, "one for each variant");

bool same_text(const char* a, const char* b) {
  for (; *a != 0 && *a == *b; ++a) ++b;
  return *a == *b;
}

// kVariants when there is none of that name that this CPU can run. Null: the best that it can.
uint32_t choose_variant(const char* name) {
  uint32_t variant = 0;
  while (variant < kVariants &&
         !((name == nullptr || same_text(name, kVariantInfos[variant].name)) &&
           kVariantInfos[variant].runs_here()))
    ++variant;
  return variant;
}

void run_kernel(const intrt_kernel& kernel, uint32_t variant, const OpToRun& op) {
  while (kernel.run[variant] == nullptr) ++variant;
  kernel.run[variant](op);
}

bool codes_in_range(const intrt_tensor_record& tensor, const void* data) {
  if (tensor.bits == 8 * element_bytes(tensor.type)) return true;
  const int32_t lo = code_min(tensor.bits), hi = code_max(tensor.bits);
  const size_t count = static_cast<size_t>(element_count(tensor));
  for (size_t i = 0; i < count; ++i) {
    const int32_t code = load_code(data, tensor.type, i);
    if (code < lo || code > hi) return false;
  }
  return true;
}

}  // namespace

intrt_status intrt_run(const intrt_plan* plan, void* arena, size_t arena_bytes,
                       const intrt_run_options* options) {
  if (plan == nullptr || plan->bytes == nullptr || arena == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(arena) % INTRT_ARENA_ALIGNMENT != 0) return INTRT_ERROR_ALIGNMENT;
  if (arena_bytes < intrt_arena_bytes(plan)) return INTRT_ERROR_ARENA;
  const uint32_t variant = choose_variant(options == nullptr ? nullptr : options->kernels);
  if (variant == kVariants) return INTRT_ERROR_KERNELS;

  for (uint32_t i = 0; i < intrt_input_count(plan); ++i) {
    const uint32_t input = intrt_input(plan, i);
    if (!codes_in_range(tensor_record(*plan, input), intrt_tensor_data(plan, arena, input)))
      return INTRT_ERROR_INPUT;
  }
  const intrt_observer observer = options == nullptr ? nullptr : options->observer;
  for (uint32_t i = 0; observer != nullptr && i < intrt_input_count(plan); ++i)
    observer(options->observer_context, intrt_input(plan, i),
             intrt_tensor_data(plan, arena, intrt_input(plan, i)));

  for (uint32_t op = 0; op < intrt_op_count(plan); ++op) {
    const intrt_op_record& record = op_record(*plan, op);
    const OpToRun call = {*plan,
                          record,
                          input_record(*plan, record, 0),
                          tensor_record(*plan, record.output),
                          intrt_tensor_data(plan, arena, input_index(*plan, record, 0)),
                          intrt_tensor_data(plan, arena, record.output),
                          arena};
    run_kernel(*find_kernel(*plan, kernel_of(*plan, record)), variant, call);
    if (observer != nullptr) observer(options->observer_context, record.output, call.output_data);
  }
  return INTRT_OK;
}

const char* intrt_kernel_variant(uint32_t i) {
  return i < kVariants ? kVariantInfos[i].name : nullptr;
}

int intrt_kernel_variant_runs_here(uint32_t i) {
  return i < kVariants && kVariantInfos[i].runs_here() ? 1 : 0;
}

const char* intrt_status_text(intrt_status status) {
  switch (status) {
    case INTRT_OK:
      return "ok";
    case INTRT_ERROR_NULL:
      return "a required pointer is null";
    case INTRT_ERROR_ALIGNMENT:
      return "plan or arena is not 16-byte aligned";
    case INTRT_ERROR_NOT_A_PLAN:
      return "not a plan";
    case INTRT_ERROR_VERSION:
      return "another version of the plan format, or a big-endian machine";
    case INTRT_ERROR_SIZE:
      return "the plan is truncated or extended";
    case INTRT_ERROR_CHECKSUM:
      return "the plan's checksum is wrong";
    case INTRT_ERROR_BOUNDS:
      return "an offset, count or extent leaves the plan or the arena";
    case INTRT_ERROR_VALUE:
      return "a field of the plan holds a value that the format does not allow";
    case INTRT_ERROR_SHAPE:
      return "the tensors of an operator do not fit together";
    case INTRT_ERROR_OVERFLOW:
      return "an accumulator could exceed its bits";
    case INTRT_ERROR_OPERATOR:
      return "unknown operator code";
    case INTRT_ERROR_KERNELS:
      return "no such kernel variant, or this CPU cannot run it";
    case INTRT_ERROR_ARENA:
      return "the arena is too small";
    case INTRT_ERROR_INPUT:
      return "an input code lies outside the declared range";
    case INTRT_ERROR_WORK:
      return "checking or running the plan takes time out of proportion to its size";
    case INTRT_ERROR_NOT_LINKED:
      return "the operator's kernel is not among those that were linked in";
  }
  return "unknown status";
}
