#include "verify/mutate/plan_sites.h"

#include <zlib.h>

#include <cstring>
#include <numeric>
#include <string>
#include <tuple>
#include <utility>

#include "intrt/plan_format.h"
#include "verify/checker/plan.h"

namespace lockstep::mutate {
namespace {

using checker::OpCode;
using Site = PlanMutants::Site;
using Change = Site::Change;

class Sites {
 public:
  explicit Sites(std::span<const std::byte> plan) : plan_(plan) {
    header_ = get<intrt_plan_header>(0);
    layer_ = text(header_.name_offset);
    add("order", Change::kSwap, "operator", header_.ops_offset, header_.op_count, 4);
    add_wires("input of the network", header_.inputs_offset, header_.input_count);
    add_wires("output of the network", header_.outputs_offset, header_.output_count);
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t) add_tensor(t);
    for (std::uint32_t i = 0; i < header_.op_count; ++i)
      add_op(get<std::uint32_t>(header_.ops_offset + 4 * i));
  }
  SitesOfKinds take() { return std::move(sites_); }

 private:
  template <typename T>
  T get(std::size_t offset) const {
    T value;
    std::memcpy(&value, plan_.data() + offset, sizeof value);
    return value;
  }
  std::string text(std::size_t offset) const {
    return offset == 0 ? "" : reinterpret_cast<const char*>(plan_.data()) + offset;
  }
  std::size_t record_of(std::uint32_t tensor) const {
    return header_.tensors_offset + tensor * sizeof(intrt_tensor_record);
  }

  void add(std::string_view kind, Change change, std::string what, std::size_t offset,
           std::size_t count, std::size_t width, std::vector<std::int64_t> choices = {}) {
    if (count != 0)
      sites_[kind].push_back(
          {change, layer_, std::move(what), offset, count, width, std::move(choices)});
  }

  // Indices of tensors, to become those of tensors of the same shape and type where there are any.
  void add_wires(const std::string& what, std::size_t offset, std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto form = [this](std::uint32_t index) {
        const auto tensor = get<intrt_tensor_record>(record_of(index));
        return std::tuple(tensor.channels, tensor.height, tensor.width, tensor.type);
      };
      const std::size_t at = offset + 4 * std::size_t{i};
      const auto now = get<std::uint32_t>(at);
      std::vector<std::int64_t> all, alike;
      for (std::uint32_t t = 0; t < header_.tensor_count; ++t) {
        if (t == now) continue;
        all.push_back(t);
        if (form(t) == form(now)) alike.push_back(t);
      }
      if (!all.empty()) add("wiring", Change::kChoice, what, at, 1, 4, alike.empty() ? all : alike);
    }
  }

  void add_tensor(std::uint32_t index) {
    const std::size_t at = record_of(index);
    const auto tensor = get<intrt_tensor_record>(at);
    layer_ = text(tensor.name_offset);
    add("decimal", Change::kStep, "decimal", tensor.decimals_offset, tensor.decimal_count, 1);
    if (tensor.channel_map_offset != 0) {
      add("channel map", Change::kStep, "map entry", tensor.channel_map_offset, tensor.channels, 2);
      add("channel map", Change::kSwap, "map entry", tensor.channel_map_offset, tensor.channels, 2);
    }
    add("arena offset", Change::kArena, "arena offset",
        at + offsetof(intrt_tensor_record, arena_offset), 1, 4);
    add("tensor field", Change::kStep, "dimension", at + offsetof(intrt_tensor_record, channels), 3,
        4);
    add("tensor field", Change::kStep, "bits", at + offsetof(intrt_tensor_record, bits), 1, 1);
    add("tensor field", Change::kStep, "rank", at + offsetof(intrt_tensor_record, logical_rank), 1,
        1);
    add("tensor field", Change::kBit, "flag", at + offsetof(intrt_tensor_record, flags), 3, 1);
    if (tensor.offsets_offset != 0)
      add("bias", Change::kStep, "float offset", tensor.offsets_offset, tensor.channels, 4);
  }

  void add_op(std::size_t at) {
    const auto op = get<intrt_op_record>(at);
    layer_ = text(op.name_offset);
    add_wires("input", op.inputs_offset, op.input_count);
    add_wires("output", at + offsetof(intrt_op_record, output), 1);
    in_ = get<intrt_tensor_record>(record_of(get<std::uint32_t>(op.inputs_offset)));
    out_ = get<intrt_tensor_record>(record_of(op.output));
    const std::size_t params = at + sizeof op;
    switch (OpCode{op.code}) {
      case OpCode::kConv2d:
        add_convolution<intrt_conv2d_params>(params, 10);
        break;
      case OpCode::kConvTranspose2d:
        add_convolution<intrt_conv_transpose2d_params>(params, 8);
        break;
      case OpCode::kLinear:
        add_weights<intrt_linear_params>(params, std::size_t{in_.height} * in_.width * in_.channels,
                                         1);
        add_post(params + offsetof(intrt_linear_params, post));
        break;
      case OpCode::kMaxPool2d:
        add("window", Change::kStep, "window field", params, 10, 4);
        break;
      case OpCode::kAvgPool2d: {
        const auto pool = get<intrt_avg_pool2d_params>(params);
        constexpr std::size_t kFields = sizeof(intrt_pool_span) / 4;
        add("pool span", Change::kStep, "row field", pool.rows_offset, kFields * out_.height, 4);
        add("pool span", Change::kStep, "column field", pool.columns_offset, kFields * out_.width,
            4);
        add_post(params + offsetof(intrt_avg_pool2d_params, post));
        break;
      }
      case OpCode::kAdd:
        add("multiplier", Change::kWeight, "multiplier",
            get<intrt_add_params>(params).multipliers_offset, std::size_t{2} * out_.channels, 4);
        add_post(params + offsetof(intrt_add_params, post));
        break;
      case OpCode::kMul:
      case OpCode::kRequantize:
        add_post(params);
        break;
      case OpCode::kTable:
        add_table(get<intrt_table_params>(params));
        break;
      case OpCode::kMove: {
        const auto move = get<intrt_move_params>(params);
        add("move piece", Change::kStep, "piece field", move.pieces_offset,
            move.piece_count * (sizeof(intrt_move_piece) / 4), 4);
        break;
      }
      case OpCode::kArgMax:
        break;
    }
  }

  // `fields`: of the window, from the first on.
  template <typename Params>
  void add_convolution(std::size_t params, std::size_t fields) {
    const auto conv = get<Params>(params);
    add("window", Change::kStep, "window field", params, fields, 4);
    add("groups", Change::kStep, "groups", params + offsetof(Params, groups), 1, 4);
    add_weights<Params>(params, in_.channels / conv.groups,
                        std::size_t{conv.kernel_h} * conv.kernel_w);
    add_post(params + offsetof(Params, post));
  }

  // Rows of `taps` times `inputs` weights.
  template <typename Params>
  void add_weights(std::size_t at, std::size_t inputs, std::size_t taps) {
    const auto params = get<Params>(at);
    std::size_t stored = out_.channels * taps * inputs;
    if constexpr (requires { params.nonzero_offset; }) {
      if (params.nonzero_offset != 0) {
        const std::size_t tap_bytes = (inputs + 7) / 8, bits = 8 * out_.channels * taps * tap_bytes;
        stored = get<std::uint32_t>(params.starts_offset + 4 * std::size_t{out_.channels});
        add("sparse bit", Change::kBit, "bit", params.nonzero_offset, bits, 1);
        add("sparse bit", Change::kMovedBit, "moved bit", params.nonzero_offset, bits, 1);
        add("row start", Change::kStep, "row start", params.starts_offset,
            std::size_t{out_.channels} + 1, 4);
      }
      add("segment", Change::kStep, "segment field", params.segments_offset,
          params.segment_count * (sizeof(intrt_segment) / 4), 4);
    }
    const std::size_t bytes = std::size_t{1} << (params.weight_type - INTRT_INT8);
    add("weight", Change::kWeight, "weight", params.weights_offset, stored, bytes);
    if (params.bias_offset != 0)
      add("bias", Change::kLarge, "bias", params.bias_offset, out_.channels, 4);
  }

  void add_table(const intrt_table_params& table) {
    const std::size_t entries = std::size_t{table.table_count} << in_.bits;
    add("table entry", Change::kWeight, "entry", table.entries_offset, entries,
        out_.type == INTRT_INT8 ? 1 : 2);
    if (table.tables_offset != 0) {
      std::vector<std::int64_t> choices(table.table_count);
      std::iota(choices.begin(), choices.end(), 0);
      add("table of a channel", Change::kChoice, "table of channel", table.tables_offset,
          out_.channels, 2, std::move(choices));
    }
    add_mask(table.mask_offset);
  }

  void add_mask(std::size_t offset) {
    if (offset != 0)
      add("mask bit", Change::kBit, "mask bit", offset,
          std::size_t{out_.channels} * out_.height * out_.width, 1);
  }

  void add_post(std::size_t at) {
    const auto post = get<intrt_post_record>(at);
    add_mask(post.mask_offset);
    if (post.kind == INTRT_POST_NONE) return;
    add("shift", Change::kStep, "shift", post.shifts_offset, post.shift_count, 1);
    add("rounding", Change::kChoice, "rounding", at + offsetof(intrt_post_record, rounding), 1, 1,
        {0, 1, 2});
    if (post.kind == INTRT_POST_SHIFT) {
      add("clamp limit", Change::kStep, "lo, hi:", at + offsetof(intrt_post_record, lo), 2, 4);
      return;
    }
    const std::size_t channels = out_.channels;
    add("multiplier", Change::kLarge, "scale multiplier", post.multipliers_offset, channels, 4);
    add("addend", Change::kLarge, "addend", post.addends_offset, channels, 8);
    add("clamp limit", Change::kStep, "limit", post.limits_offset, 2 * channels, 2);
    if (post.starts_offset == 0) return;
    const auto steps = get<std::uint32_t>(post.starts_offset + 4 * channels);
    add("step start", Change::kStep, "step start", post.starts_offset, channels + 1, 4);
    add("threshold", Change::kLarge, "threshold", post.thresholds_offset, steps, 4);
    add("step code", Change::kStep, "step code", post.codes_offset, steps + channels, 2);
  }

  std::span<const std::byte> plan_;
  intrt_plan_header header_{};
  intrt_tensor_record in_{}, out_{};  // of the operator at hand
  std::string layer_;
  SitesOfKinds sites_;
};

}  // namespace

SitesOfKinds sites_of(std::span<const std::byte> plan) { return Sites(plan).take(); }

void reseal(std::span<std::byte> plan) {
  constexpr std::size_t kField = offsetof(intrt_plan_header, crc32);
  std::memset(plan.data() + kField, 0, 4);
  const auto sum = static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(plan.data()), static_cast<uInt>(plan.size())));
  std::memcpy(plan.data() + kField, &sum, 4);
}

}  // namespace lockstep::mutate
