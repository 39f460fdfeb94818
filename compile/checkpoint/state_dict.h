// A state dict: named tensors in the order of the file (of their data in a .safetensors file). The
// contract between training and everything after it (key names: docs/formats.md).
//
// Reading needs no LibTorch and runs no code. `.pt` is the zip archive that torch.save writes; our
// own reader accepts STORED entries only, checks every CRC, and interprets a whitelist of pickle
// opcodes (plain dict, OrderedDict with or without metadata, the same nested under "state_dict",
// and the c10::Dict that C++ torch::pickle_save writes). `.safetensors` is the published format,
// read strictly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

enum class Dtype : std::uint8_t {
  kBool,
  kUint8,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat32,
  kFloat64
};

std::size_t byte_size(Dtype dtype);
std::string_view dtype_name(Dtype dtype);  // "bool", "int32", "float32", ... as NumPy says it

// Contiguous, row-major, little endian. A rank-0 tensor has an empty shape and one element.
struct Tensor {
  Dtype dtype = Dtype::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::int64_t element_count() const;
  // The elements. InputError names `what` (the key) when the dtype is another.
  std::vector<float> floats(std::string_view what) const;         // kFloat32
  std::vector<std::int32_t> int32s(std::string_view what) const;  // kInt32
  std::vector<std::uint8_t> bools(std::string_view what) const;   // kBool, 0 or 1
};

class StateDict {
 public:
  using Entry = std::pair<std::string, Tensor>;

  StateDict() = default;
  // `name` is the file's; messages of those who use the state dict begin with it.
  explicit StateDict(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }

  // Appends. InputError when the key is there already, or is empty, not UTF-8 or has control
  // characters.
  void add(std::string key, Tensor tensor);
  const Tensor* find(std::string_view key) const;  // nullptr when absent
  const Tensor& at(std::string_view key) const;    // InputError naming the key when absent
  std::span<const Entry> entries() const { return entries_; }

 private:
  std::string name_;
  std::vector<Entry> entries_;
  std::map<std::string, std::size_t, std::less<>> index_;  // of `entries_`, by key
};

// By content, not by file name. InputError: the path, the entry and the reason.
StateDict read_state_dict(const std::filesystem::path& path);
StateDict parse_safetensors(std::span<const std::byte> bytes, const std::string& name_for_errors);
StateDict parse_pt(std::span<const std::byte> bytes, const std::string& name_for_errors);

// Deterministic bytes; entries stay in order. Same inputs, same file.
std::vector<std::byte> to_safetensors(const StateDict& state);
// A zip archive that torch.load reads, with weights_only=True, too, as a dict of tensors.
std::vector<std::byte> to_pt(const StateDict& state);

}  // namespace lockstep
