#include "tests/verify/mutants.h"

#include <algorithm>
#include <cstring>

#include "compile/support/error.h"
#include "intrt/intrt.h"
#include "verify/differential/plan_runner.h"

namespace lockstep::test {
namespace {

template <typename T>
T get(const Bytes& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// All mutants of one plan, made from its records.
class Mutants {
 public:
  explicit Mutants(const Bytes& plan) : plan_(plan), random_(7) {
    header_ = get<intrt_plan_header>(plan, 0);
    for (std::uint32_t i = 0; i < header_.op_count; ++i)
      mutate_op(get<std::uint32_t>(plan, header_.ops_offset + 4 * i));
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t) mutate_tensor(t);
  }
  const std::vector<Mutant>& all() const { return mutants_; }

 private:
  std::string text(std::size_t offset) const {
    return reinterpret_cast<const char*>(plan_.data()) + offset;
  }
  intrt_tensor_record tensor(std::uint32_t index) const {
    return get<intrt_tensor_record>(plan_,
                                    header_.tensors_offset + index * sizeof(intrt_tensor_record));
  }

  template <typename T>
  void change(const std::string& kind, std::size_t offset, T value) {
    std::uint64_t raw = 0;
    std::memcpy(&raw, &value, sizeof value);
    if (get<T>(plan_, offset) != value)
      mutants_.push_back({kind, layers_, offset, sizeof value, raw});
  }
  // The field plus and minus one.
  template <typename T>
  void nudge(const std::string& kind, std::size_t offset) {
    const T value = get<T>(plan_, offset);
    change<T>(kind, offset, static_cast<T>(value + 1));
    change<T>(kind, offset, static_cast<T>(value - 1));
  }
  // One bit of up to `most` of `count` numbers of `size` bytes each.
  void flip(const std::string& kind, std::size_t offset, std::size_t count, std::size_t size,
            std::size_t most) {
    for (std::size_t i = 0; i < std::min(count, most); ++i) {
      const std::size_t at =
          offset + (count <= most ? i : random_() % count) * size + random_() % size;
      const auto bit = static_cast<std::uint8_t>(1U << random_() % 8);
      change<std::uint8_t>(kind, at, get<std::uint8_t>(plan_, at) ^ bit);
    }
  }

  // One bit of up to 24 of the mask's, and always its last.
  void flip_mask(std::size_t offset, std::size_t bits) {
    const std::size_t most = std::min<std::size_t>(bits, 24);
    for (std::size_t i = 0; i < most; ++i) {
      const std::size_t bit = i + 1 == most ? bits - 1 : (bits <= 24 ? i : random_() % bits);
      const auto flipped = static_cast<std::uint8_t>(1U << bit % 8);
      change<std::uint8_t>("mask", offset + bit / 8,
                           get<std::uint8_t>(plan_, offset + bit / 8) ^ flipped);
    }
  }

  void mutate_op(std::size_t at) {
    const auto op = get<intrt_op_record>(plan_, at);
    const auto first = get<std::uint32_t>(plan_, op.inputs_offset);
    const intrt_tensor_record input = tensor(first), output = tensor(op.output);
    layers_ = {text(op.name_offset), text(output.name_offset)};
    const std::size_t params = at + sizeof op;
    switch (op.code) {
      case 1:
        mutate_convolution<intrt_conv2d_params>(params, input, output);
        break;
      case 6:
        mutate_convolution<intrt_conv_transpose2d_params>(params, input, output);
        break;
      case 2: {
        const auto linear = get<intrt_linear_params>(plan_, params);
        mutate_weights(params, linear.weight_type, linear.weights_offset, linear.bias_offset,
                       stored_weights(linear, output.channels,
                                      std::size_t{input.channels} * input.height * input.width),
                       output.channels);
        mutate_storage<intrt_linear_params>(
            params, output.channels,
            (std::size_t{input.channels} * input.height * input.width + 7) / 8);
        mutate_post(params + offsetof(intrt_linear_params, post), output);
        break;
      }
      case 3:
        for (std::size_t field = 0; field < 10; ++field)
          nudge<std::uint32_t>("geometry", params + field * 4);
        break;
      case 4:
        mutate_post(params, output);
        break;
      case 7: {
        const auto pool = get<intrt_avg_pool2d_params>(plan_, params);
        mutate_spans(pool.rows_offset, output.height);
        mutate_spans(pool.columns_offset, output.width);
        nudge_offset("window offset", params + offsetof(intrt_avg_pool2d_params, rows_offset));
        nudge_offset("window offset", params + offsetof(intrt_avg_pool2d_params, columns_offset));
        mutate_post(params + offsetof(intrt_avg_pool2d_params, post), output);
        break;
      }
      case 8: {
        const auto add = get<intrt_add_params>(plan_, params);
        for (std::uint32_t i = 0; i < std::min(2 * output.channels, 16U); ++i) {
          nudge<std::int32_t>("multiplier", add.multipliers_offset + 4 * i);
          const auto multiplier = get<std::int32_t>(plan_, add.multipliers_offset + 4 * i);
          change<std::int32_t>("multiplier", add.multipliers_offset + 4 * i, 2 * multiplier);
          change<std::int32_t>("multiplier", add.multipliers_offset + 4 * i, -multiplier);
        }
        nudge_offset("multiplier offset", params + offsetof(intrt_add_params, multipliers_offset));
        mutate_post(params + offsetof(intrt_add_params, post), output);
        break;
      }
      case 9:
        mutate_post(params + offsetof(intrt_mul_params, post), output);
        break;
      case 10:
        mutate_table(params, input, output);
        break;
      case 11:
        mutate_pieces(params);
        break;
      default:
        break;
    }
    for (std::uint32_t i = 0; i < op.input_count; ++i)
      layers_.insert(text(tensor(get<std::uint32_t>(plan_, op.inputs_offset + 4 * i)).name_offset));
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t) {
      layers_.insert(text(tensor(t).name_offset));  // a wrong wire may be noticed at its other end
      change<std::uint32_t>("wiring", at + offsetof(intrt_op_record, output), t);
      for (std::uint32_t i = 0; i < op.input_count; ++i)
        change<std::uint32_t>("wiring", op.inputs_offset + 4 * i, t);
    }
    for (std::uint32_t code = 1; code <= 13; ++code) change<std::uint32_t>("operator", at, code);
    nudge<std::uint32_t>("wiring", at + offsetof(intrt_op_record, input_count));
    nudge<std::uint32_t>("name", at + offsetof(intrt_op_record, name_offset));
  }

  void nudge_offset(const std::string& kind, std::size_t at) {
    change<std::uint32_t>(kind, at, get<std::uint32_t>(plan_, at) + 4);
    change<std::uint32_t>(kind, at, get<std::uint32_t>(plan_, at) - 4);
  }

  template <typename Params>
  void mutate_convolution(std::size_t params, const intrt_tensor_record& input,
                          const intrt_tensor_record& output) {
    const auto conv = get<Params>(plan_, params);
    for (std::size_t at = 0; at < offsetof(Params, weight_type); at += 4)
      nudge<std::uint32_t>("geometry", params + at);
    const std::size_t taps = std::size_t{conv.kernel_h} * conv.kernel_w,
                      inputs = input.channels / conv.groups;
    mutate_weights(params + offsetof(Params, weight_type), conv.weight_type, conv.weights_offset,
                   conv.bias_offset, stored_weights(conv, output.channels, taps * inputs),
                   output.channels);
    if constexpr (requires { conv.nonzero_offset; })
      mutate_storage<Params>(params, output.channels, taps * ((inputs + 7) / 8));
    mutate_post(params + offsetof(Params, post), output);
  }

  // How many weights a plan holds of `rows` rows.
  template <typename Params>
  std::size_t stored_weights(const Params& params, std::size_t rows, std::size_t row) const {
    if constexpr (requires { params.nonzero_offset; })
      if (params.nonzero_offset != 0)
        return get<std::uint32_t>(plan_, params.starts_offset + 4 * rows);
    return rows * row;
  }

  // Bits that move within their byte, so that their number stays right, bits that come or go,
  // starts, segments, and the fields that say where all these are. `row_bytes`: bits of a row.
  template <typename Params>
  void mutate_storage(std::size_t at, std::size_t rows, std::size_t row_bytes) {
    const auto params = get<Params>(plan_, at);
    for (const std::size_t field :
         {offsetof(Params, nonzero_offset), offsetof(Params, starts_offset),
          offsetof(Params, segment_count), offsetof(Params, segments_offset)})
      nudge<std::uint32_t>("storage field", at + field);
    nudge_offset("storage field", at + offsetof(Params, starts_offset));
    nudge_offset("storage field", at + offsetof(Params, segments_offset));
    change<std::uint32_t>("storage field", at + offsetof(Params, nonzero_offset), 0);
    if (params.nonzero_offset != 0) {
      flip("nonzero bit", params.nonzero_offset, rows * row_bytes, 1, 20);
      for (std::size_t n = 0; n < 60; ++n) {
        const std::size_t place = params.nonzero_offset + random_() % (rows * row_bytes);
        const auto bits = get<std::uint8_t>(plan_, place);
        const auto step = static_cast<std::uint8_t>(3U << random_() % 7);
        if ((bits & step) != 0 && (bits & step) != step)  // one of two neighbours is set
          change<std::uint8_t>("moved bit", place, static_cast<std::uint8_t>(bits ^ step));
      }
      for (std::size_t row = 0; row <= std::min<std::size_t>(rows, 8); ++row)
        nudge<std::uint32_t>("weight start", params.starts_offset + 4 * row);
    }
    for (std::size_t i = 0; i < std::min(params.segment_count, 8U); ++i) {
      const std::size_t segment = params.segments_offset + i * sizeof(intrt_segment);
      nudge<std::uint32_t>("segment end", segment + offsetof(intrt_segment, end));
      nudge<std::uint32_t>("segment shift", segment + offsetof(intrt_segment, shift));
    }
  }

  // Every field of up to 8 spans, the last among them.
  void mutate_spans(std::size_t offset, std::uint32_t count) {
    for (std::uint32_t i = 0; i < std::min(count, 8U); ++i) {
      const std::size_t at = offset + (i == 7 ? count - 1 : i) * sizeof(intrt_pool_span);
      nudge<std::uint32_t>("window", at + offsetof(intrt_pool_span, begin));
      nudge<std::uint32_t>("window", at + offsetof(intrt_pool_span, end));
      nudge<std::uint32_t>("window", at + offsetof(intrt_pool_span, multiplier));
    }
  }

  void mutate_table(std::size_t params, const intrt_tensor_record& input,
                    const intrt_tensor_record& output) {
    const auto table = get<intrt_table_params>(plan_, params);
    const std::size_t entries = std::size_t{table.table_count} << input.bits;
    flip("entry", table.entries_offset, entries, output.type, 80);
    nudge<std::uint32_t>("table count", params + offsetof(intrt_table_params, table_count));
    if (table.tables_offset != 0) {
      for (std::uint32_t c = 0; c < std::min(output.channels, 8U); ++c)
        nudge<std::uint16_t>("table of a channel", table.tables_offset + 2 * c);
      change<std::uint32_t>("table of a channel",
                            params + offsetof(intrt_table_params, tables_offset), 0);
    }
    nudge<std::uint32_t>("entry offset", params + offsetof(intrt_table_params, entries_offset));
    if (table.mask_offset == 0) return;
    flip_mask(table.mask_offset, std::size_t{output.channels} * output.height * output.width);
    change<std::uint32_t>("mask offset", params + offsetof(intrt_table_params, mask_offset), 0);
  }

  // Every field of up to 8 pieces, the last among them.
  void mutate_pieces(std::size_t params) {
    const auto move = get<intrt_move_params>(plan_, params);
    for (std::uint32_t i = 0; i < std::min(move.piece_count, 8U); ++i) {
      const std::size_t at =
          move.pieces_offset + (i == 7 ? move.piece_count - 1 : i) * sizeof(intrt_move_piece);
      for (std::size_t field = 0; field < sizeof(intrt_move_piece); field += 4)
        nudge<std::uint32_t>("piece", at + field);
    }
    nudge<std::uint32_t>("piece", params + offsetof(intrt_move_params, piece_count));
    nudge_offset("piece", params + offsetof(intrt_move_params, pieces_offset));
  }

  // Every number of up to 8 channels.
  void mutate_scale(std::size_t at, const intrt_post_record& post, std::uint32_t channels) {
    for (std::uint8_t mode = 0; mode < 3; ++mode) change<std::uint8_t>("rounding", at + 1, mode);
    for (std::uint32_t c = 0; c < std::min(channels, 8U); ++c) {
      nudge<std::int32_t>("scale multiplier", post.multipliers_offset + 4 * c);
      nudge<std::int64_t>("scale addend", post.addends_offset + 8 * c);
      nudge<std::int8_t>("scale shift", post.shifts_offset + c);
      nudge<std::int16_t>("scale limit", post.limits_offset + 4 * c);
      nudge<std::int16_t>("scale limit", post.limits_offset + 4 * c + 2);
      if (post.starts_offset == 0) continue;
      nudge<std::uint32_t>("step start", post.starts_offset + 4 * c);
      const auto first = get<std::uint32_t>(plan_, post.starts_offset + 4 * c);
      const auto last = get<std::uint32_t>(plan_, post.starts_offset + 4 * c + 4);
      for (std::uint32_t i = first; i < std::min(last, first + 8); ++i)
        nudge<std::int32_t>("threshold", post.thresholds_offset + 4 * i);
      if (first < last)
        for (std::uint32_t i = first; i <= std::min(last, first + 8); ++i)
          nudge<std::int16_t>("step code", post.codes_offset + 2 * (i + c));
    }
    for (const std::size_t field :
         {offsetof(intrt_post_record, multipliers_offset),
          offsetof(intrt_post_record, shifts_offset), offsetof(intrt_post_record, limits_offset),
          offsetof(intrt_post_record, starts_offset),
          offsetof(intrt_post_record, thresholds_offset),
          offsetof(intrt_post_record, codes_offset)})
      nudge_offset("scale offset", at + field);
    change<std::uint32_t>("scale offset", at + offsetof(intrt_post_record, addends_offset),
                          post.addends_offset + 8);
  }

  // `fields`: weight_type, weights_offset, bias_offset.
  void mutate_weights(std::size_t fields, std::uint32_t type, std::size_t weights, std::size_t bias,
                      std::size_t stored, std::size_t rows) {
    flip("weight", weights, stored, type, 60);
    if (bias != 0) flip("bias", bias, rows, 4, 12);
    change<std::uint32_t>("weight type", fields, 3 - type);
    change<std::uint32_t>("weight offset", fields + 4, get<std::uint32_t>(plan_, fields + 4) + 16);
    change<std::uint32_t>("weight offset", fields + 4, get<std::uint32_t>(plan_, fields + 4) - 16);
    change<std::uint32_t>("bias offset", fields + 8, get<std::uint32_t>(plan_, fields + 8) + 16);
    change<std::uint32_t>("bias offset", fields + 8, 0);
  }

  void mutate_post(std::size_t at, const intrt_tensor_record& output) {
    const auto post = get<intrt_post_record>(plan_, at);
    for (std::uint8_t kind = 0; kind < 4; ++kind) change<std::uint8_t>("post kind", at, kind);
    if (post.kind == INTRT_POST_SCALE) mutate_scale(at, post, output.channels);
    if (post.kind == INTRT_POST_SHIFT) {
      for (std::uint8_t mode = 0; mode < 3; ++mode) change<std::uint8_t>("rounding", at + 1, mode);
      nudge<std::int32_t>("lower limit", at + offsetof(intrt_post_record, lo));
      nudge<std::int32_t>("upper limit", at + offsetof(intrt_post_record, hi));
      change<std::int32_t>("lower limit", at + offsetof(intrt_post_record, lo),
                           post.lo == 0 ? -(1 << (output.bits - 1)) : 0);
      for (std::uint32_t i = 0; i < std::min(post.shift_count, 8U); ++i)
        nudge<std::int8_t>("shift", post.shifts_offset + i);
      nudge<std::uint32_t>("shift offset", at + offsetof(intrt_post_record, shifts_offset));
    }
    if (post.mask_offset != 0) {
      flip_mask(post.mask_offset, std::size_t{output.channels} * output.height * output.width);
      nudge<std::uint32_t>("mask offset", at + offsetof(intrt_post_record, mask_offset));
      change<std::uint32_t>("mask offset", at + offsetof(intrt_post_record, mask_offset), 0);
    }
  }

  void mutate_tensor(std::uint32_t index) {
    const intrt_tensor_record record = tensor(index);
    const std::size_t at = header_.tensors_offset + index * sizeof record;
    layers_ = {text(record.name_offset)};
    for (std::uint32_t i = 0; i < std::min(record.decimal_count, 6U); ++i)
      nudge<std::int8_t>("decimal", record.decimals_offset + i);
    // Operators around the tensor may be the first to notice what follows.
    for (std::uint32_t i = 0; i < header_.op_count; ++i) {
      const auto op =
          get<intrt_op_record>(plan_, get<std::uint32_t>(plan_, header_.ops_offset + 4 * i));
      layers_.insert(text(op.name_offset));
    }
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t)
      layers_.insert(text(tensor(t).name_offset));
    nudge<std::uint8_t>("bits", at + offsetof(intrt_tensor_record, bits));
    for (std::uint8_t type = 1; type <= 3; ++type)
      change<std::uint8_t>("type", at + offsetof(intrt_tensor_record, type), type);
    for (std::uint8_t rank = 1; rank <= 3; ++rank)
      change<std::uint8_t>("rank", at + offsetof(intrt_tensor_record, logical_rank), rank);
    for (const std::uint8_t bit : {1, 2, 4})
      change<std::uint8_t>("flags", at + offsetof(intrt_tensor_record, flags), record.flags ^ bit);
    for (const std::size_t field :
         {offsetof(intrt_tensor_record, channels), offsetof(intrt_tensor_record, height),
          offsetof(intrt_tensor_record, width)})
      nudge<std::uint32_t>("shape", at + field);
    nudge<std::uint32_t>("decimal offset", at + offsetof(intrt_tensor_record, decimals_offset));
    if (record.channel_map_offset != 0) {
      for (std::uint32_t i = 0; i < std::min(record.channels, 8U); ++i)
        nudge<std::uint16_t>("channel map", record.channel_map_offset + 2 * i);
      const std::size_t field = at + offsetof(intrt_tensor_record, channel_map_offset);
      change<std::uint32_t>("channel map", field, 0);
      change<std::uint32_t>("channel map", field, record.channel_map_offset + 2);
    }
    nudge<std::uint32_t>("name", at + offsetof(intrt_tensor_record, name_offset));
    for (std::uint32_t other = 0; other < header_.tensor_count; ++other)
      change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                            tensor(other).arena_offset);
    change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                          record.arena_offset + 16);
    change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                          record.arena_offset - 16);
  }

  const Bytes& plan_;
  std::mt19937 random_;
  intrt_plan_header header_;
  std::set<std::string> layers_;
  std::vector<Mutant> mutants_;
};

}  // namespace

std::vector<Mutant> mutants_of(const Bytes& plan) { return Mutants(plan).all(); }

bool opens(const Bytes& plan) {
  try {
    verify::OpenPlan open(plan);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

Bytes apply(const Bytes& plan, const Mutant& mutant) {
  Bytes changed = plan;
  std::memcpy(changed.data() + mutant.offset, &mutant.value, mutant.size);
  const std::uint32_t crc = intrt_plan_crc32(changed.data(), changed.size());
  std::memcpy(changed.data() + offsetof(intrt_plan_header, crc32), &crc, sizeof crc);
  return changed;
}

}  // namespace lockstep::test
