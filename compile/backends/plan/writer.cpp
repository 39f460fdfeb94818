// The writer appends one section after the other and notes offsets; nothing is compressed or
// shared, so that the plan can be read with a hex viewer and plan_format.h.
#include "compile/backends/plan/writer.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include <limits>

#include "compile/backends/weights.h"
#include "compile/support/error.h"
#include "intrt/intrt.h"

namespace lockstep::backends {
namespace {

using namespace ir;

std::uint32_t u32(std::int64_t x) {
  LOCKSTEP_ASSERT(x >= 0 && x <= std::numeric_limits<std::uint32_t>::max());
  return static_cast<std::uint32_t>(x);
}

std::int8_t i8(int x) {
  LOCKSTEP_ASSERT(x >= std::numeric_limits<std::int8_t>::min() &&
                  x <= std::numeric_limits<std::int8_t>::max());
  return static_cast<std::int8_t>(x);
}

std::uint32_t operator_code(std::string_view name) {
#define INTRT_OP(code, op) \
  if (name == #op) return code;
#include "intrt/op_list.def"
#undef INTRT_OP
  LOCKSTEP_ASSERT(false);
}

// The bytes so far. Integers are little endian because the machine is: intrt refuses others.
class Bytes {
 public:
  std::uint32_t append(const void* data, std::size_t size, std::size_t alignment) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
    const std::size_t offset = bytes_.size();
    bytes_.resize(offset + size);
    if (size > 0) std::memcpy(bytes_.data() + offset, data, size);
    return u32(static_cast<std::int64_t>(offset));
  }
  template <typename T>
  std::uint32_t append_all(const std::vector<T>& elements, std::size_t alignment = alignof(T)) {
    return append(elements.data(), elements.size() * sizeof(T), alignment);
  }
  std::uint32_t append_text(const std::string& text) {
    return append(text.c_str(), text.size() + 1, 1);
  }
  template <typename T>
  void overwrite(std::size_t offset, const T& record) {
    std::memcpy(bytes_.data() + offset, &record, sizeof record);
  }
  std::size_t size() const { return bytes_.size(); }
  const std::byte* data() const { return bytes_.data(); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

class Writer {
 public:
  explicit Writer(const Program& program) : program_(program) {
    LOCKSTEP_ASSERT(program.layout == Layout::kPhysical && program.arena_bytes > 0);
  }

  std::vector<std::byte> write() {
    intrt_plan_header header{};
    bytes_.append(&header, sizeof header, INTRT_PLAN_ALIGNMENT);
    std::memcpy(header.magic, INTRT_PLAN_MAGIC, sizeof header.magic);
    header.version = INTRT_PLAN_VERSION;
    header.arena_bytes = u32(program_.arena_bytes);
    header.name_offset = bytes_.append_text(program_.name);

    const std::vector<intrt_tensor_record> tensors = tensor_records();
    header.tensor_count = u32(static_cast<std::int64_t>(tensors.size()));
    header.tensors_offset = bytes_.append_all(tensors);

    std::vector<std::uint32_t> op_offsets;
    for (const Op& op : program_.ops) op_offsets.push_back(write_op(op));
    header.op_count = u32(static_cast<std::int64_t>(op_offsets.size()));
    header.ops_offset = bytes_.append_all(op_offsets);
    header.input_count = u32(static_cast<std::int64_t>(program_.inputs.size()));
    header.inputs_offset = write_ids(program_.inputs);
    header.output_count = u32(static_cast<std::int64_t>(program_.outputs.size()));
    header.outputs_offset = write_ids(program_.outputs);

    if (bytes_.size() > std::numeric_limits<std::uint32_t>::max())
      throw InputError(
          fmt::format("network '{}': its plan would have {} bytes, but plans have at most 4 GiB",
                      program_.name, bytes_.size()));
    header.total_bytes = u32(static_cast<std::int64_t>(bytes_.size()));
    bytes_.overwrite(0, header);
    header.crc32 = intrt_plan_crc32(bytes_.data(), bytes_.size());
    bytes_.overwrite(0, header);
    return bytes_.take();
  }

 private:
  std::vector<intrt_tensor_record> tensor_records() {
    std::vector<intrt_tensor_record> records;
    for (ValueId id = 0; id < program_.values.size(); ++id) {
      const Value& value = program_.values[id];
      const auto is_in = [id](const std::vector<ValueId>& ids) {
        return std::find(ids.begin(), ids.end(), id) != ids.end();
      };
      std::vector<std::int8_t> decimals;
      for (const int decimal : value.decimals) decimals.push_back(i8(decimal));
      intrt_tensor_record record{};
      record.name_offset = bytes_.append_text(value.node);
      record.channels = u32(value.shape.c);
      record.height = u32(value.shape.h);
      record.width = u32(value.shape.w);
      record.arena_offset = u32(value.arena_offset.value());
      record.decimals_offset = bytes_.append_all(decimals);
      record.decimal_count = u32(static_cast<std::int64_t>(decimals.size()));
      record.type = static_cast<std::uint8_t>(value.type());
      record.bits = static_cast<std::uint8_t>(value.bits);
      record.logical_rank = static_cast<std::uint8_t>(value.shape.logical_rank);
      record.flags = static_cast<std::uint8_t>(
          (is_in(program_.inputs) ? INTRT_TENSOR_INPUT : 0U) |
          (is_in(program_.outputs) ? INTRT_TENSOR_OUTPUT : 0U) | INTRT_TENSOR_NAMED);
      records.push_back(record);
    }
    return records;
  }

  std::uint32_t write_ids(const std::vector<ValueId>& ids) {
    std::vector<std::uint32_t> indices;
    for (const ValueId id : ids) indices.push_back(u32(static_cast<std::int64_t>(id)));
    return bytes_.append_all(indices);
  }

  std::uint32_t write_weights(const xt::xarray<std::int32_t>& weights) {
    if (weight_type(weights) == ElementType::kInt8)
      return bytes_.append_all(std::vector<std::int8_t>(weights.begin(), weights.end()),
                               INTRT_PLAN_ALIGNMENT);
    return bytes_.append_all(std::vector<std::int16_t>(weights.begin(), weights.end()),
                             INTRT_PLAN_ALIGNMENT);
  }

  std::uint32_t write_bias(const std::vector<std::int64_t>& bias) {
    if (bias.empty()) return 0;
    return bytes_.append_all(std::vector<std::int32_t>(bias.begin(), bias.end()),
                             INTRT_PLAN_ALIGNMENT);
  }

  intrt_post_record write_post(const Post& post) {
    intrt_post_record record{};
    record.kind = INTRT_POST_NONE;
    if (post.requantize) {
      const Requantize& requantize = *post.requantize;
      std::vector<std::int8_t> shifts;
      for (const int shift : requantize.shifts) shifts.push_back(i8(shift));
      record.kind = INTRT_POST_SHIFT;
      record.rounding = static_cast<std::uint8_t>(requantize.rounding);
      record.lo = requantize.lo;
      record.hi = requantize.hi;
      record.shifts_offset = bytes_.append_all(shifts);
      record.shift_count = u32(static_cast<std::int64_t>(shifts.size()));
    }
    if (!post.mask.empty()) record.mask_offset = bytes_.append_all(pack_mask(post.mask));
    return record;
  }

  template <typename Params>
  static void set_window(Params& params, const Window& window) {
    params.kernel_h = u32(window.kernel[0]);
    params.kernel_w = u32(window.kernel[1]);
    params.stride_h = u32(window.stride[0]);
    params.stride_w = u32(window.stride[1]);
    params.dilation_h = u32(window.dilation[0]);
    params.dilation_w = u32(window.dilation[1]);
    params.pad_top = u32(window.pad[0]);
    params.pad_left = u32(window.pad[1]);
    params.pad_bottom = u32(window.pad[2]);
    params.pad_right = u32(window.pad[3]);
  }

  // The op record, with `params` after it.
  template <typename Params>
  std::uint32_t write_record(const Op& op, const Params& params) {
    intrt_op_record record = head(op);
    record.record_bytes = u32(sizeof record + sizeof params);
    const std::uint32_t offset = bytes_.append(&record, sizeof record, alignof(intrt_op_record));
    bytes_.append(&params, sizeof params, alignof(Params));
    return offset;
  }
  intrt_op_record head(const Op& op) {
    intrt_op_record record{};
    record.code = operator_code(op_name(op.kind));
    record.record_bytes = sizeof record;
    record.name_offset = bytes_.append_text(op.node);
    record.output = u32(static_cast<std::int64_t>(op.output));
    const std::vector<ValueId> inputs = op.inputs();
    LOCKSTEP_ASSERT(inputs.size() <= std::size(record.inputs));
    record.input_count = u32(static_cast<std::int64_t>(inputs.size()));
    for (std::size_t i = 0; i < inputs.size(); ++i)
      record.inputs[i] = u32(static_cast<std::int64_t>(inputs[i]));
    return record;
  }

  std::uint32_t write_op(const Op& op) {
    return std::visit([&](const auto& kind) { return write(op, kind); }, op.kind);
  }
  std::uint32_t write(const Op& op, const Conv2d& conv) {
    intrt_conv2d_params params{};
    set_window(params, conv.window);
    params.groups = u32(conv.groups);
    params.weight_type = static_cast<std::uint32_t>(weight_type(conv.weights));
    params.weights_offset = write_weights(conv.weights);
    params.bias_offset = write_bias(conv.bias);
    params.post = write_post(conv.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Linear& linear) {
    intrt_linear_params params{};
    params.weight_type = static_cast<std::uint32_t>(weight_type(linear.weights));
    params.weights_offset = write_weights(linear.weights);
    params.bias_offset = write_bias(linear.bias);
    params.post = write_post(linear.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const MaxPool2d& pool) {
    intrt_max_pool2d_params params{};
    set_window(params, pool.window);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const RequantizeOp& requantize) {
    intrt_requantize_params params{};
    params.post = write_post(requantize.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op&, const Flatten&) { LOCKSTEP_ASSERT(false); }
  std::uint32_t write(const Op& op, const Transpose&) {
    const intrt_op_record record = head(op);
    return bytes_.append(&record, sizeof record, alignof(intrt_op_record));
  }

  const Program& program_;
  Bytes bytes_;
};

// The runtime refuses what would take too long to check or to run; that is a property of the
// network.
void require_accepted(const Program& program, const std::vector<std::byte>& bytes) {
  intrt_plan plan;
  std::uint32_t failed_op = 0;
  const intrt_status status = intrt_open(&plan, bytes.data(), bytes.size(), &failed_op);
  if (status == INTRT_ERROR_WORK && failed_op < program.ops.size())
    throw InputError(fmt::format("layer '{}': the runtime refuses it: {}",
                                 program.ops[failed_op].node, intrt_status_text(status)));
  LOCKSTEP_ASSERT(status == INTRT_OK);
  LOCKSTEP_ASSERT(intrt_arena_bytes(&plan) == program.arena_bytes);
}

}  // namespace

std::vector<std::byte> write_plan(const Program& program) {
  std::vector<std::byte> bytes = Writer(program).write();
  require_accepted(program, bytes);
  return bytes;
}

}  // namespace lockstep::backends
