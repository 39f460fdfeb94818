// Writes .pt: a plain dictionary of tensors, each contiguous and with a storage of its own. The
// pickle program (see pickle.h) uses nothing but what torch.load allows with weights_only=True, its
// default since torch 2.6; the type tags of torch::pickle_save are not allowed there.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <string_view>

#include "compile/checkpoint/state_dict.h"
#include "compile/checkpoint/zip_archive.h"
#include "compile/support/error.h"

namespace lockstep {
namespace {

constexpr std::string_view kFolder = "archive/";

std::string_view storage_name(Dtype dtype) {
  switch (dtype) {
    case Dtype::kBool:
      return "BoolStorage";
    case Dtype::kUint8:
      return "ByteStorage";
    case Dtype::kInt8:
      return "CharStorage";
    case Dtype::kInt16:
      return "ShortStorage";
    case Dtype::kInt32:
      return "IntStorage";
    case Dtype::kInt64:
      return "LongStorage";
    case Dtype::kFloat32:
      return "FloatStorage";
    case Dtype::kFloat64:
      return "DoubleStorage";
  }
  LOCKSTEP_ASSERT(false);
  return {};
}

class Program {
 public:
  Program() { program_ = "\x80\x02}("; }  // PROTO 2, EMPTY_DICT, MARK

  // One item of the dictionary; data/<index> is the tensor's storage.
  void add(const std::string& key, const Tensor& tensor, std::size_t index) {
    const std::int64_t count = tensor.element_count();
    text(key);
    global("torch._utils", "_rebuild_tensor_v2");
    program_ += '(';
    program_ += '(';
    text("storage");
    global("torch", storage_name(tensor.dtype));
    text(std::to_string(index));
    text("cpu");
    integer(count);
    program_ += "tQ";  // TUPLE, BINPERSID
    integer(0);        // the offset
    tuple(tensor.shape);
    tuple(contiguous_strides(tensor.shape));
    program_ += '\x89';  // no gradient
    global("collections", "OrderedDict");
    program_ += ")RtR";  // no hooks; the tensor
  }

  std::string finish() && { return std::move(program_) + "u."; }  // SETITEMS, STOP

 private:
  void little_endian(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) program_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  void integer(std::int64_t value) {
    if (value < 256) {
      program_ += 'K';
      little_endian(static_cast<std::uint64_t>(value), 1);
    } else {
      program_ += "\x8a\x08";
      little_endian(static_cast<std::uint64_t>(value), 8);
    }
  }
  void text(std::string_view value) {
    program_ += 'X';
    little_endian(value.size(), 4);
    program_ += value;
  }
  void tuple(std::span<const std::int64_t> values) {
    program_ += '(';
    for (const std::int64_t value : values) integer(value);
    program_ += 't';
  }
  // By name once, and from the memo after that.
  void global(std::string_view module, std::string_view name) {
    const auto [place, is_new] = memo_.try_emplace(name, memo_.size());
    if (is_new) program_ += fmt::format("c{}\n{}\n", module, name);
    program_ += is_new ? 'q' : 'h';
    little_endian(place->second, 1);
  }

  static std::vector<std::int64_t> contiguous_strides(const std::vector<std::int64_t>& shape) {
    std::vector<std::int64_t> strides(shape.size());
    std::int64_t stride = 1;
    for (std::size_t i = shape.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= std::max<std::int64_t>(shape[i], 1);
    }
    return strides;
  }

  std::string program_;
  std::map<std::string_view, std::size_t> memo_;  // of names that live for ever
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

std::vector<std::byte> to_pt(const StateDict& state) {
  Program program;
  std::size_t index = 0;
  for (const auto& [key, tensor] : state.entries()) program.add(key, tensor, index++);
  const std::string data_pkl = std::move(program).finish();

  std::vector<ZipInput> entries = {{fmt::format("{}data.pkl", kFolder), bytes_of(data_pkl)},
                                   {fmt::format("{}byteorder", kFolder), bytes_of("little")}};
  index = 0;
  for (const auto& [key, tensor] : state.entries())
    entries.push_back({fmt::format("{}data/{}", kFolder, index++), tensor.bytes});
  entries.push_back({fmt::format("{}version", kFolder), bytes_of("3\n")});
  return to_zip(entries);
}

}  // namespace lockstep
