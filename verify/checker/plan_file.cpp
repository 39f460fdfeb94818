// Reading a plan: header, tensors, tables of inputs and outputs, operators. Left to the proof is
// what needs more than one of them: which tensors are written, which bytes of the arena are alive,
// how large accumulators become.
#include <zlib.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <bit>
#include <numeric>

#include "verify/checker/plan_bytes.h"

namespace lockstep::checker {

static_assert(std::endian::native == std::endian::little, "records are copied as they are");

std::string PlanBytes::text(const char* field, std::size_t offset) {
  if (offset == 0) return "";
  check(field, offset, 1, 1, 1);
  const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + offset,
                              bytes_.size() - offset);
  const std::size_t length = rest.find('\0');
  need(length != rest.npos, field, offset);
  spend(field, length + 1, 1);
  const std::string text(rest.substr(0, length));
  try {
    (void)nlohmann::json(text).dump();  // throws unless it is UTF-8
  } catch (const nlohmann::json::type_error&) {
    need(false, field, offset);
  }
  return text;
}

namespace {

std::uint32_t checksum(std::span<const std::byte> bytes) {
  const auto* const data = reinterpret_cast<const Bytef*>(bytes.data());
  constexpr std::size_t kField = offsetof(intrt_plan_header, crc32), kEnd = kField + 4;
  constexpr Bytef kZeros[kEnd - kField] = {};
  const uLong head = crc32(crc32(0, data, kField), kZeros, sizeof kZeros);
  return static_cast<std::uint32_t>(
      crc32(head, data + kEnd, static_cast<uInt>(bytes.size() - kEnd)));
}

intrt_plan_header read_header(const PlanBytes& plan, std::span<const std::byte> bytes) {
  intrt_plan_header header{};
  const std::size_t size = bytes.size();
  plan.need(size >= sizeof header && size <= UINT32_MAX, "size", size);
  std::memcpy(&header, bytes.data(), sizeof header);
  plan.need(std::memcmp(header.magic, INTRT_PLAN_MAGIC, 8) == 0, "magic", header.magic[0]);
  plan.need(header.version == INTRT_PLAN_VERSION, "version", header.version);
  plan.need(header.total_bytes == size, "total_bytes", header.total_bytes);
  plan.need(header.crc32 == checksum(bytes), "crc32", header.crc32);
  const auto need_count = [&plan](const char* field, std::uint32_t count, std::uint32_t most) {
    plan.need(count >= 1 && count <= most, field, count);
  };
  need_count("tensor_count", header.tensor_count, INTRT_MAX_COUNT);
  need_count("op_count", header.op_count, INTRT_MAX_COUNT);
  need_count("input_count", header.input_count, header.tensor_count);
  need_count("output_count", header.output_count, header.tensor_count);
  return header;
}

// What a tensor has for each of its channels.
void read_channels(PlanBytes& plan, const intrt_tensor_record& record, PlanTensor& tensor) {
  const std::size_t channels = record.channels, count = record.decimal_count;
  plan.need(count == 1 || count == channels, "decimal_count", record.decimal_count);
  tensor.decimals = plan.array<std::int8_t, int>("decimals", record.decimals_offset, count);
  if (count == 1) tensor.decimals = plan.repeated("decimals", channels, tensor.decimals[0]);
  if (record.offsets_offset != 0) {
    plan.need(record.type == INTRT_INT32 && tensor.is_output, "offsets", record.offsets_offset);
    tensor.offsets = plan.array<float, float>("offsets", record.offsets_offset, channels);
  }
  tensor.has_map = record.channel_map_offset != 0;
  tensor.channel_of =
      tensor.has_map ? plan.array<std::uint16_t>("channel_map", record.channel_map_offset, channels)
                     : plan.repeated<Int>("channels", channels, 0);
  if (!tensor.has_map) std::iota(tensor.channel_of.begin(), tensor.channel_of.end(), 0);
}

PlanTensor read_tensor(PlanBytes& plan, const intrt_plan_header& header, std::size_t index) {
  plan.begin(fmt::format("tensor {}", index));
  const auto record = plan.record<intrt_tensor_record>(
      "record", header.tensors_offset + index * sizeof(intrt_tensor_record));
  PlanTensor tensor;
  tensor.name = plan.text("name", record.name_offset);
  plan.begin(fmt::format("tensor {} '{}'", index, tensor.name));
  for (const std::uint32_t size : {record.channels, record.height, record.width})
    plan.need(size >= 1 && size <= INTRT_MAX_DIM, "dimension", size);
  tensor.channels = record.channels;
  tensor.height = record.height;
  tensor.width = record.width;

  plan.need(record.type >= INTRT_INT8 && record.type <= INTRT_UINT8, "type", record.type);
  tensor.is_raw = record.type == INTRT_UINT8;
  const int element_bytes = tensor.is_raw ? 1 : 1 << (record.type - INTRT_INT8);
  tensor.bits = record.bits;
  plan.need(tensor.bits >= (tensor.is_raw ? 8 : 2) && tensor.bits <= 8 * element_bytes, "bits",
            tensor.bits);
  tensor.logical_rank = record.logical_rank;
  plan.need(tensor.logical_rank >= 1 && tensor.logical_rank <= 3 &&
                (tensor.logical_rank != 2 || tensor.height == 1),
            "logical_rank", tensor.logical_rank);

  tensor.is_input = (record.flags & INTRT_TENSOR_INPUT) != 0;
  tensor.is_output = (record.flags & INTRT_TENSOR_OUTPUT) != 0;
  tensor.is_named = (record.flags & INTRT_TENSOR_NAMED) != 0;
  plan.need(!tensor.is_raw || (tensor.is_input && !tensor.is_output), "flags", record.flags);

  tensor.arena_offset = record.arena_offset;
  tensor.bytes = tensor.count() * element_bytes;
  plan.need(tensor.arena_offset + tensor.bytes <= Int{header.arena_bytes}, "arena_offset",
            tensor.arena_offset);
  read_channels(plan, record, tensor);
  return tensor;
}

// A table of inputs or outputs: it lists the tensors that say so of themselves, each once.
std::vector<std::size_t> read_ends(PlanBytes& plan, const char* field, std::uint32_t offset,
                                   std::uint32_t count, const std::vector<PlanTensor>& tensors,
                                   bool PlanTensor::*flag) {
  plan.begin(field);
  const auto listed = plan.array<std::uint32_t, std::size_t>("table", offset, count);
  std::vector<bool> is_listed(tensors.size());
  for (const std::size_t tensor : listed) {
    plan.need(tensor < tensors.size() && !is_listed[tensor], "tensor", tensor);
    is_listed[tensor] = true;
  }
  for (std::size_t t = 0; t < tensors.size(); ++t)
    plan.need(is_listed[t] == tensors[t].*flag, "flag of tensor", t);
  return listed;
}

}  // namespace

Plan read_plan(std::span<const std::byte> bytes) {
  PlanBytes reader(bytes);
  const intrt_plan_header header = read_header(reader, bytes);
  Plan plan;
  plan.name = reader.text("name", header.name_offset);
  plan.arena_bytes = header.arena_bytes;
  for (std::size_t t = 0; t < header.tensor_count; ++t)
    plan.tensors.push_back(read_tensor(reader, header, t));
  plan.inputs = read_ends(reader, "inputs", header.inputs_offset, header.input_count, plan.tensors,
                          &PlanTensor::is_input);
  plan.outputs = read_ends(reader, "outputs", header.outputs_offset, header.output_count,
                           plan.tensors, &PlanTensor::is_output);
  reader.begin("operators");
  const auto offsets =
      reader.array<std::uint32_t, std::size_t>("table", header.ops_offset, header.op_count);
  for (std::size_t i = 0; i < offsets.size(); ++i)
    plan.ops.push_back(read_op(reader, plan.tensors, i, offsets[i]));
  return plan;
}

}  // namespace lockstep::checker
