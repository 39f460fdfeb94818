#include "compile/checkpoint/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "compile/checkpoint/shape.h"
#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep::pickle {
namespace {

constexpr std::size_t kMaxValues = 2'500'000;  // 65,536 tensors need about 1.7 million
constexpr std::size_t kMaxStack = 1'000'000;
constexpr std::size_t kMaxMemo = 2'500'000;

struct NamedGlobal {
  std::string_view module, name;
  Value value;
};

const std::vector<NamedGlobal>& globals() {
  static const std::vector<NamedGlobal> kGlobals = {
      {"collections", "OrderedDict", Global::kOrderedDict},
      {"torch._utils", "_rebuild_tensor_v2", Global::kRebuildTensor},
      {"torch._utils", "_rebuild_parameter", Global::kRebuildParameter},
      {"torch.jit._pickle", "restore_type_tag", Global::kRestoreTypeTag},
  };
  return kGlobals;
}

// The globals torch.<name>.
constexpr StorageType kStorageTypes[] = {
    {Dtype::kFloat32, "FloatStorage"},     {Dtype::kFloat64, "DoubleStorage"},
    {Dtype::kInt64, "LongStorage"},        {Dtype::kInt32, "IntStorage"},
    {Dtype::kInt16, "ShortStorage"},       {Dtype::kInt8, "CharStorage"},
    {Dtype::kUint8, "ByteStorage"},        {Dtype::kBool, "BoolStorage"},
    {std::nullopt, "HalfStorage"},         {std::nullopt, "BFloat16Storage"},
    {std::nullopt, "ComplexFloatStorage"}, {std::nullopt, "ComplexDoubleStorage"},
};

class Machine {
 public:
  Machine(std::span<const std::byte> program, const std::string& name)
      : program_(program), name_(name) {}

  Unpickled run() {
    while (!has_stopped_) {
      opcode_at_ = at_;
      step(std::to_integer<unsigned>(take(1)[0]));
    }
    if (stack_.size() != 1 || !marks_.empty())
      fail("the program ends with a stack of another depth");
    if (at_ != program_.size()) fail("bytes after the end of the program");
    return {std::move(values_), stack_[0]};
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    throw InputError(fmt::format("{}: byte {}: {}", name_, opcode_at_, reason));
  }

  // The program's bytes.
  std::span<const std::byte> take(std::size_t count) {
    if (count > program_.size() - at_) fail("truncated");
    const auto bytes = program_.subspan(at_, count);
    at_ += count;
    return bytes;
  }
  std::uint64_t little_endian(std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, take(bytes).data(), bytes);
    return value;
  }
  std::string text(std::size_t bytes) {
    const auto part = take(bytes);
    return std::string(reinterpret_cast<const char*>(part.data()), part.size());
  }
  std::string line() {
    std::string result;
    for (;;) {
      const char c = static_cast<char>(take(1)[0]);
      if (c == '\n') return result;
      if (result.size() == 256) fail("a global's name is too long");
      result += c;
    }
  }

  // Stack, marks and memo.
  void push_index(ValueIndex index) {
    if (stack_.size() == kMaxStack) fail(fmt::format("a stack of more than {} values", kMaxStack));
    stack_.push_back(index);
  }
  void push(Value value) {
    if (values_.size() == kMaxValues) fail(fmt::format("more than {} values", kMaxValues));
    values_.push_back(std::move(value));
    push_index(static_cast<ValueIndex>(values_.size() - 1));
  }
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  ValueIndex pop() {
    if (stack_.size() <= floor()) fail("stack underflow");
    const ValueIndex index = stack_.back();
    stack_.pop_back();
    return index;
  }
  ValueIndex top() const {
    if (stack_.size() <= floor()) fail("stack underflow");
    return stack_.back();
  }
  std::vector<ValueIndex> pop_to_mark() {
    if (marks_.empty()) fail("no mark");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<ValueIndex> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  void pop_tuple(std::size_t count) {
    Tuple tuple;
    tuple.items.resize(count);
    for (std::size_t i = count; i-- > 0;) tuple.items[i] = pop();
    push(std::move(tuple));
  }
  void memoize(std::uint64_t key) {
    const ValueIndex index = top();
    if (memo_.size() == kMaxMemo) fail(fmt::format("more than {} memo entries", kMaxMemo));
    memo_[static_cast<std::uint32_t>(key)] = index;
  }
  void push_memo(std::uint64_t key) {
    const auto found = memo_.find(static_cast<std::uint32_t>(key));
    if (found == memo_.end()) fail(fmt::format("memo entry {} was never written", key));
    push_index(found->second);
  }

  // Typed access.
  template <typename T>
  T& as(ValueIndex index, std::string_view what) {
    T* const value = std::get_if<T>(&values_[index]);
    if (value == nullptr) fail(fmt::format("{} expected", what));
    return *value;
  }
  // Many tensors may name one tuple, which is checked for each of them: it must be short.
  ValueIndex integer_tuple(ValueIndex index, std::string_view what) {
    const std::vector<ValueIndex>& items = as<Tuple>(index, what).items;
    if (items.size() > kMaxTensorRank)
      fail(fmt::format("{} of {} integers, but at most {} are allowed", what, items.size(),
                       kMaxTensorRank));
    for (const ValueIndex item : items) as<std::int64_t>(item, what);
    return index;
  }

  void push_global(const std::string& module, const std::string& global) {
    for (const NamedGlobal& known : globals())
      if (known.module == module && known.name == global) return push(known.value);
    for (const StorageType& known : kStorageTypes)
      if (module == "torch" && known.name == global) return push(known);
    if (module == "torch" && global.ends_with("Storage"))
      fail(fmt::format("element type {} is not supported", printable(global)));
    fail(fmt::format("global '{}.{}' is not allowed in a state dict", printable(module),
                     printable(global)));
  }
  void add_items(ValueIndex target, std::span<const ValueIndex> items) {
    if (items.size() % 2 != 0) fail("a dict item without a value");
    Dict& dict = as<Dict>(target, "a dict");
    for (std::size_t i = 0; i < items.size(); i += 2)
      dict.items.emplace_back(items[i], items[i + 1]);
  }

  // ("storage", torch.FloatStorage, key, location, element count)
  void push_storage(ValueIndex persistent_id) {
    const std::vector<ValueIndex>& id = as<Tuple>(persistent_id, "a persistent id").items;
    if (id.size() != 5 || as<std::string>(id[0], "a persistent id") != "storage")
      fail("a persistent id that names no storage");
    as<std::string>(id[3], "a storage location");
    as<std::string>(id[2], "a storage key");
    push(Storage{as<StorageType>(id[1], "a storage type"), id[2],
                 as<std::int64_t>(id[4], "a storage size")});
  }

  // (storage, offset, size, stride, requires_grad, backward_hooks[, metadata])
  void push_tensor(const std::vector<ValueIndex>& arguments) {
    if (arguments.size() != 6 && arguments.size() != 7)
      fail("a tensor of 6 or 7 arguments expected");
    as<bool>(arguments[4], "requires_grad");
    check_no_hooks(arguments[5]);
    // The metadata can say that the tensor is negated or conjugated.
    if (arguments.size() == 7 && !as<Dict>(arguments[6], "tensor metadata").items.empty())
      fail("a tensor with metadata is not supported");
    as<Storage>(arguments[0], "a storage");
    push(TensorView{.storage = arguments[0],
                    .shape = integer_tuple(arguments[2], "a tensor size"),
                    .strides = integer_tuple(arguments[3], "a tensor stride"),
                    .offset = as<std::int64_t>(arguments[1], "a storage offset")});
  }
  void check_no_hooks(ValueIndex hooks) {
    if (!as<Dict>(hooks, "backward hooks").items.empty()) fail("backward hooks are not supported");
  }

  void reduce() {
    const ValueIndex arguments_index = pop();
    const Global function = as<Global>(pop(), "a function that is allowed here");
    const std::vector<ValueIndex> arguments = as<Tuple>(arguments_index, "arguments").items;
    switch (function) {
      case Global::kOrderedDict:
        if (!arguments.empty()) fail("OrderedDict with arguments");
        return push(Dict{.is_ordered = true, .items = {}});
      case Global::kRebuildTensor:
        return push_tensor(arguments);
      case Global::kRebuildParameter:  // (tensor, requires_grad, backward_hooks)
        if (arguments.size() != 3) fail("a parameter of 3 arguments expected");
        as<TensorView>(arguments[0], "a tensor");
        check_no_hooks(arguments[2]);
        return push_index(arguments[0]);
      case Global::kRestoreTypeTag:  // (value, type as text): the value
        if (arguments.size() != 2) fail("a type tag of 2 arguments expected");
        as<std::string>(arguments[1], "a type");
        return push_index(arguments[0]);
    }
  }

  void step(unsigned opcode) {
    switch (opcode) {
      case 0x80: {  // PROTO
        const std::uint64_t protocol = little_endian(1);
        if (opcode_at_ != 0 || protocol < 2 || protocol > 5)
          fail(fmt::format("pickle protocol {}, but 2 to 5 are supported", protocol));
        return;
      }
      case 0x95:
        take(8);
        return;  // FRAME: only a hint for buffering
      case '.':
        has_stopped_ = true;
        return;  // STOP
      case '(':  // MARK
        if (marks_.size() == kMaxStack) fail(fmt::format("more than {} marks", kMaxStack));
        return marks_.push_back(stack_.size());
      case 'N':
        return push(None{});
      case 0x88:
        return push(true);
      case 0x89:
        return push(false);
      case 'K':
        return push(static_cast<std::int64_t>(little_endian(1)));  // BININT1
      case 'M':
        return push(static_cast<std::int64_t>(little_endian(2)));  // BININT2
      case 'J':                                                    // BININT
        return push(std::int64_t{
            std::bit_cast<std::int32_t>(static_cast<std::uint32_t>(little_endian(4)))});
      case 0x8a: {  // LONG1: two's complement of any length
        const auto bytes = static_cast<std::size_t>(little_endian(1));
        if (bytes > 8) fail("an integer of more than 64 bits");
        const std::uint64_t raw = bytes == 0 ? 0 : little_endian(bytes);
        const unsigned unused = bytes == 0 ? 0 : static_cast<unsigned>(64 - 8 * bytes);
        return push(static_cast<std::int64_t>(raw << unused) >> unused);
      }
      case 'G': {  // BINFLOAT: big endian
        const std::uint64_t raw = little_endian(8);
        return push(std::bit_cast<double>(__builtin_bswap64(raw)));
      }
      case 'X':
        return push(text(little_endian(4)));  // BINUNICODE
      case 0x8c:
        return push(text(little_endian(1)));  // SHORT_BINUNICODE
      case 0x8d:
        return push(text(little_endian(8)));  // BINUNICODE8
      case ')':
        return push(Tuple{});
      case 0x85:
        return pop_tuple(1);
      case 0x86:
        return pop_tuple(2);
      case 0x87:
        return pop_tuple(3);
      case 't': {  // TUPLE
        std::vector<ValueIndex> items = pop_to_mark();
        return push(Tuple{std::move(items)});
      }
      case ']':
        return push(List{});
      case 'a': {  // APPEND
        const ValueIndex item = pop();
        as<List>(top(), "a list").items.push_back(item);
        return;
      }
      case 'e': {  // APPENDS
        const std::vector<ValueIndex> items = pop_to_mark();
        List& list = as<List>(top(), "a list");
        list.items.insert(list.items.end(), items.begin(), items.end());
        return;
      }
      case '}':
        return push(Dict{});
      case 's': {  // SETITEM
        const ValueIndex value = pop(), key = pop();
        const ValueIndex item[] = {key, value};
        return add_items(top(), item);
      }
      case 'u': {  // SETITEMS
        const std::vector<ValueIndex> items = pop_to_mark();
        return add_items(top(), items);
      }
      case 'b':  // BUILD: only the attributes of an OrderedDict (_metadata), which nobody reads
        as<Dict>(pop(), "attributes");
        if (!as<Dict>(top(), "an OrderedDict").is_ordered) fail("attributes of a plain dict");
        return;
      case 'c': {  // GLOBAL
        const std::string module = line();
        return push_global(module, line());
      }
      case 0x93: {  // STACK_GLOBAL
        const ValueIndex name = pop(), module = pop();
        const std::string module_text = as<std::string>(module, "a module's name");
        return push_global(module_text, as<std::string>(name, "a global's name"));
      }
      case 'R':
        return reduce();
      case 'Q':
        return push_storage(pop());  // BINPERSID
      case 'q':
        return memoize(little_endian(1));
      case 'r':
        return memoize(little_endian(4));
      case 0x94:
        return memoize(memo_.size());  // MEMOIZE
      case 'h':
        return push_memo(little_endian(1));
      case 'j':
        return push_memo(little_endian(4));
      default:
        fail(fmt::format("pickle opcode 0x{:02x} is not allowed in a state dict", opcode));
    }
  }

  std::span<const std::byte> program_;
  const std::string& name_;
  std::size_t at_ = 0, opcode_at_ = 0;
  bool has_stopped_ = false;
  std::deque<Value> values_;  // does not move its elements when it grows
  std::vector<ValueIndex> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, ValueIndex> memo_;  // looked up, never iterated
};

}  // namespace

std::vector<std::int64_t> Unpickled::integers(ValueIndex tuple) const {
  std::vector<std::int64_t> result;
  for (const ValueIndex item : at<Tuple>(tuple).items) result.push_back(at<std::int64_t>(item));
  return result;
}

Unpickled unpickle(std::span<const std::byte> program, const std::string& name_for_errors) {
  return Machine(program, name_for_errors).run();
}

}  // namespace lockstep::pickle
