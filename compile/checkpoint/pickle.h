// A pickle machine that can build tensors and nothing else. Internal to compile/checkpoint.
//
// Pickle is a program for a stack machine, and Python's runs any function that the program names.
// This one knows the opcodes that torch.save and torch::pickle_save write and a few harmless
// globals; anything else is refused. Values live in one arena and refer to each other by index, so
// that neither cycles nor deep nesting can leak or exhaust the call stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "compile/checkpoint/state_dict.h"

namespace lockstep::pickle {

using ValueIndex = std::uint32_t;

enum class Global : std::uint8_t {
  kOrderedDict,       // collections.OrderedDict
  kRebuildTensor,     // torch._utils._rebuild_tensor_v2
  kRebuildParameter,  // torch._utils._rebuild_parameter
  kRestoreTypeTag,    // torch.jit._pickle.restore_type_tag
};

struct None {};
struct Tuple {
  std::vector<ValueIndex> items;
};
struct List {
  std::vector<ValueIndex> items;
};
struct Dict {
  bool is_ordered = false;  // an OrderedDict; BUILD gives it attributes
  std::vector<std::pair<ValueIndex, ValueIndex>> items;
};
// torch.FloatStorage and its like: the element type. Empty for one that a state dict here cannot
// have (float16, say): who reads the tensor can name its key, the machine cannot.
struct StorageType {
  std::optional<Dtype> dtype;
  std::string_view name;  // torch's; of static duration
};
// What a persistent id names: the entry data/<key> of the archive.
struct Storage {
  StorageType type;
  ValueIndex key;  // a text
  std::int64_t element_count;
};
// A view of a storage, in elements. Not yet checked against the archive.
struct TensorView {
  ValueIndex storage;         // a Storage
  ValueIndex shape, strides;  // tuples of integers
  std::int64_t offset;
};

// Small, because a hostile program makes millions of them.
using Value = std::variant<None, bool, std::int64_t, double, std::string, Tuple, List, Dict, Global,
                           StorageType, Storage, TensorView>;

struct Unpickled {
  std::deque<Value> values;
  ValueIndex root;
  const Value& operator[](ValueIndex index) const { return values[index]; }
  // The value at `index`, whose kind the machine has checked.
  template <typename T>
  const T& at(ValueIndex index) const {
    return std::get<T>(values[index]);
  }
  std::vector<std::int64_t> integers(ValueIndex tuple) const;
};

// InputError begins with `name_for_errors` and gives the byte at which the program is refused.
Unpickled unpickle(std::span<const std::byte> program, const std::string& name_for_errors);

}  // namespace lockstep::pickle
