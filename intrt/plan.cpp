// Opening a plan is checking it: header, tensors, inputs and outputs, operators, in this order.
// Later steps rely on earlier ones. Nothing is remembered, for there is no memory to remember it
// in: what needs a set of tensors goes over the plan once for each block of tensors that a small
// bit set covers.
#include "intrt/check.h"
#include "intrt/kernel_choice.h"
#include "intrt/kernels/kernel.h"
#include "intrt/plan_view.h"

namespace {

using namespace intrt;

constexpr uint32_t kNoOp = UINT32_MAX;

static_assert(sizeof(intrt_plan_header) == 64 && sizeof(intrt_tensor_record) == 40 &&
                  sizeof(intrt_op_record) == 24 && sizeof(intrt_post_record) == 48 &&
                  sizeof(intrt_conv2d_params) == 120 && sizeof(intrt_linear_params) == 76 &&
                  sizeof(intrt_max_pool2d_params) == 40 && sizeof(intrt_requantize_params) == 48 &&
                  sizeof(intrt_conv_transpose2d_params) == 96 && sizeof(intrt_pool_span) == 12 &&
                  sizeof(intrt_avg_pool2d_params) == 56 && sizeof(intrt_add_params) == 52 &&
                  sizeof(intrt_mul_params) == 48 && sizeof(intrt_table_params) == 16 &&
                  sizeof(intrt_move_piece) == 60 && sizeof(intrt_move_params) == 8,
              "the structures are the bytes of docs/plan-format.md, without padding");

bool little_endian() {
  const uint32_t one = 1;
  return *static_cast<const uint8_t*>(static_cast<const void*>(&one)) == 1;
}

intrt_status check_header(const intrt_plan& plan) {
  const intrt_plan_header& header = header_of(plan);
  for (uint32_t i = 0; i < sizeof header.magic; ++i)
    if (header.magic[i] != static_cast<uint8_t>(INTRT_PLAN_MAGIC[i])) return INTRT_ERROR_NOT_A_PLAN;
  if (!little_endian() || header.version != INTRT_PLAN_VERSION) return INTRT_ERROR_VERSION;
  if (header.total_bytes != plan.size) return INTRT_ERROR_SIZE;
  if (header.crc32 != intrt_plan_crc32(plan.bytes, plan.size)) return INTRT_ERROR_CHECKSUM;
  if (header.reserved != 0 || header.arena_bytes % INTRT_ARENA_ALIGNMENT != 0)
    return INTRT_ERROR_VALUE;
  return INTRT_OK;
}

intrt_status check_tables(const Checker& checker) {
  const intrt_plan_header& header = header_of(checker.plan());
  if (header.tensor_count > INTRT_MAX_COUNT || header.op_count > INTRT_MAX_COUNT ||
      header.input_count > header.tensor_count || header.output_count > header.tensor_count)
    return INTRT_ERROR_BOUNDS;
  if (header.op_count == 0 || header.input_count == 0 || header.output_count == 0)
    return INTRT_ERROR_VALUE;
  const bool inside =
      checker.holds(header.tensors_offset, header.tensor_count, sizeof(intrt_tensor_record), 4) &&
      checker.holds(header.ops_offset, header.op_count, 4, 4) &&
      checker.holds(header.inputs_offset, header.input_count, 4, 4) &&
      checker.holds(header.outputs_offset, header.output_count, 4, 4);
  return inside ? INTRT_OK : INTRT_ERROR_BOUNDS;
}

// Bytes of the UTF-8 character at `text`, 0 when it is malformed (RFC 3629). The text ends with a
// NUL, which is no continuation byte, so nothing behind it is read.
uint32_t character_bytes(const uint8_t* text) {
  const uint8_t lead = text[0];
  if (lead < 0x80) return 1;
  const uint32_t length = lead >= 0xC2 && lead < 0xE0   ? 2
                          : lead >= 0xE0 && lead < 0xF0 ? 3
                          : lead >= 0xF0 && lead < 0xF5 ? 4
                                                        : 0;
  for (uint32_t i = 1; i < length; ++i)
    if ((text[i] & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((lead == 0xE0 && text[1] < 0xA0) || (lead == 0xED && text[1] > 0x9F) ||
      (lead == 0xF0 && text[1] < 0x90) || (lead == 0xF4 && text[1] > 0x8F))
    return 0;
  return length;
}

enum class Name { kOptional, kRequired };

intrt_status check_name(Checker& checker, uint32_t offset, Name need) {
  if (offset == 0) return need == Name::kRequired ? INTRT_ERROR_VALUE : INTRT_OK;
  const intrt_plan& plan = checker.plan();
  if (!checker.holds(offset, 1, 1, 1)) return INTRT_ERROR_BOUNDS;
  uint32_t end = offset;
  while (plan.bytes[end] != 0) {
    if (!checker.spend(1)) return INTRT_ERROR_WORK;
    if (++end == plan.size) return INTRT_ERROR_BOUNDS;
  }
  if (need == Name::kRequired && end == offset) return INTRT_ERROR_VALUE;
  while (offset < end) {
    const uint32_t length = character_bytes(plan.bytes + offset);
    if (length == 0) return INTRT_ERROR_VALUE;
    offset += length;
  }
  return INTRT_OK;
}

intrt_status check_tensor(Checker& checker, const intrt_tensor_record& tensor) {
  constexpr uint32_t kKnownFlags = INTRT_TENSOR_INPUT | INTRT_TENSOR_OUTPUT | INTRT_TENSOR_NAMED;
  if (!dimension_allowed(tensor.channels) || !dimension_allowed(tensor.height) ||
      !dimension_allowed(tensor.width) || tensor.type < INTRT_INT8 || tensor.type > INTRT_UINT8 ||
      tensor.bits < 2 || tensor.bits > 8 * element_bytes(tensor.type) || tensor.logical_rank < 1 ||
      tensor.logical_rank > 3 || (tensor.logical_rank == 2 && tensor.height != 1) ||
      (tensor.flags & ~kKnownFlags) != 0 || tensor.arena_offset % INTRT_ARENA_ALIGNMENT != 0 ||
      (tensor.decimal_count != 1 && tensor.decimal_count != tensor.channels))
    return INTRT_ERROR_VALUE;
  constexpr uint32_t kEnds = INTRT_TENSOR_INPUT | INTRT_TENSOR_OUTPUT;
  if (tensor.type == INTRT_UINT8 &&
      (tensor.bits != 8 || (tensor.flags & kEnds) != INTRT_TENSOR_INPUT))
    return INTRT_ERROR_VALUE;
  if (!checker.holds(tensor.decimals_offset, tensor.decimal_count, 1, 1)) return INTRT_ERROR_BOUNDS;
  if (tensor.offsets_offset != 0) {
    if (tensor.type != INTRT_INT32 || (tensor.flags & INTRT_TENSOR_OUTPUT) == 0)
      return INTRT_ERROR_VALUE;
    if (!checker.holds(tensor.offsets_offset, tensor.channels, 4, 4)) return INTRT_ERROR_BOUNDS;
  }
  if (tensor.channel_map_offset != 0) {
    if ((tensor.flags & kEnds) != 0) return INTRT_ERROR_VALUE;
    if (!checker.holds(tensor.channel_map_offset, tensor.channels, 2, 2)) return INTRT_ERROR_BOUNDS;
  }
  const uint32_t arena_bytes = header_of(checker.plan()).arena_bytes;
  if (tensor.arena_offset > arena_bytes || extent_bytes(tensor) > arena_bytes - tensor.arena_offset)
    return INTRT_ERROR_BOUNDS;
  return check_name(checker, tensor.name_offset,
                    (tensor.flags & INTRT_TENSOR_NAMED) != 0 ? Name::kRequired : Name::kOptional);
}

intrt_status check_indices(const intrt_plan& plan, const uint32_t* indices, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i)
    if (indices[i] >= header_of(plan).tensor_count) return INTRT_ERROR_BOUNDS;
  return INTRT_OK;
}

// Parameters of each operator; argmax has none.
struct NoParams {};
using conv2d_params = intrt_conv2d_params;
using linear_params = intrt_linear_params;
using max_pool2d_params = intrt_max_pool2d_params;
using requantize_params = intrt_requantize_params;
using conv_transpose2d_params = intrt_conv_transpose2d_params;
using avg_pool2d_params = intrt_avg_pool2d_params;
using add_params = intrt_add_params;
using mul_params = intrt_mul_params;
using table_params = intrt_table_params;
using move_params = intrt_move_params;
using argmax_params = NoParams;

template <typename Params>
constexpr uint32_t record_bytes() {
  return sizeof(intrt_op_record) + (__is_empty(Params) ? 0 : sizeof(Params));
}

bool input_count_allowed(uint32_t code, uint32_t count) {
  if (code == kOp_move) return count >= 1;
  return count == (code == kOp_add || code == kOp_mul ? 2 : 1);
}

// The record lies in the plan and its fields are sound; what the operator makes of them comes
// later.
intrt_status check_op_record(Checker& checker, uint32_t op) {
  const intrt_plan& plan = checker.plan();
  const uint32_t offset = op_offset(plan, op);
  if (!checker.holds(offset, 1, sizeof(intrt_op_record), 4)) return INTRT_ERROR_BOUNDS;
  const intrt_op_record& record = op_record(plan, op);
  uint32_t bytes = 0;
  switch (record.code) {
#define INTRT_OP(code, name)               \
  case code:                               \
    bytes = record_bytes<name##_params>(); \
    break;
#include "intrt/op_list.def"
#undef INTRT_OP
    default:
      return INTRT_ERROR_OPERATOR;
  }
  if (record.record_bytes != bytes) return INTRT_ERROR_VALUE;
  if (!checker.holds(offset, 1, bytes, 4)) return INTRT_ERROR_BOUNDS;
  if (!input_count_allowed(record.code, record.input_count)) return INTRT_ERROR_VALUE;
  if (!checker.holds(record.inputs_offset, record.input_count, 4, 4)) return INTRT_ERROR_BOUNDS;
  if (!checker.spend(static_cast<uint64_t>(record.input_count) * 4)) return INTRT_ERROR_WORK;
  if (check_indices(plan, &record.output, 1) != INTRT_OK ||
      check_indices(plan, object_at<uint32_t>(plan, record.inputs_offset), record.input_count) !=
          INTRT_OK)
    return INTRT_ERROR_BOUNDS;
  return check_name(checker, record.name_offset, Name::kOptional);
}

// A set of tensors out of one block of them.
class TensorBlock {
 public:
  static constexpr uint32_t kTensors = 1024;

  explicit TensorBlock(uint32_t first) : first_(first) {}

  // Adds a tensor, when it belongs to this block; false when it was in already.
  bool add(uint32_t tensor) {
    if (tensor < first_ || tensor - first_ >= kTensors) return true;
    const uint32_t i = tensor - first_;
    const uint8_t bit = static_cast<uint8_t>(1u << (i % 8));
    const bool is_new = (bits_[i / 8] & bit) == 0;
    bits_[i / 8] = static_cast<uint8_t>(bits_[i / 8] | bit);
    return is_new;
  }

  bool contains(uint32_t tensor) const {
    const uint32_t i = tensor - first_;
    return (bits_[i / 8] >> (i % 8) & 1) != 0;
  }

 private:
  uint32_t first_;
  uint8_t bits_[kTensors / 8] = {};
};

// Each tensor is either an input of the network or written by exactly one operator, and its flags
// say what the tables of inputs and outputs say.
intrt_status check_roles(const intrt_plan& plan, uint32_t* failed_op) {
  const intrt_plan_header& header = header_of(plan);
  for (uint32_t first = 0; first < header.tensor_count; first += TensorBlock::kTensors) {
    TensorBlock inputs(first), outputs(first), written(first);
    for (uint32_t i = 0; i < header.input_count; ++i)
      if (!inputs.add(intrt_input(&plan, i))) return INTRT_ERROR_VALUE;
    for (uint32_t i = 0; i < header.output_count; ++i)
      if (!outputs.add(intrt_output(&plan, i))) return INTRT_ERROR_VALUE;
    for (uint32_t op = 0; op < header.op_count; ++op) {
      if (written.add(op_record(plan, op).output)) continue;
      *failed_op = op;
      return INTRT_ERROR_VALUE;
    }
    for (uint32_t tensor = first;
         tensor < header.tensor_count && tensor - first < TensorBlock::kTensors; ++tensor) {
      const uint32_t flags = tensor_record(plan, tensor).flags;
      if (inputs.contains(tensor) != ((flags & INTRT_TENSOR_INPUT) != 0) ||
          outputs.contains(tensor) != ((flags & INTRT_TENSOR_OUTPUT) != 0) ||
          inputs.contains(tensor) == written.contains(tensor))
        return INTRT_ERROR_VALUE;
    }
  }
  return INTRT_OK;
}

bool overlap(const intrt_tensor_record& a, const intrt_tensor_record& b) {
  return a.arena_offset < b.arena_offset + extent_bytes(b) &&
         b.arena_offset < a.arena_offset + extent_bytes(a);
}

intrt_status check_inputs_apart(Checker& checker) {
  const intrt_plan& plan = checker.plan();
  for (uint32_t i = 1; i < intrt_input_count(&plan); ++i) {
    if (!checker.spend(i)) return INTRT_ERROR_WORK;
    for (uint32_t j = 0; j < i; ++j)
      if (overlap(tensor_record(plan, intrt_input(&plan, i)),
                  tensor_record(plan, intrt_input(&plan, j))))
        return INTRT_ERROR_VALUE;
  }
  return INTRT_OK;
}

// Before operator `op` (or at the end, op = op_count) the tensor holds what was put into it: an
// earlier operator wrote it, or it is an input, and nothing has been written over it since.
intrt_status check_alive(Checker& checker, uint32_t tensor, uint32_t op) {
  const intrt_plan& plan = checker.plan();
  const intrt_tensor_record& record = tensor_record(plan, tensor);
  while (op-- > 0) {
    if (!checker.spend(1)) return INTRT_ERROR_WORK;
    const uint32_t written = op_record(plan, op).output;
    if (written == tensor) return INTRT_OK;
    if (overlap(record, tensor_record(plan, written))) return INTRT_ERROR_VALUE;
  }
  return (record.flags & INTRT_TENSOR_INPUT) != 0 ? INTRT_OK : INTRT_ERROR_VALUE;
}

bool same_place(const intrt_tensor_record& a, const intrt_tensor_record& b) {
  return a.arena_offset == b.arena_offset && element_bytes(a.type) == element_bytes(b.type) &&
         same_shape(a, b);
}

// Operators that read each element before they write the one in its place.
bool may_work_in_place(uint32_t code) {
  return code == kOp_requantize || code == kOp_table || code == kOp_add || code == kOp_mul;
}

intrt_status check_inputs(Checker& checker, const OpToCheck& parts, uint32_t op) {
  for (uint32_t i = 0; i < parts.record.input_count; ++i) {
    const intrt_tensor_record& input = parts.input_at(i);
    if (intrt_status status = check_alive(checker, input_index(parts.plan, parts.record, i), op);
        status != INTRT_OK)
      return status;
    if (overlap(input, parts.output) &&
        !(may_work_in_place(parts.record.code) && same_place(input, parts.output)))
      return INTRT_ERROR_VALUE;
    if (input.type == INTRT_UINT8 && parts.record.code != kOp_table) return INTRT_ERROR_SHAPE;
  }
  return INTRT_OK;
}

intrt_status check_op(Checker& checker, uint32_t op) {
  const intrt_plan& plan = checker.plan();
  const intrt_op_record& record = op_record(plan, op);
  const OpToCheck parts = {plan, record, input_record(plan, record, 0),
                           tensor_record(plan, record.output)};
  if (intrt_status status = check_inputs(checker, parts, op); status != INTRT_OK) return status;
  const intrt_kernel* kernel = find_kernel(plan, kernel_of(plan, record));
  return kernel == nullptr ? INTRT_ERROR_NOT_LINKED : kernel->check(checker, parts);
}

intrt_status check_plan(const intrt_plan& plan, uint32_t* failed_op) {
  intrt_status status = check_header(plan);
  if (status != INTRT_OK) return status;
  Checker checker(plan);
  if ((status = check_tables(checker)) != INTRT_OK) return status;
  const intrt_plan_header& header = header_of(plan);
  if ((status = check_name(checker, header.name_offset, Name::kOptional)) != INTRT_OK)
    return status;
  for (uint32_t tensor = 0; tensor < header.tensor_count; ++tensor)
    if ((status = check_tensor(checker, tensor_record(plan, tensor))) != INTRT_OK) return status;
  status = check_indices(plan, object_at<uint32_t>(plan, header.inputs_offset), header.input_count);
  if (status != INTRT_OK) return status;
  status =
      check_indices(plan, object_at<uint32_t>(plan, header.outputs_offset), header.output_count);
  if (status != INTRT_OK) return status;

  for (uint32_t op = 0; op < header.op_count; ++op)
    if ((status = check_op_record(checker, op)) != INTRT_OK) {
      *failed_op = op;
      return status;
    }
  if ((status = check_roles(plan, failed_op)) != INTRT_OK) return status;
  if ((status = check_inputs_apart(checker)) != INTRT_OK) return status;
  for (uint32_t op = 0; op < header.op_count; ++op)
    if ((status = check_op(checker, op)) != INTRT_OK) {
      *failed_op = op;
      return status;
    }
  for (uint32_t i = 0; i < header.output_count; ++i)
    if ((status = check_alive(checker, intrt_output(&plan, i), header.op_count)) != INTRT_OK)
      return status;
  return INTRT_OK;
}

const char* text_at(const intrt_plan& plan, uint32_t offset) {
  return offset == 0 ? "" : object_at<char>(plan, offset);
}

}  // namespace

intrt_status intrt_open_with(intrt_plan* plan, const void* bytes, size_t size,
                             const intrt_kernel* const* kernels, uint32_t* failed_op) {
  uint32_t ignored;
  uint32_t* where = failed_op != nullptr ? failed_op : &ignored;
  *where = kNoOp;
  if (plan == nullptr) return INTRT_ERROR_NULL;
  *plan = {nullptr, 0, nullptr};
  if (bytes == nullptr || kernels == nullptr) return INTRT_ERROR_NULL;
  if (reinterpret_cast<uintptr_t>(bytes) % INTRT_PLAN_ALIGNMENT != 0) return INTRT_ERROR_ALIGNMENT;
  if (size < sizeof(intrt_plan_header) || size > UINT32_MAX) return INTRT_ERROR_SIZE;
  const intrt_plan candidate = {static_cast<const uint8_t*>(bytes), static_cast<uint32_t>(size),
                                kernels};
  const intrt_status status = check_plan(candidate, where);
  if (status == INTRT_OK) *plan = candidate;
  return status;
}

const char* intrt_network_name(const intrt_plan* plan) {
  return text_at(*plan, header_of(*plan).name_offset);
}
uint32_t intrt_arena_bytes(const intrt_plan* plan) { return header_of(*plan).arena_bytes; }
uint32_t intrt_tensor_count(const intrt_plan* plan) { return header_of(*plan).tensor_count; }
uint32_t intrt_op_count(const intrt_plan* plan) { return header_of(*plan).op_count; }
uint32_t intrt_input_count(const intrt_plan* plan) { return header_of(*plan).input_count; }
uint32_t intrt_output_count(const intrt_plan* plan) { return header_of(*plan).output_count; }

uint32_t intrt_input(const intrt_plan* plan, uint32_t i) {
  return object_at<uint32_t>(*plan, header_of(*plan).inputs_offset)[i];
}
uint32_t intrt_output(const intrt_plan* plan, uint32_t i) {
  return object_at<uint32_t>(*plan, header_of(*plan).outputs_offset)[i];
}

intrt_tensor intrt_tensor_info(const intrt_plan* plan, uint32_t tensor) {
  const intrt_tensor_record& record = tensor_record(*plan, tensor);
  intrt_tensor info;
  info.name = text_at(*plan, record.name_offset);
  info.channels = record.channels;
  info.height = record.height;
  info.width = record.width;
  info.element_count = static_cast<uint32_t>(element_count(record));
  info.type = record.type;
  info.element_bytes = element_bytes(record.type);
  info.bits = record.bits;
  info.logical_rank = record.logical_rank;
  info.flags = record.flags;
  info.decimals = object_at<int8_t>(*plan, record.decimals_offset);
  info.decimal_count = record.decimal_count;
  info.offsets =
      record.offsets_offset == 0 ? nullptr : object_at<float>(*plan, record.offsets_offset);
  info.channel_map = record.channel_map_offset == 0
                         ? nullptr
                         : object_at<uint16_t>(*plan, record.channel_map_offset);
  return info;
}

const intrt_op_record* intrt_op(const intrt_plan* plan, uint32_t op) {
  return &op_record(*plan, op);
}

void* intrt_tensor_data(const intrt_plan* plan, void* arena, uint32_t tensor) {
  return static_cast<uint8_t*>(arena) + tensor_record(*plan, tensor).arena_offset;
}
