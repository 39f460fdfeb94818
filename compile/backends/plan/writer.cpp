// The writer appends one section after the other and notes offsets; nothing is compressed or
// shared, so that the plan can be read with a hex viewer and plan_format.h.
#include "compile/backends/plan/writer.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include <limits>

#include "compile/backends/plan/bytes.h"
#include "compile/backends/plan/post_record.h"
#include "compile/backends/weights.h"
#include "compile/ir/storage.h"
#include "compile/support/error.h"
#include "intrt/intrt.h"

namespace lockstep::backends {
namespace {

using namespace ir;

std::uint32_t operator_code(std::string_view name) {
#define INTRT_OP(code, op) \
  if (name == #op) return code;
#include "intrt/op_list.def"
#undef INTRT_OP
  LOCKSTEP_ASSERT(false);
}

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
    header.tensor_count = size32(tensors.size());
    header.tensors_offset = bytes_.append_all(tensors);

    std::vector<std::uint32_t> op_offsets;
    for (const Op& op : program_.ops) op_offsets.push_back(write_op(op));
    header.op_count = size32(op_offsets.size());
    header.ops_offset = bytes_.append_all(op_offsets);
    header.input_count = size32(program_.inputs.size());
    header.inputs_offset = write_ids(program_.inputs);
    header.output_count = size32(program_.outputs.size());
    header.outputs_offset = write_ids(program_.outputs);

    if (bytes_.size() > std::numeric_limits<std::uint32_t>::max())
      throw InputError(
          fmt::format("network '{}': its plan would have {} bytes, but plans have at most 4 GiB",
                      program_.name, bytes_.size()));
    header.total_bytes = size32(bytes_.size());
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
      record.decimal_count = size32(decimals.size());
      record.type = static_cast<std::uint8_t>(value.type());
      record.bits = static_cast<std::uint8_t>(value.bits);
      record.logical_rank = static_cast<std::uint8_t>(value.shape.logical_rank);
      record.flags =
          static_cast<std::uint8_t>((is_in(program_.inputs) ? INTRT_TENSOR_INPUT : 0U) |
                                    (is_in(program_.outputs) ? INTRT_TENSOR_OUTPUT : 0U) |
                                    (value.exact ? INTRT_TENSOR_NAMED : 0U));
      if (!value.offsets.empty()) record.offsets_offset = bytes_.append_all(value.offsets);
      if (!value.channels.empty())
        record.channel_map_offset = bytes_.append_all(
            std::vector<std::uint16_t>(value.channels.begin(), value.channels.end()));
      records.push_back(record);
    }
    return records;
  }

  std::uint32_t write_ids(const std::vector<ValueId>& ids) {
    std::vector<std::uint32_t> indices;
    for (const ValueId id : ids) indices.push_back(size32(id));
    return bytes_.append_all(indices);
  }

  template <typename Weights>
  std::uint32_t write_weights(const Weights& weights, ElementType type) {
    if (type == ElementType::kInt32)
      return bytes_.append_all(std::vector<std::int32_t>(weights.begin(), weights.end()),
                               INTRT_PLAN_ALIGNMENT);
    if (type == ElementType::kInt8)
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

  template <typename Params, typename Shape>
  static void set_kernel(Params& params, const Shape& window) {
    params.kernel_h = u32(window.kernel[0]);
    params.kernel_w = u32(window.kernel[1]);
    params.stride_h = u32(window.stride[0]);
    params.stride_w = u32(window.stride[1]);
    params.dilation_h = u32(window.dilation[0]);
    params.dilation_w = u32(window.dilation[1]);
    params.pad_top = u32(window.pad[0]);
    params.pad_left = u32(window.pad[1]);
  }
  template <typename Params>
  static void set_window(Params& params, const Window& window) {
    set_kernel(params, window);
    params.pad_bottom = u32(window.pad[2]);
    params.pad_right = u32(window.pad[3]);
  }
  template <typename Params, typename Kind>
  void set_sum(Params& params, const Op& op, const Kind& kind) {
    const ElementType type = weight_type(kind.weights, kind.wide);
    params.weight_type = static_cast<std::uint32_t>(type);
    if constexpr (requires { kind.sparse; })
      set_storage(params, kind, type);
    else
      params.weights_offset = write_weights(kind.weights, type);
    params.bias_offset = write_bias(kind.bias);
    params.post = write_post(bytes_, kind.wide ? wide_post(op, kind.post) : kind.post);
  }

  // Weights of a convolution or linear operator: dense, sparse, or with segments.
  template <typename Params, typename Kind>
  void set_storage(Params& params, const Kind& kind, ElementType type) {
    if (kind.sparse) {
      const SparseWeights sparse = sparse_weights(kind.weights);
      params.weights_offset = write_weights(sparse.values, type);
      params.nonzero_offset = bytes_.append_all(sparse.nonzero);
      params.starts_offset = bytes_.append_all(sparse.starts);
      return;
    }
    params.weights_offset = write_weights(kind.weights, type);
    if (kind.segments.empty()) return;
    std::vector<intrt_segment> segments;
    for (const Segment& segment : kind.segments)
      segments.push_back({u32(segment.end), u32(segment.shift)});
    params.segment_count = size32(segments.size());
    params.segments_offset = bytes_.append_all(segments);
  }

  // Accumulators of 64 bits need a post-op. One that clamps to the output's limits, which they are
  // proved not to leave, changes nothing.
  Post wide_post(const Op& op, Post post) const {
    const Range limits = code_limits(program_.values[op.output].bits);
    if (post.is_none())
      post.function = Requantize{.shifts = {0},
                                 .rounding = Rounding::kFloor,
                                 .lo = static_cast<std::int32_t>(limits.lo),
                                 .hi = static_cast<std::int32_t>(limits.hi)};
    return post;
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
    record.output = size32(op.output);
    record.input_count = size32(op.inputs.size());
    record.inputs_offset = write_ids(op.inputs);
    return record;
  }

  std::uint32_t write_op(const Op& op) {
    return std::visit([&](const auto& kind) { return write(op, kind); }, op.kind);
  }
  std::uint32_t write(const Op& op, const Conv2d& conv) {
    intrt_conv2d_params params{};
    set_window(params, conv.window);
    params.groups = u32(conv.groups);
    set_sum(params, op, conv);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const ConvTranspose2d& conv) {
    intrt_conv_transpose2d_params params{};
    set_kernel(params, conv);
    params.groups = u32(conv.groups);
    set_sum(params, op, conv);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Linear& linear) {
    intrt_linear_params params{};
    set_sum(params, op, linear);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const MaxPool2d& pool) {
    intrt_max_pool2d_params params{};
    set_window(params, pool.window);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const AvgPool2d& pool) {
    intrt_avg_pool2d_params params{};
    params.rows_offset = write_spans(pool.rows);
    params.columns_offset = write_spans(pool.columns);
    params.post = write_post(bytes_, pool.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Add& add) {
    std::vector<std::int32_t> multipliers = add.multipliers[0];
    multipliers.insert(multipliers.end(), add.multipliers[1].begin(), add.multipliers[1].end());
    intrt_add_params params{};
    params.multipliers_offset = bytes_.append_all(multipliers);
    params.post = write_post(bytes_, add.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Mul& mul) {
    intrt_mul_params params{};
    params.post = write_post(bytes_, mul.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const RequantizeOp& requantize) {
    intrt_requantize_params params{};
    params.post = write_post(bytes_, requantize.post);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Table& table) {
    std::vector<std::int16_t> entries;
    for (const auto& one : table.tables) entries.insert(entries.end(), one.begin(), one.end());
    intrt_table_params params{};
    params.table_count = size32(table.tables.size());
    if (table.tables.size() > 1)
      params.tables_offset = bytes_.append_all(table.table_of, alignof(std::uint32_t));
    params.entries_offset =
        program_.values[op.output].type() == ElementType::kInt8
            ? bytes_.append_all(std::vector<std::int8_t>(entries.begin(), entries.end()),
                                INTRT_PLAN_ALIGNMENT)
            : bytes_.append_all(entries, INTRT_PLAN_ALIGNMENT);
    params.mask_offset = write_mask(bytes_, table.mask);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const Move& move) {
    std::vector<intrt_move_piece> pieces;
    for (const MovePiece& piece : move.pieces) {
      intrt_move_piece record{};
      record.input = size32(piece.input);
      record.in_first = u32(piece.in_first);
      record.out_first = u32(piece.out_first);
      for (std::size_t k = 0; k < piece.count.size(); ++k) {
        record.count[k] = u32(piece.count[k]);
        record.in_step[k] = i32(piece.in_step[k]);
        record.out_step[k] = u32(piece.out_step[k]);
      }
      pieces.push_back(record);
    }
    intrt_move_params params{};
    params.piece_count = size32(pieces.size());
    params.pieces_offset = bytes_.append_all(pieces);
    return write_record(op, params);
  }
  std::uint32_t write(const Op& op, const ArgMax&) {
    const intrt_op_record record = head(op);
    return bytes_.append(&record, sizeof record, alignof(intrt_op_record));
  }
  std::uint32_t write(const Op&, const Flatten&) { LOCKSTEP_ASSERT(false); }

  std::uint32_t write_spans(const std::vector<PoolSpan>& spans) {
    std::vector<intrt_pool_span> records;
    for (const PoolSpan& span : spans)
      records.push_back({u32(span.begin), u32(span.end), u32(span.multiplier)});
    return bytes_.append_all(records);
  }

  const Program& program_;
  PlanBytes bytes_;
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
  if (status == INTRT_ERROR_WORK)
    throw InputError(fmt::format(
        "network '{}': the runtime refuses its {} inputs and {} outputs: {}", program.name,
        program.inputs.size(), program.outputs.size(), intrt_status_text(status)));
  LOCKSTEP_ASSERT(status == INTRT_OK);
  LOCKSTEP_ASSERT(intrt_arena_bytes(&plan) == program.arena_bytes);
}

}  // namespace

std::vector<std::byte> write_plan(const Program& program) {
  if (program.values.size() > INTRT_MAX_COUNT)
    throw InputError(fmt::format("network '{}': it has {} tensors, but plans hold at most {}",
                                 program.name, program.values.size(), INTRT_MAX_COUNT));
  std::vector<std::byte> bytes = Writer(program).write();
  require_accepted(program, bytes);
  return bytes;
}

}  // namespace lockstep::backends
