// .safetensors: u64 header length, JSON header, raw data.
// https://github.com/huggingface/safetensors Read strictly: the data of all tensors together is
// exactly the rest of the file, without hole or overlap, so a file has one meaning and no room for
// anything else.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>

#include "compile/checkpoint/shape.h"
#include "compile/checkpoint/state_dict.h"
#include "compile/support/error.h"
#include "compile/support/printable.h"
#include "compile/support/strict_json.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
constexpr std::size_t kMaxHeaderBytes = std::size_t{16} << 20;
constexpr std::string_view kMetadata = "__metadata__";

struct DtypeName {
  Dtype dtype;
  std::string_view name;
};
constexpr DtypeName kDtypeNames[] = {
    {Dtype::kFloat32, "F32"}, {Dtype::kFloat64, "F64"}, {Dtype::kInt64, "I64"},
    {Dtype::kInt32, "I32"},   {Dtype::kInt16, "I16"},   {Dtype::kInt8, "I8"},
    {Dtype::kUint8, "U8"},    {Dtype::kBool, "BOOL"},
};

struct Placed {
  std::string key;
  Tensor tensor;  // without its bytes
  std::size_t begin = 0, end = 0;
};

Placed parse_entry(const std::string& key, const json& entry, const std::string& file) {
  const auto fail = [&](std::string_view reason) {
    throw InputError(fmt::format("{}: tensor '{}': {}", file, printable(key), reason));
  };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") ||
      !entry.contains("shape") || !entry.contains("data_offsets"))
    fail("its entry must have exactly 'dtype', 'shape' and 'data_offsets'");

  Placed placed;
  placed.key = key;
  const json& dtype = entry["dtype"];
  const auto* const known = std::ranges::find_if(
      kDtypeNames, [&](const DtypeName& candidate) { return dtype == candidate.name; });
  if (known == std::end(kDtypeNames))
    fail(fmt::format("dtype {} is not supported (F32, F64, I64, I32, I16, I8, U8, BOOL are)",
                     printable(dtype.dump())));
  placed.tensor.dtype = known->dtype;

  const auto non_negative = [&](const json& value, std::string_view what) {
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > INT64_MAX)
      fail(fmt::format("'{}' must be a list of non-negative integers", what));
    return value.get<std::int64_t>();
  };
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!shape.is_array() || shape.size() > kMaxTensorRank)
    fail(fmt::format("'shape' must be a list of at most {} integers", kMaxTensorRank));
  for (const json& dim : shape) placed.tensor.shape.push_back(non_negative(dim, "shape"));
  if (!offsets.is_array() || offsets.size() != 2)
    fail("'data_offsets' must be a list of two integers");
  placed.begin = static_cast<std::size_t>(non_negative(offsets[0], "data_offsets"));
  placed.end = static_cast<std::size_t>(non_negative(offsets[1], "data_offsets"));

  const std::optional<std::int64_t> count = checked_element_count(placed.tensor.shape);
  std::size_t bytes = 0;
  if (!count ||
      __builtin_mul_overflow(static_cast<std::size_t>(*count), byte_size(known->dtype), &bytes))
    fail(fmt::format("shape [{}] is too large", fmt::join(placed.tensor.shape, ", ")));
  if (placed.end < placed.begin || placed.end - placed.begin != bytes)
    fail(fmt::format("shape [{}] needs {} bytes, but data_offsets are [{}, {}]",
                     fmt::join(placed.tensor.shape, ", "), bytes, placed.begin, placed.end));
  return placed;
}

void check_metadata(const json& metadata, const std::string& file) {
  const auto is_string = [](const json& value) { return value.is_string(); };
  if (!metadata.is_object() || !std::all_of(metadata.begin(), metadata.end(), is_string))
    throw InputError(fmt::format("{}: '{}' must be an object of strings", file, kMetadata));
}

}  // namespace

StateDict parse_safetensors(std::span<const std::byte> bytes, const std::string& name_for_errors) {
  if (bytes.size() < kLengthBytes)
    throw InputError(
        fmt::format("{}: truncated at byte {}; a .safetensors file begins with 8 bytes "
                    "of header length",
                    name_for_errors, bytes.size()));
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes)
    throw InputError(fmt::format("{}: a header of {} bytes, but at most {} are allowed",
                                 name_for_errors, header_bytes, kMaxHeaderBytes));
  if (header_bytes > bytes.size() - kLengthBytes)
    throw InputError(fmt::format("{}: truncated at byte {}; the header alone ends at {}",
                                 name_for_errors, bytes.size(), kLengthBytes + header_bytes));
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + kLengthBytes,
                                header_bytes);
  if (!header.starts_with('{'))
    throw InputError(fmt::format("{}: the header does not begin with '{{'", name_for_errors));
  const json root = parse_strict_json(header, name_for_errors, {.depth = 4, .values = 1'000'000});

  std::vector<Placed> tensors;
  for (const auto& [key, entry] : root.items()) {
    if (key == kMetadata)
      check_metadata(entry, name_for_errors);
    else
      tensors.push_back(parse_entry(key, entry, name_for_errors));
  }
  if (tensors.size() > kMaxTensors)
    throw InputError(fmt::format("{}: {} tensors, but at most {} are allowed", name_for_errors,
                                 tensors.size(), kMaxTensors));
  std::ranges::sort(tensors, {}, [](const Placed& placed) {
    return std::tie(placed.begin, placed.end, placed.key);
  });

  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + header_bytes);
  StateDict state(name_for_errors);
  std::size_t at = 0;
  for (Placed& placed : tensors) {
    if (placed.begin != at)
      throw InputError(fmt::format(
          "{}: tensor '{}' begins at byte {} of the data, but {} ends at {}", name_for_errors,
          printable(placed.key), placed.begin, at == 0 ? "the start" : "the tensor before it", at));
    if (placed.end > data.size())
      throw InputError(fmt::format("{}: truncated at byte {}; tensor '{}' ends at {}",
                                   name_for_errors, bytes.size(), printable(placed.key),
                                   kLengthBytes + header_bytes + placed.end));
    const auto part = data.subspan(at, placed.end - at);
    placed.tensor.bytes.assign(part.begin(), part.end());
    at = placed.end;
    try {
      state.add(std::move(placed.key), std::move(placed.tensor));
    } catch (const InputError& error) {
      throw InputError(fmt::format("{}: {}", name_for_errors, error.what()));
    }
  }
  if (at != data.size())
    throw InputError(fmt::format("{}: {} bytes after the last tensor's data", name_for_errors,
                                 data.size() - at));
  return state;
}

std::vector<std::byte> to_safetensors(const StateDict& state) {
  std::string header = "{";
  std::size_t at = 0;
  for (const auto& [key, tensor] : state.entries()) {
    const auto* const dtype = std::ranges::find(kDtypeNames, tensor.dtype, &DtypeName::dtype);
    LOCKSTEP_ASSERT(dtype != std::end(kDtypeNames));
    if (key == kMetadata)
      throw InputError(fmt::format("key '{}' cannot be stored in a .safetensors file", key));
    if (header.size() > 1) header += ',';
    header +=
        fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})", json(key).dump(),
                    dtype->name, fmt::join(tensor.shape, ","), at, at + tensor.bytes.size());
    at += tensor.bytes.size();
  }
  header += '}';
  header.append((kLengthBytes - header.size() % kLengthBytes) % kLengthBytes, ' ');

  std::vector<std::byte> file(kLengthBytes + header.size());
  const std::uint64_t header_bytes = header.size();
  std::memcpy(file.data(), &header_bytes, kLengthBytes);
  std::memcpy(file.data() + kLengthBytes, header.data(), header.size());
  file.reserve(file.size() + at);
  for (const auto& [key, tensor] : state.entries())
    file.insert(file.end(), tensor.bytes.begin(), tensor.bytes.end());
  return file;
}

}  // namespace lockstep
