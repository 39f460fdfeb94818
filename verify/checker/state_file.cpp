// .safetensors: the length of a header, the header as JSON, the data. The tensors fill the data
// without hole or overlap, so that a file has one meaning and no room for anything else.
#include "verify/checker/state_file.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "verify/checker/files.h"

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

namespace lockstep::checker {
namespace {

using nlohmann::json;

constexpr Dtype kDtypes[] = {
    {"bool", "BOOL", "BoolStorage", 1},    {"uint8", "U8", "ByteStorage", 1},
    {"int8", "I8", "CharStorage", 1},      {"int16", "I16", "ShortStorage", 2},
    {"int32", "I32", "IntStorage", 4},     {"int64", "I64", "LongStorage", 8},
    {"float32", "F32", "FloatStorage", 4}, {"float64", "F64", "DoubleStorage", 8},
};

std::vector<Int> sizes_of(const json& list, const std::string& where) {
  std::vector<Int> result;
  if (!list.is_array()) refuse("{}: {} is no list", where, shown(list));
  for (const json& one : list) {
    if (!one.is_number_unsigned() || one.get<std::uint64_t>() > INT64_MAX)
      refuse("{}: {} is no size", where, shown(one));
    result.push_back(one.get<Int>());
  }
  return result;
}

State parse_safetensors(std::span<const std::byte> bytes, const std::string& name) {
  std::uint64_t header_bytes = 0;
  if (bytes.size() > sizeof(header_bytes))
    std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (bytes.size() <= sizeof(header_bytes) || bytes[sizeof(header_bytes)] != std::byte{'{'})
    refuse(
        "{}: neither a .pt file of torch 1.6 or newer (save it again: torch.save(torch.load(FILE"
        "), NEW)) nor a .safetensors file",
        name);
  bytes = bytes.subspan(sizeof(header_bytes));
  if (header_bytes > std::min<std::size_t>(bytes.size(), std::size_t{16} << 20))
    refuse("{}: a header of {} bytes, but it is truncated or larger than 16 MiB", name,
           header_bytes);
  const auto* const header = reinterpret_cast<const char*>(bytes.data());
  bytes = bytes.subspan(header_bytes);

  std::map<std::tuple<Int, Int, std::string>, Tensor> placed;  // by begin and end in the data, key
  const json root = parse_json({header, header_bytes}, name, 4, 1'000'000);
  for (const auto& [key, entry] : root.items()) {
    const std::string where = fmt::format("{}: {}", name, shown(key));
    const auto is_text = [](const json& value) { return value.is_string(); };
    if (key == "__metadata__" && entry.is_object() &&
        std::all_of(entry.begin(), entry.end(), is_text))
      continue;
    if (!entry.is_object() || entry.size() != 3 || !is_text(entry.value("dtype", json())))
      refuse("{}: it must have a dtype, a shape and data_offsets", where);
    const std::vector<Int> offsets = sizes_of(entry.value("data_offsets", json()), where);
    const Tensor tensor = {find_dtype(&Dtype::safetensors_name, entry["dtype"].get<std::string>()),
                           sizes_of(entry.value("shape", json()), where),
                           {}};
    if (tensor.dtype == nullptr) refuse("{}: dtype {} is not read", where, shown(entry["dtype"]));
    if (offsets.size() != 2 || offsets[1] < offsets[0] ||
        static_cast<std::size_t>(offsets[1] - offsets[0]) !=
            tensor_bytes(*tensor.dtype, tensor.shape, where))
      refuse("{}: data_offsets {} do not fit its shape", where, shown(entry["data_offsets"]));
    placed.emplace(std::tuple(offsets[0], offsets[1], key), tensor);
  }
  State state;
  std::size_t at = 0;
  for (auto& [place, tensor] : placed) {
    const auto& [begin, end, key] = place;
    if (static_cast<std::size_t>(begin) != at || static_cast<std::size_t>(end) > bytes.size())
      refuse("{}: {}: truncated, or not where the tensor before it ends", name, shown(key));
    const auto data = bytes.subspan(at, static_cast<std::size_t>(end - begin));
    tensor.bytes.assign(data.begin(), data.end());
    at += data.size();
    state.emplace(key, std::move(tensor));
  }
  if (at != bytes.size()) refuse("{}: {} bytes behind the last tensor", name, bytes.size() - at);
  return state;
}

}  // namespace

const Dtype* find_dtype(std::string_view Dtype::*member, std::string_view text) {
  const auto* const found = std::ranges::find(kDtypes, text, member);
  return found == std::end(kDtypes) ? nullptr : found;
}

std::size_t tensor_bytes(const Dtype& dtype, std::span<const Int> shape, const std::string& where) {
  auto bytes = static_cast<double>(dtype.bytes);
  for (const Int size : shape) bytes *= size < 0 ? NAN : static_cast<double>(size);
  if (!(bytes < 0x1p53) || shape.size() > 64)
    refuse("{}: no tensor can have the shape [{}]", where, fmt::join(shape, ", "));
  return static_cast<std::size_t>(bytes);
}

State parse_state(std::span<const std::byte> bytes, const std::string& name) {
  const bool is_zip = bytes.size() > 1 && bytes[0] == std::byte{'P'} && bytes[1] == std::byte{'K'};
  State state = is_zip ? parse_pt(bytes, name) : parse_safetensors(bytes, name);
  if (state.size() > 65536) refuse("{}: more than 65536 tensors", name);
  return state;
}

}  // namespace lockstep::checker
