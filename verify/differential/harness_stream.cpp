#include "verify/differential/harness_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

#include "intrt/plan_format.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

constexpr std::uint32_t kVersion = 5;
constexpr std::uint32_t kEndOfSample = 0xFFFFFFFFu;
constexpr std::uint32_t kEnd = 0xFFFFFFFEu;
constexpr std::uint32_t kMaxCount = 65536;        // of tensors; of a dimension, as in plans
constexpr std::int64_t kMaxElements = 1LL << 28;  // of one tensor

struct Malformed {
  std::string reason;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : rest_(bytes), total_(bytes.size()) {}

  std::span<const std::byte> take(std::size_t count, const char* what) {
    if (count > rest_.size())
      throw Malformed{fmt::format("its output ends at byte {}, inside {}", total_, what)};
    const std::span<const std::byte> taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  std::uint32_t u32(const char* what) {
    const std::span<const std::byte> bytes = take(4, what);
    std::uint32_t value = 0;
    for (int i = 3; i >= 0; --i)
      value = value << 8 | std::to_integer<std::uint32_t>(bytes[static_cast<std::size_t>(i)]);
    return value;
  }
  std::uint32_t u32_at_most(std::uint32_t limit, const char* what) {
    const std::uint32_t value = u32(what);
    if (value > limit) throw Malformed{fmt::format("its output says {} = {}", what, value)};
    return value;
  }
  std::size_t left() const { return rest_.size(); }

 private:
  std::span<const std::byte> rest_;
  std::size_t total_;
};

std::uint32_t dimension(Reader& reader, const char* what) {
  const std::uint32_t value = reader.u32_at_most(kMaxCount * 1024, what);
  if (value == 0) throw Malformed{fmt::format("its output says {} = 0", what)};
  return value;
}

VisibleTensor read_tensor(Reader& reader, std::uint32_t& arena_offset) {
  VisibleTensor tensor;
  const std::uint32_t length = reader.u32_at_most(kMaxCount, "the length of a tensor's name");
  const std::span<const std::byte> name = reader.take(length, "a tensor's name");
  tensor.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  const std::uint32_t type = reader.u32_at_most(INTRT_UINT8, "a tensor's type");
  if (type == 0) throw Malformed{"its output says a tensor's type = 0"};
  tensor.bytes = type == INTRT_UINT8;
  tensor.element_bytes = tensor.bytes ? 1 : (type == INTRT_INT32 ? 4 : type);
  tensor.bits = reader.u32_at_most(tensor.element_bytes * 8, "a tensor's bits");
  tensor.logical_rank = reader.u32_at_most(3, "a tensor's rank");
  tensor.channels = dimension(reader, "a tensor's channels");
  tensor.height = dimension(reader, "a tensor's height");
  tensor.width = dimension(reader, "a tensor's width");
  const Int128 elements = Int128{tensor.channels} * tensor.height * tensor.width;
  if (elements > kMaxElements)
    throw Malformed{fmt::format("tensor '{}' is too large", tensor.name)};
  const std::uint32_t decimal_count = reader.u32_at_most(1, "a tensor's decimal count");
  arena_offset = reader.u32("a tensor's arena offset");
  tensor.named = (reader.u32_at_most(7, "a tensor's flags") & INTRT_TENSOR_NAMED) != 0;
  for (const std::byte decimal :
       reader.take(decimal_count == 1 ? 1 : tensor.channels, "a tensor's decimals"))
    tensor.decimals.push_back(static_cast<std::int8_t>(decimal));
  const std::uint32_t offsets = reader.u32_at_most(tensor.channels, "a tensor's offsets");
  if (offsets != 0 && offsets != tensor.channels)
    throw Malformed{fmt::format("tensor '{}' has {} offsets", tensor.name, offsets)};
  for (std::uint32_t i = 0; i < offsets; ++i)
    tensor.offsets.push_back(std::bit_cast<float>(reader.u32("a tensor's offsets")));
  const std::uint32_t mapped = reader.u32_at_most(tensor.channels, "a tensor's channel map");
  if (mapped != 0 && mapped != tensor.channels)
    throw Malformed{fmt::format("tensor '{}' maps {} channels", tensor.name, mapped)};
  const std::span<const std::byte> map = reader.take(2 * std::size_t{mapped}, "a channel map");
  for (std::size_t c = 0; c < mapped; ++c)
    tensor.channel_map.push_back(std::to_integer<std::uint32_t>(map[2 * c]) |
                                 std::to_integer<std::uint32_t>(map[2 * c + 1]) << 8);
  return tensor;
}

NetTable parse_table(Reader& reader, std::int64_t samples) {
  const std::span<const std::byte> magic = reader.take(8, "the header");
  if (std::memcmp(magic.data(), "LKSTREAM", 8) != 0)
    throw Malformed{"its output is no harness stream"};
  if (reader.u32("the header") != kVersion) throw Malformed{"its output has another version"};
  if (reader.u32("the header") != static_cast<std::uint32_t>(samples))
    throw Malformed{"its output has another number of samples"};
  NetTable table;
  table.arena_bytes = reader.u32("the header");
  const std::uint32_t tensors = reader.u32_at_most(kMaxCount, "the number of tensors");
  table.inputs.resize(reader.u32_at_most(tensors, "the number of inputs"));
  table.outputs.resize(reader.u32_at_most(tensors, "the number of outputs"));
  if (tensors == 0) throw Malformed{"its output has no tensors"};
  for (std::uint32_t& input : table.inputs) input = reader.u32_at_most(tensors - 1, "an input");
  for (std::uint32_t& output : table.outputs) output = reader.u32_at_most(tensors - 1, "an output");
  table.arena_offsets.resize(tensors);
  for (std::uint32_t t = 0; t < tensors; ++t)
    table.tensors.push_back(read_tensor(reader, table.arena_offsets[t]));
  return table;
}

Observations parse(Reader& reader, const NetTable& table, std::int64_t samples, bool every_tensor,
                   HarnessOutput& output) {
  Observations seen;
  seen.samples = samples;
  seen.outputs = table.outputs;
  seen.tensors = table.tensors;
  const auto tensors = static_cast<std::uint32_t>(table.tensors.size());
  const std::vector<std::uint32_t>& outputs = table.outputs;
  seen.codes.resize(tensors);
  for (std::int64_t s = 0; s < samples; ++s) {
    std::vector<int> times_seen(tensors, 0);
    for (std::uint32_t t = reader.u32("a record"); t != kEndOfSample; t = reader.u32("a record")) {
      if (t >= tensors)
        throw Malformed{fmt::format("its output has a record of tensor {} of {}", t, tensors)};
      const VisibleTensor& tensor = seen.tensors[t];
      const auto count = static_cast<std::size_t>(tensor.element_count());
      if (reader.u32("a record") != count * tensor.element_bytes)
        throw Malformed{fmt::format("its record of tensor '{}' has a wrong size", tensor.name)};
      const std::span<const std::byte> data = reader.take(count * tensor.element_bytes, "a record");
      seen.codes[t].resize(seen.codes[t].size() + count);
      decode_tensor(tensor, data.data(), seen.codes[t].data() + seen.codes[t].size() - count);
      times_seen[t] += 1;
      if (s == 0) output.order.push_back(t);
    }
    for (std::uint32_t t = 0; t < tensors; ++t) {
      const bool wanted = every_tensor || std::ranges::find(outputs, t) != outputs.end();
      if (times_seen[t] != (wanted ? 1 : 0))
        throw Malformed{fmt::format("tensor '{}' was reported {} times in sample {}",
                                    seen.tensors[t].name, times_seen[t], s)};
    }
  }
  if (reader.u32("the end") != kEnd) throw Malformed{"its output has more samples than asked for"};
  output.stack_bytes = reader.u32("the stack's bytes");
  if (reader.left() != 0)
    throw Malformed{fmt::format("its output has {} bytes too many", reader.left())};
  return seen;
}

// Drops what was not reported.
Observations outputs_only(const Observations& all) {
  Observations result;
  result.samples = all.samples;
  for (std::size_t t = 0; t < all.tensors.size(); ++t) {
    if (std::ranges::find(all.outputs, t) == all.outputs.end()) continue;
    result.outputs.push_back(static_cast<std::uint32_t>(result.tensors.size()));
    result.tensors.push_back(all.tensors[t]);
    result.codes.push_back(all.codes[t]);
  }
  return result;
}

}  // namespace

HarnessOutput parse_harness_output(std::span<const std::byte> bytes, std::int64_t samples,
                                   bool every_tensor) {
  try {
    Reader reader(bytes);
    HarnessOutput output;
    output.table = parse_table(reader, samples);
    Observations seen = parse(reader, output.table, samples, every_tensor, output);
    output.seen = every_tensor ? std::move(seen) : outputs_only(seen);
    return output;
  } catch (const Malformed& malformed) {
    HarnessOutput none;
    none.failure = malformed.reason;
    return none;
  }
}

namespace {

void put_u32(std::vector<std::byte>& bytes, std::int64_t value) {
  for (int i = 0; i < 4; ++i) bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xFF));
}

void put_codes(std::vector<std::byte>& bytes, const VisibleTensor& tensor,
               const std::int64_t* codes) {
  const std::size_t start = bytes.size();
  bytes.resize(start + static_cast<std::size_t>(tensor.element_count()) * tensor.element_bytes);
  encode_tensor(tensor, codes, bytes.data() + start);
}

}  // namespace

std::vector<std::byte> probe_input(const NetTable& table, const std::vector<std::uint32_t>& order,
                                   const std::vector<Probe>& probes) {
  std::vector<std::byte> bytes;
  put_u32(bytes, static_cast<std::int64_t>(probes.size()));
  for (const Probe& probe : probes) {
    for (const std::uint32_t input : table.inputs)
      put_codes(bytes, table.tensors[input], probe[input].data());
    for (const std::uint32_t tensor : order) {
      put_u32(bytes, tensor);
      put_codes(bytes, table.tensors[tensor], probe[tensor].data());
    }
  }
  return bytes;
}

std::vector<std::byte> harness_input(const NetTable& table, const Batch& batch,
                                     std::int64_t samples) {
  std::vector<std::byte> bytes;
  put_u32(bytes, samples);
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const VisibleTensor& tensor = table.tensors[table.inputs[i]];
      put_codes(bytes, tensor, batch[i].codes.data() + s * tensor.element_count());
    }
  return bytes;
}

std::vector<std::byte> harness_input(const Graph& graph, const Batch& batch, std::int64_t samples) {
  std::vector<std::byte> bytes;
  put_u32(bytes, samples);
  for (std::int64_t s = 0; s < samples; ++s)
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::vector<std::int64_t>& shape = batch[i].shape;
      VisibleTensor tensor;
      tensor.bytes = graph.inputs[i].raw.has_value();
      tensor.element_bytes = tensor.bytes || graph.inputs[i].bits <= 8 ? 1 : 2;
      tensor.channels = static_cast<std::uint32_t>(shape[0]);
      if (shape.size() == 3) tensor.height = static_cast<std::uint32_t>(shape[1]);
      if (shape.size() > 1) tensor.width = static_cast<std::uint32_t>(shape.back());
      put_codes(bytes, tensor, batch[i].codes.data() + s * tensor.element_count());
    }
  return bytes;
}

}  // namespace lockstep::verify
