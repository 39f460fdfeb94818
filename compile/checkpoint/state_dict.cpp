#include "compile/checkpoint/state_dict.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "compile/checkpoint/shape.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/printable.h"

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie");

namespace lockstep {
namespace {

struct DtypeFacts {
  Dtype dtype;
  std::size_t bytes;
  std::string_view name;
};
constexpr DtypeFacts kDtypes[] = {
    {Dtype::kBool, 1, "bool"},       {Dtype::kUint8, 1, "uint8"},     {Dtype::kInt8, 1, "int8"},
    {Dtype::kInt16, 2, "int16"},     {Dtype::kInt32, 4, "int32"},     {Dtype::kInt64, 8, "int64"},
    {Dtype::kFloat32, 4, "float32"}, {Dtype::kFloat64, 8, "float64"},
};

const DtypeFacts& facts(Dtype dtype) {
  const auto* const found = std::ranges::find(kDtypes, dtype, &DtypeFacts::dtype);
  LOCKSTEP_ASSERT(found != std::end(kDtypes));
  return *found;
}

template <typename T>
std::vector<T> elements(const Tensor& tensor, Dtype wanted, std::string_view what) {
  if (tensor.dtype != wanted)
    throw InputError(fmt::format("'{}': dtype is {}, but it must be {}", what,
                                 dtype_name(tensor.dtype), dtype_name(wanted)));
  std::vector<T> values(tensor.bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
  return values;
}

// Keys are printed in one-line messages and written as JSON: valid UTF-8 without control
// characters.
bool is_printable_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x20 || lead == 0x7f) return false;
    if (lead < 0x80) continue;
    if (lead < 0xc2 || lead > 0xf4) return false;
    const int following = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    std::uint32_t code = lead & (0x3fu >> following);
    for (int k = 0; k < following; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return false;
      code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3f);
    }
    constexpr std::uint32_t kSmallest[] = {0, 0x80, 0x800, 0x10000};
    if (code < kSmallest[following] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      return false;
  }
  return true;
}

// Torch before 1.6, and _use_new_zipfile_serialization=False after: pickles, the first of which is
// a magic number of ten bytes. Of protocol 4 and up, a frame header comes before it.
bool is_legacy_pt(std::span<const std::byte> file) {
  constexpr std::string_view kMagic(
      "\x8a\x0al\xfc\x9c"
      "F\xf9 j\xa8P\x19.");
  const std::string_view head(reinterpret_cast<const char*>(file.data()),
                              std::min<std::size_t>(file.size(), 32));
  return head.starts_with('\x80') && head.find(kMagic) < 12;
}

}  // namespace

std::optional<std::int64_t> checked_element_count(std::span<const std::int64_t> shape) {
  if (shape.size() > kMaxTensorRank) return std::nullopt;
  std::int64_t count = 1;
  bool is_empty = false;
  for (const std::int64_t dim : shape) {
    if (dim < 0) return std::nullopt;
    if (dim == 0)
      is_empty = true;
    else if (__builtin_mul_overflow(count, dim, &count))
      return std::nullopt;
  }
  return is_empty ? 0 : count;
}

std::size_t byte_size(Dtype dtype) { return facts(dtype).bytes; }
std::string_view dtype_name(Dtype dtype) { return facts(dtype).name; }

std::int64_t Tensor::element_count() const {
  const std::optional<std::int64_t> count = checked_element_count(shape);
  LOCKSTEP_ASSERT(count.has_value());
  return *count;
}

std::vector<float> Tensor::floats(std::string_view what) const {
  return elements<float>(*this, Dtype::kFloat32, what);
}

std::vector<std::int32_t> Tensor::int32s(std::string_view what) const {
  return elements<std::int32_t>(*this, Dtype::kInt32, what);
}

std::vector<std::uint8_t> Tensor::bools(std::string_view what) const {
  std::vector<std::uint8_t> values = elements<std::uint8_t>(*this, Dtype::kBool, what);
  for (const std::uint8_t value : values)
    if (value > 1)
      throw InputError(
          fmt::format("'{}': a bool holds the byte {}, but it must be 0 or 1", what, value));
  return values;
}

void StateDict::add(std::string key, Tensor tensor) {
  LOCKSTEP_ASSERT(static_cast<std::size_t>(tensor.element_count()) * byte_size(tensor.dtype) ==
                  tensor.bytes.size());
  if (key.empty() || !is_printable_utf8(key))
    throw InputError("a state-dict key is empty, not UTF-8, or has control characters");
  if (entries_.size() == kMaxTensors)
    throw InputError(fmt::format("more than {} tensors in one state dict", kMaxTensors));
  if (!index_.emplace(key, entries_.size()).second)
    throw InputError(fmt::format("key '{}' occurs twice", printable(key)));
  entries_.emplace_back(std::move(key), std::move(tensor));
}

const Tensor* StateDict::find(std::string_view key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? nullptr : &entries_[found->second].second;
}

const Tensor& StateDict::at(std::string_view key) const {
  const Tensor* const tensor = find(key);
  if (tensor == nullptr) throw InputError(fmt::format("the state dict has no key '{}'", key));
  return *tensor;
}

StateDict read_state_dict(const std::filesystem::path& path) {
  const std::vector<std::byte> file = read_file(path);
  const std::string name = path.string();
  const auto begins_with = [&](std::string_view magic) {
    return file.size() >= magic.size() && std::memcmp(file.data(), magic.data(), magic.size()) == 0;
  };
  if (file.empty()) throw InputError(fmt::format("{}: the file is empty", name));
  if (begins_with("PK")) return parse_pt(file, name);
  if (is_legacy_pt(file))
    throw InputError(
        fmt::format("{}: the format of torch.save before 1.6 (not a zip archive); load it and save "
                    "it again with torch 1.6 or newer: torch.save(torch.load(FILE), NEW)",
                    name));
  if (file.size() > 8 && file[8] == std::byte{'{'}) return parse_safetensors(file, name);
  throw InputError(
      fmt::format("{}: neither a .pt file (torch.save) nor a .safetensors file", name));
}

}  // namespace lockstep
