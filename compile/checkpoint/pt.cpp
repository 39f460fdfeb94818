// .pt: the zip archive that torch.save and torch::pickle_save write. <name>/data.pkl is a pickle
// program that builds the dictionary (pickle.h), <name>/data/<key> are the storages that its
// tensors view. Every size, offset and stride in the program is checked against the storage before
// anything is copied.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "compile/checkpoint/pickle.h"
#include "compile/checkpoint/shape.h"
#include "compile/checkpoint/state_dict.h"
#include "compile/checkpoint/zip_archive.h"
#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep {
namespace {

using pickle::Dict;
using pickle::Unpickled;

// A tensor as the program describes it; nothing is checked yet.
struct View {
  Dtype dtype;
  std::string storage_key;
  std::int64_t storage_elements;
  std::vector<std::int64_t> shape, strides;  // in elements
  std::int64_t offset;
};

// An axis of size 1 has no second element, so its stride says nothing and becomes 0.
View view_of(const Unpickled& program, const pickle::TensorView& tensor, std::string_view key) {
  const auto& storage = program.at<pickle::Storage>(tensor.storage);
  if (!storage.type.dtype)
    throw InputError(
        fmt::format("'{}': element type {} is not supported; save it as float32: tensor.float()",
                    key, storage.type.name));
  View view{*storage.type.dtype,
            program.at<std::string>(storage.key),
            storage.element_count,
            program.integers(tensor.shape),
            program.integers(tensor.strides),
            tensor.offset};
  for (std::size_t i = 0; i < std::min(view.shape.size(), view.strides.size()); ++i)
    if (view.shape[i] == 1) view.strides[i] = 0;
  return view;
}

// The entries of a .pt file share one folder, whose name is whatever the file was called when
// saved.
class Archive {
 public:
  Archive(std::span<const std::byte> bytes, const std::string& name)
      : entries_(read_zip(bytes, name)), name_(name) {
    constexpr std::string_view kProgram = "/data.pkl";
    for (const auto& [entry, content] : entries_)
      if (entry.ends_with(kProgram)) {
        if (!folder_.empty()) fail("more than one data.pkl");
        folder_ = entry.substr(0, entry.size() - kProgram.size() + 1);
      }
    if (folder_.empty()) fail("no data.pkl: not a file that torch.save wrote");
    for (const auto& [entry, content] : entries_)
      if (!entry.starts_with(folder_))
        fail(fmt::format("an entry outside the folder {}", printable(folder_)));
    check_byte_order();
    check_version();
  }

  const std::vector<std::byte>& program() const {
    return entries_.find(folder_ + "data.pkl")->second;
  }

  const std::vector<std::byte>& storage(const View& view, std::string_view key) const {
    const auto found = entries_.find(fmt::format("{}data/{}", folder_, view.storage_key));
    if (found == entries_.end()) fail(fmt::format("'{}': its storage is missing", key));
    std::size_t wanted = 0;
    if (view.storage_elements < 0 ||
        __builtin_mul_overflow(static_cast<std::size_t>(view.storage_elements),
                               byte_size(view.dtype), &wanted) ||
        wanted != found->second.size())
      fail(fmt::format("'{}': its storage has {} bytes, but {} elements of {} are declared", key,
                       found->second.size(), view.storage_elements, dtype_name(view.dtype)));
    return found->second;
  }

  [[noreturn]] void fail(std::string_view reason) const {
    throw InputError(fmt::format("{}: {}", name_, reason));
  }

 private:
  std::optional<std::string_view> small_text(std::string_view entry) const {
    const auto found = entries_.find(fmt::format("{}{}", folder_, entry));
    if (found == entries_.end()) return std::nullopt;
    return std::string_view(reinterpret_cast<const char*>(found->second.data()),
                            found->second.size());
  }
  // Absent before torch 2.1, which wrote the machine's own order: little on everything it ran on.
  void check_byte_order() const {
    const std::optional<std::string_view> order = small_text("byteorder");
    if (order && *order != "little")
      fail("its byteorder is not 'little', the only one that is read");
  }
  void check_version() const {
    const std::optional<std::string_view> version = small_text("version");
    if (!version) fail("its entry 'version' is missing");
    if (version->empty() || version->front() < '1' || version->front() > '9' ||
        version->find_first_not_of("0123456789\n") != std::string_view::npos)
      fail("its entry 'version' is no number");
  }

  ZipEntries entries_;
  const std::string& name_;
  std::string folder_;  // with the slash
};

// Copies the viewed elements in row-major order; `view` is known to stay inside `storage`.
std::vector<std::byte> gather(const View& view, std::span<const std::byte> storage,
                              std::size_t count) {
  const std::size_t size = byte_size(view.dtype);
  std::vector<std::byte> bytes(count * size);
  if (count == 0) return bytes;

  // The innermost axes that lie densely are copied as one block.
  std::size_t axis = view.shape.size();
  std::int64_t block = 1;
  while (axis > 0 && (view.shape[axis - 1] == 1 || view.strides[axis - 1] == block))
    block *= view.shape[--axis];
  const std::size_t block_bytes = static_cast<std::size_t>(block) * size;

  std::vector<std::int64_t> index(axis, 0);
  std::int64_t from = view.offset;
  for (std::size_t to = 0; to < bytes.size(); to += block_bytes) {
    std::memcpy(bytes.data() + to, storage.data() + static_cast<std::size_t>(from) * size,
                block_bytes);
    for (std::size_t i = axis; i-- > 0;) {
      from += view.strides[i];
      if (++index[i] < view.shape[i]) break;
      from -= view.strides[i] * view.shape[i];
      index[i] = 0;
    }
  }
  return bytes;
}

// Turns views into tensors. `budget_bytes` bounds what views of one storage can expand to together.
class TensorReader {
 public:
  TensorReader(const Archive& archive, std::size_t budget_bytes)
      : archive_(archive), budget_bytes_(budget_bytes) {}

  Tensor read(const View& view, std::string_view key) {
    const std::vector<std::byte>& storage = archive_.storage(view, key);
    const std::optional<std::int64_t> count = checked_element_count(view.shape);
    if (!count || view.strides.size() != view.shape.size())
      archive_.fail(fmt::format("'{}': shape ({}) with strides ({}) is not possible", key,
                                fmt::join(view.shape, ", "), fmt::join(view.strides, ", ")));
    check_bounds(view, *count, key);
    const std::size_t size = byte_size(view.dtype);
    if (static_cast<std::size_t>(*count) > budget_bytes_ / size)
      archive_.fail(fmt::format("'{}': its tensors are far larger than the file", key));
    budget_bytes_ -= static_cast<std::size_t>(*count) * size;
    return {view.dtype, view.shape, gather(view, storage, static_cast<std::size_t>(*count))};
  }

 private:
  void check_bounds(const View& view, std::int64_t count, std::string_view key) const {
    const auto outside = [&] {
      archive_.fail(
          fmt::format("'{}': shape ({}), strides ({}), offset {} leave its storage of {} "
                      "elements",
                      key, fmt::join(view.shape, ", "), fmt::join(view.strides, ", "), view.offset,
                      view.storage_elements));
    };
    if (view.offset < 0) outside();
    std::int64_t last = view.offset;
    for (std::size_t i = 0; i < view.shape.size(); ++i) {
      if (view.strides[i] < 0) outside();
      std::int64_t span = 0;
      if (count > 0 && (__builtin_mul_overflow(view.shape[i] - 1, view.strides[i], &span) ||
                        __builtin_add_overflow(last, span, &last)))
        outside();
    }
    if (count > 0 ? last >= view.storage_elements : view.offset > view.storage_elements) outside();
  }

  const Archive& archive_;
  std::size_t budget_bytes_;
};

// The dictionary of tensors: the root, or what it holds under "state_dict".
const Dict& find_state(const Unpickled& program, const Archive& archive) {
  const Dict* const root = std::get_if<Dict>(&program[program.root]);
  if (root == nullptr) archive.fail("its content is not a dictionary of tensors");
  const Dict* nested = nullptr;
  for (const auto& [key, value] : root->items) {
    const std::string* const name = std::get_if<std::string>(&program[key]);
    if (name == nullptr || *name != "state_dict" || !std::holds_alternative<Dict>(program[value]))
      continue;
    if (nested != nullptr) archive.fail("key 'state_dict' occurs twice");
    nested = &std::get<Dict>(program[value]);
  }
  return nested != nullptr ? *nested : *root;
}

}  // namespace

StateDict parse_pt(std::span<const std::byte> bytes, const std::string& name_for_errors) {
  constexpr std::size_t kExpansion = 4, kSpareBytes = std::size_t{64} << 20;
  const Archive archive(bytes, name_for_errors);
  const Unpickled program = pickle::unpickle(archive.program(), name_for_errors + ": data.pkl");
  TensorReader reader(archive, kExpansion * bytes.size() + kSpareBytes);
  StateDict state(name_for_errors);
  for (const auto& [key, value] : find_state(program, archive).items) {
    const std::string* const name = std::get_if<std::string>(&program[key]);
    if (name == nullptr) archive.fail("a key of the state dict is no text");
    const auto* const tensor = std::get_if<pickle::TensorView>(&program[value]);
    if (tensor == nullptr) archive.fail(fmt::format("key '{}' holds no tensor", printable(*name)));
    try {
      const std::string key_text = printable(*name);
      state.add(*name, reader.read(view_of(program, *tensor, key_text), key_text));
    } catch (const InputError& error) {
      const std::string_view reason = error.what();
      if (reason.starts_with(name_for_errors)) throw;
      archive.fail(reason);
    }
  }
  return state;
}

}  // namespace lockstep
