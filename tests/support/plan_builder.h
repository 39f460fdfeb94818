// Writes plans for tests, straight from intrt/plan_format.h. It shares nothing with the compiler
// and checks nothing, so that it can also write plans that must be refused.
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "intrt/intrt.h"

namespace lockstep::testing {

enum OpCode : std::uint32_t {
#define INTRT_OP(code, name) k_##name = code,
#include "intrt/op_list.def"
#undef INTRT_OP
};

// Memory of exactly `size` bytes at a 16-byte boundary: under ASan one byte too many is a fault.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size)
      : data_(static_cast<std::uint8_t*>(::operator new (size, std::align_val_t{16}))),
        size_(size) {
    if (size != 0) std::memset(data_.get(), 0, size);
  }
  explicit AlignedBytes(const std::vector<std::uint8_t>& bytes) : AlignedBytes(bytes.size()) {
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
  }
  std::uint8_t* data() { return data_.get(); }
  const std::uint8_t* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Delete {
    void operator()(std::uint8_t* p) const { ::operator delete (p, std::align_val_t{16}); }
  };
  std::unique_ptr<std::uint8_t, Delete> data_;
  std::size_t size_;
};

// Puts the right checksum into plan bytes, with zlib's implementation.
inline void reseal(std::uint8_t* plan, std::size_t size) {
  constexpr std::size_t kField = offsetof(intrt_plan_header, crc32);
  std::memset(plan + kField, 0, 4);
  const auto crc = static_cast<std::uint32_t>(::crc32(0, plan, static_cast<uInt>(size)));
  std::memcpy(plan + kField, &crc, 4);
}

struct TensorSpec {
  std::uint32_t channels = 1, height = 1, width = 1;
  std::uint8_t type = INTRT_INT8;
  std::uint8_t bits = 8;
  std::string name = {};
  std::vector<std::int8_t> decimals = {0};
  std::uint8_t logical_rank = 3;
  std::uint8_t flags = 0;
  std::int64_t arena_offset = -1;  // -1: behind everything placed so far
  std::vector<float> offsets = {};
  std::vector<std::uint16_t> channel_map = {};
};

class PlanBuilder {
 public:
  PlanBuilder() : bytes_(sizeof(intrt_plan_header), 0) {}

  // Appends data and returns its offset.
  std::uint32_t blob(const void* data, std::size_t size, std::size_t alignment) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(0);
    const std::size_t offset = bytes_.size();
    bytes_.resize(offset + size);
    if (size != 0) std::memcpy(bytes_.data() + offset, data, size);
    return static_cast<std::uint32_t>(offset);
  }
  template <typename T>
  std::uint32_t array(const std::vector<T>& values, std::size_t alignment = alignof(T)) {
    return blob(values.data(), values.size() * sizeof(T), alignment);
  }
  // Narrowed to int8_t or int16_t and aligned as weights are.
  std::uint32_t weights(const std::vector<std::int64_t>& values, std::uint32_t type) {
    if (type == INTRT_INT8)
      return array(std::vector<std::int8_t>(values.begin(), values.end()), 16);
    if (type == INTRT_INT32)
      return array(std::vector<std::int32_t>(values.begin(), values.end()), 16);
    return array(std::vector<std::int16_t>(values.begin(), values.end()), 16);
  }
  std::uint32_t text(const std::string& value) { return blob(value.c_str(), value.size() + 1, 1); }

  std::uint32_t tensor(const TensorSpec& spec) {
    intrt_tensor_record record{};
    if (!spec.name.empty()) record.name_offset = text(spec.name);
    record.channels = spec.channels;
    record.height = spec.height;
    record.width = spec.width;
    record.decimals_offset = array(spec.decimals);
    record.decimal_count = static_cast<std::uint32_t>(spec.decimals.size());
    if (!spec.offsets.empty()) record.offsets_offset = array(spec.offsets);
    if (!spec.channel_map.empty()) record.channel_map_offset = array(spec.channel_map);
    record.type = spec.type;
    record.bits = spec.bits;
    record.logical_rank = spec.logical_rank;
    record.flags = spec.flags;
    record.arena_offset =
        spec.arena_offset >= 0 ? static_cast<std::uint32_t>(spec.arena_offset) : arena_bytes_;
    const std::uint32_t element = spec.type == INTRT_INT16 ? 2 : spec.type == INTRT_INT32 ? 4 : 1;
    const std::uint64_t end =
        record.arena_offset + std::uint64_t{element} * spec.channels * spec.height * spec.width;
    if (end > arena_bytes_) arena_bytes_ = static_cast<std::uint32_t>((end + 15) / 16 * 16);
    tensors_.push_back(record);
    return static_cast<std::uint32_t>(tensors_.size() - 1);
  }
  std::int64_t arena_offset_of(std::uint32_t tensor) const { return tensors_[tensor].arena_offset; }
  std::uint32_t input(TensorSpec spec) {
    spec.flags |= INTRT_TENSOR_INPUT;
    inputs_.push_back(tensor(spec));
    return inputs_.back();
  }
  std::uint32_t output(TensorSpec spec) {
    spec.flags |= INTRT_TENSOR_OUTPUT;
    outputs_.push_back(tensor(spec));
    return outputs_.back();
  }

  // Channel c without thresholds: scaled; with some: steps.
  struct ScaleChannel {
    std::int32_t multiplier = 0;
    std::int64_t addend = 0;
    std::int8_t shift = 0;
    std::int16_t lo = 0, hi = 0;
    std::vector<std::int32_t> thresholds = {};
    std::vector<std::int16_t> codes = {0};  // one more than thresholds
  };
  intrt_post_record scale_post(const std::vector<ScaleChannel>& channels, std::uint8_t rounding) {
    std::vector<std::int8_t> shifts;
    std::vector<std::int32_t> multipliers, thresholds;
    std::vector<std::int64_t> addends;
    std::vector<std::int16_t> limits, codes;
    std::vector<std::uint32_t> starts = {0};
    for (const ScaleChannel& channel : channels) {
      shifts.push_back(channel.shift);
      multipliers.push_back(channel.multiplier);
      addends.push_back(channel.addend);
      limits.insert(limits.end(), {channel.lo, channel.hi});
      thresholds.insert(thresholds.end(), channel.thresholds.begin(), channel.thresholds.end());
      codes.insert(codes.end(), channel.codes.begin(), channel.codes.end());
      starts.push_back(static_cast<std::uint32_t>(thresholds.size()));
    }
    intrt_post_record post{};
    post.kind = INTRT_POST_SCALE;
    post.rounding = rounding;
    post.shifts_offset = array(shifts);
    post.shift_count = static_cast<std::uint32_t>(channels.size());
    post.multipliers_offset = array(multipliers);
    post.addends_offset = array(addends);
    post.limits_offset = array(limits);
    if (!thresholds.empty()) {
      post.starts_offset = array(starts);
      post.thresholds_offset = array(thresholds);
      post.codes_offset = array(codes);
    }
    return post;
  }
  intrt_post_record shift_post(const std::vector<std::int8_t>& shifts, std::uint8_t rounding,
                               std::int32_t lo, std::int32_t hi) {
    intrt_post_record post{};
    post.kind = INTRT_POST_SHIFT;
    post.rounding = rounding;
    post.lo = lo;
    post.hi = hi;
    post.shifts_offset = array(shifts);
    post.shift_count = static_cast<std::uint32_t>(shifts.size());
    return post;
  }
  intrt_move_params move(const std::vector<intrt_move_piece>& pieces) {
    return {static_cast<std::uint32_t>(pieces.size()), array(pieces)};
  }

  template <typename Params>
  void op(std::uint32_t code, const std::vector<std::uint32_t>& from, std::uint32_t to,
          const Params& params) {
    add_op(code, from, to, &params, sizeof params);
  }
  template <typename Params>
  void op(std::uint32_t code, std::uint32_t from, std::uint32_t to, const Params& params) {
    add_op(code, {from}, to, &params, sizeof params);
  }
  void op(std::uint32_t code, std::uint32_t from, std::uint32_t to) {
    add_op(code, {from}, to, nullptr, 0);
  }

  std::vector<std::uint8_t> finish(const std::string& network_name = "test") {
    intrt_plan_header header{};
    std::memcpy(header.magic, INTRT_PLAN_MAGIC, 8);
    header.version = INTRT_PLAN_VERSION;
    header.arena_bytes = arena_bytes_;
    header.name_offset = text(network_name);
    header.tensors_offset = array(tensors_);
    header.tensor_count = static_cast<std::uint32_t>(tensors_.size());
    header.ops_offset = array(ops_);
    header.op_count = static_cast<std::uint32_t>(ops_.size());
    header.inputs_offset = array(inputs_);
    header.input_count = static_cast<std::uint32_t>(inputs_.size());
    header.outputs_offset = array(outputs_);
    header.output_count = static_cast<std::uint32_t>(outputs_.size());
    header.total_bytes = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header, sizeof header);
    reseal(bytes_.data(), bytes_.size());
    return bytes_;
  }

 private:
  void add_op(std::uint32_t code, const std::vector<std::uint32_t>& from, std::uint32_t to,
              const void* params, std::size_t params_bytes) {
    intrt_op_record record{};
    record.code = code;
    record.record_bytes = static_cast<std::uint32_t>(sizeof record + params_bytes);
    record.name_offset = text("op" + std::to_string(ops_.size()));
    record.output = to;
    record.input_count = static_cast<std::uint32_t>(from.size());
    record.inputs_offset = array(from);
    ops_.push_back(blob(&record, sizeof record, 4));
    blob(params, params_bytes, 1);
  }

  std::vector<std::uint8_t> bytes_;
  std::uint32_t arena_bytes_ = 0;
  std::vector<intrt_tensor_record> tensors_;
  std::vector<std::uint32_t> ops_, inputs_, outputs_;
};

}  // namespace lockstep::testing
