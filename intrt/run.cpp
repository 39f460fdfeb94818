// Runs a plan that opened: choose kernels, check the input's codes, run the operators in order.
#include "intrt/prepared.h"
#include "intrt/variants.h"

namespace {

using namespace intrt;

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

intrt_status intrt::run_operators(const intrt_plan* plan, const Prepared* prepared, void* arena,
                                  size_t arena_bytes, const intrt_run_options* options) {
  if (plan == nullptr || plan->bytes == nullptr || arena == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(arena) % INTRT_ARENA_ALIGNMENT != 0) return INTRT_ERROR_ALIGNMENT;
  if (arena_bytes < intrt_arena_bytes(plan)) return INTRT_ERROR_ARENA;
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
    // An observer sees what is between the links of a chain.
    if (prepared != nullptr && observer == nullptr) {
      const uint32_t links = prepared->header.links()[op].links;
      if (links != 0 && prepared->run_links(*plan, prepared->header, op, arena, options)) {
        op += links - 1;
        continue;
      }
    }
    OpToRun call = to_run(*plan, op, arena);
    if (prepared != nullptr && prepared->header.is_prepared(op)) {
      call.prepared = prepared->header.memory_of(op);
      call.step_tables = prepared->header.step_tables_of(op);
      prepared->run(fast_kernel(*plan, prepared->header, op), call, op, options);
    } else {
      find_kernel(*plan, kernel_of(*plan, call.record))->run(call);
    }
    if (observer != nullptr)
      observer(options->observer_context, call.record.output, call.output_data);
  }
  return INTRT_OK;
}

intrt_status intrt_run(const intrt_plan* plan, void* arena, size_t arena_bytes,
                       const intrt_run_options* options) {
  if (options != nullptr && options->kernels != nullptr) {
    const uint32_t variant = choose_variant(options->kernels);
    if (variant != kScalar)
      return variant == kVariants ? INTRT_ERROR_KERNELS : INTRT_ERROR_PREPARED;
  }
  return run_operators(plan, nullptr, arena, arena_bytes, options);
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
    case INTRT_ERROR_PREPARED:
      return "the kernels need memory that was prepared for this plan";
  }
  return "unknown status";
}
