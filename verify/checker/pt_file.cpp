// .pt: a zip archive with a pickle program, data.pkl, that builds a dictionary of tensors, and an
// entry for each storage. The program runs on a machine that can build numbers, texts, tuples and
// dictionaries, and knows by name what else torch.save writes; there is nothing that it could call.
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>

#include "verify/checker/files.h"
#include "verify/checker/state_file.h"

namespace lockstep::checker {
namespace {

using Entries = std::map<std::string, std::vector<std::byte>>;

// Reads beyond the end, because only there the CRC is compared.
std::vector<std::byte> read_entry(zip_t* archive, zip_uint64_t index, std::size_t size,
                                  const std::string& where) {
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> entry(zip_fopen_index(archive, index, 0),
                                                                zip_fclose);
  std::vector<std::byte> content(size + 1);
  std::size_t at = 0;
  zip_int64_t got = entry ? 1 : -1;
  while (got > 0) {
    got = zip_fread(entry.get(), content.data() + at, content.size() - at);
    at += got > 0 ? static_cast<std::size_t>(got) : 0;
  }
  if (got < 0 || at != size) refuse("{}: damaged, its CRC is wrong or it is truncated", where);
  content.pop_back();
  return content;
}

Entries read_zip(std::span<const std::byte> bytes, const std::string& name) {
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, nullptr);
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(
      zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, nullptr), zip_discard);
  if (!archive) {
    zip_source_free(source);
    refuse("{}: not an intact zip archive", name);
  }
  Entries entries;
  std::size_t left = bytes.size();  // entries that together are larger overlap
  const auto count = static_cast<zip_uint64_t>(zip_get_num_entries(archive.get(), 0));
  for (zip_uint64_t index = 0; index < count; ++index) {
    zip_stat_t status;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(archive.get(), index, ZIP_FL_ENC_RAW, &status) != 0 ||
        (status.valid & kNeeded) != kNeeded)
      refuse("{}: entry {} is damaged", name, index);
    const std::string where = fmt::format("{}: entry {}", name, shown(status.name));
    if (status.comp_method != ZIP_CM_STORE || status.encryption_method != ZIP_EM_NONE ||
        status.size != status.comp_size || status.size > left)
      refuse("{}: compressed, encrypted or larger than the file", where);
    left -= status.size;
    if (!entries.emplace(status.name, read_entry(archive.get(), index, status.size, where)).second)
      refuse("{}: two have this name", where);
  }
  return entries;
}

// Values name each other by index, so that neither cycles nor deep nesting do any harm.
using Id = std::uint32_t;
struct Value {
  // n: what nobody reads (None, a float, a list), b: bool, i: integer, x: text, t: tuple,
  // d: dictionary, o: OrderedDict, f: function, g: storage type, s: storage, v: tensor
  char kind = 'n';
  Int number = 0;              // i; s: its elements; v: its first element
  std::string_view text = {};  // x; f and g: the name; s: the key
  std::vector<Id> items = {};  // t; d and o: keys and values in turn; s: its type; v: storage,
                               // shape, strides
};

class Machine {
 public:
  // Runs the program.
  Machine(std::span<const std::byte> program, const std::string& name)
      : program_(reinterpret_cast<const char*>(program.data()), program.size()), name_(name) {
    while (!has_stopped_) {
      opcode_at_ = at_;
      step(take(1)[0]);
      if (std::max(values_.size(), memo_.size()) > 2'500'000 ||
          std::max(stack_.size(), marks_.size()) > 1'000'000)
        fail("more values than a state dict has");
    }
    if (stack_.size() != 1 || !marks_.empty() || at_ != program_.size())
      fail("the end leaves more or less than one value, or more of the program");
  }
  const Value& operator[](Id id) const { return values_[id]; }
  const Value& result() const { return values_[stack_[0]]; }
  std::vector<Int> integers(Id tuple) const {
    std::vector<Int> result;
    for (const Id id : values_[tuple].items) result.push_back(values_[id].number);
    return result;
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    refuse("{}: data.pkl, byte {}: {}", name_, opcode_at_, reason);
  }

  std::string_view take(std::uint64_t count) {
    if (count > program_.size() - at_) fail("truncated");
    at_ += count;
    return program_.substr(at_ - count, count);
  }
  std::uint64_t take_number(std::size_t bytes) {
    std::uint64_t number = 0;
    if (bytes > sizeof(number)) fail("an integer of more than 64 bits");
    std::memcpy(&number, take(bytes).data(), bytes);
    return number;
  }
  Int take_signed(std::size_t bytes) {  // two's complement
    const std::uint64_t number = take_number(bytes), unused = 64 - 8 * bytes;
    return bytes == 0 ? 0 : static_cast<Int>(number << unused) >> unused;
  }
  std::string_view take_line() {
    const std::string_view line = take(std::min(program_.find('\n', at_), program_.size()) - at_);
    take(1);
    return line;
  }

  void push(Value value) {
    values_.push_back(std::move(value));
    stack_.push_back(static_cast<Id>(values_.size() - 1));
  }
  // Only what lies above the last mark is within reach.
  std::vector<Id> pop(std::size_t count) {
    if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < count) fail("stack underflow");
    const auto first = stack_.end() - static_cast<std::ptrdiff_t>(count);
    std::vector<Id> result(first, stack_.end());
    stack_.erase(first, stack_.end());
    return result;
  }
  std::vector<Id> pop_to_mark() {
    if (marks_.empty()) fail("no mark");
    std::vector<Id> result = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return result;
  }
  Id top() {
    stack_.push_back(pop(1)[0]);
    return stack_.back();
  }
  // The value, which must be of one of these kinds.
  Value& as(std::string_view kinds, Id id) {
    if (kinds.find(values_[id].kind) == std::string_view::npos) fail("a value of the wrong kind");
    return values_[id];
  }
  // A dictionary among them must be empty: hooks and metadata could change what a tensor is.
  void expect(const Value& tuple, std::string_view kinds) {
    if (tuple.items.size() != kinds.size()) fail("a wrong number of arguments");
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      const Value& item = as(kinds[i] == 'd' ? "do" : kinds.substr(i, 1), tuple.items[i]);
      if (kinds[i] == 'd' && !item.items.empty()) fail("hooks or metadata of a tensor");
    }
  }
  void expect_sizes(const Value& tuple) {
    if (tuple.items.size() > 64) fail("a tensor of more than 64 axes");
    expect(tuple, std::string(tuple.items.size(), 'i'));
  }

  void push_global(std::string_view module, std::string_view name) {
    constexpr std::string_view kFunctions =
        " collections.OrderedDict torch._utils._rebuild_tensor_v2 torch._utils._rebuild_parameter "
        "torch.jit._pickle.restore_type_tag ";
    // They may be named, but no tensor of the state dict may lie in one.
    constexpr std::string_view kOtherStorages =
        " HalfStorage BFloat16Storage ComplexFloatStorage ComplexDoubleStorage ";
    const auto is_in = [](std::string_view list, const std::string& text) {
      return text.find(' ') == std::string::npos && list.find(" " + text + " ") != list.npos;
    };
    const std::string text = fmt::format("{}.{}", module, name);
    if (is_in(kFunctions, text)) return push({.kind = 'f', .text = name});
    if (module != "torch" ||
        (find_dtype(&Dtype::storage, name) == nullptr && !is_in(kOtherStorages, std::string(name))))
      fail(fmt::format("global {} is not allowed in a state dict", shown(text)));
    push({.kind = 'g', .text = name});
  }

  void push_storage(const Value& id) {  // ("storage", type, key, place, elements)
    expect(id, "xgxxi");
    if (values_[id.items[0]].text != "storage") fail("no storage");
    push({'s', values_[id.items[4]].number, values_[id.items[2]].text, {id.items[1]}});
  }

  void call() {
    const Value& arguments = as("t", pop(1)[0]);
    const std::string_view function = as("f", pop(1)[0]).text;
    const std::vector<Id>& items = arguments.items;
    if (function == "OrderedDict") {
      expect(arguments, "");
      push({'o'});
    } else if (function == "_rebuild_tensor_v2") {
      // (storage, first element, shape, strides, requires_grad, hooks[, metadata])
      expect(arguments, items.size() == 7 ? "sittbdd" : "sittbd");
      expect_sizes(values_[items[2]]);
      expect_sizes(values_[items[3]]);
      push({'v', values_[items[1]].number, {}, {items[0], items[2], items[3]}});
    } else if (function == "_rebuild_parameter") {
      expect(arguments, "vbd");  // (tensor, requires_grad, hooks)
      stack_.push_back(items[0]);
    } else {  // restore_type_tag (value, type)
      if (items.size() != 2) fail("a wrong number of arguments");
      as("x", items[1]);
      stack_.push_back(items[0]);
    }
  }

  void add_items(const std::vector<Id>& items) {
    std::vector<Id>& all = as("do", top()).items;
    if (items.size() % 2 != 0) fail("a key without a value");
    all.insert(all.end(), items.begin(), items.end());
  }
  void push_memo(std::uint64_t key) {
    if (!memo_.contains(key)) fail("nothing is remembered by this number");
    stack_.push_back(memo_[key]);
  }
  void begin(std::uint64_t protocol) {
    if (opcode_at_ != 0 || protocol < 2 || protocol > 5) fail("protocol other than 2 to 5");
  }

  void step(char opcode) {
    const auto is = [&](std::string_view codes) { return codes.find(opcode) != codes.npos; };
    if (is("\x80")) return begin(take_number(1));
    if (is("\x95")) return static_cast<void>(take(8));  // FRAME: only a hint
    if (is(".")) return static_cast<void>(has_stopped_ = true);
    if (is("(")) return marks_.push_back(stack_.size());
    if (is("N]")) return push({});
    if (is("G")) return take(8), push({});  // BINFLOAT
    if (is("\x88\x89")) return push({'b'});
    if (is("K")) return push({'i', static_cast<Int>(take_number(1))});
    if (is("M")) return push({'i', static_cast<Int>(take_number(2))});
    if (is("J")) return push({'i', take_signed(4)});
    if (is("\x8a")) return push({'i', take_signed(take_number(1))});
    if (is("X")) return push({'x', 0, take(take_number(4))});
    if (is("\x8c")) return push({'x', 0, take(take_number(1))});
    if (is("\x8d")) return push({'x', 0, take(take_number(8))});
    if (is(")")) return push({'t'});
    if (is("\x85\x86\x87"))
      return push({'t', 0, {}, pop(static_cast<std::size_t>(opcode - '\x84'))});
    if (is("t")) return push({'t', 0, {}, pop_to_mark()});
    if (is("a")) return pop(1), static_cast<void>(as("n", top()));  // nobody reads a list
    if (is("e")) return pop_to_mark(), static_cast<void>(as("n", top()));
    if (is("}")) return push({'d'});
    if (is("s")) return add_items(pop(2));
    if (is("u")) return add_items(pop_to_mark());
    if (is("b")) return as("do", pop(1)[0]), static_cast<void>(as("o", top()));  // attributes
    if (is("c")) {
      const std::string_view module = take_line();
      return push_global(module, take_line());
    }
    if (is("\x93")) {
      const std::vector<Id> names = pop(2);
      return push_global(as("x", names[0]).text, as("x", names[1]).text);
    }
    if (is("R")) return call();
    if (is("Q")) return push_storage(as("t", pop(1)[0]));
    if (is("q")) return static_cast<void>(memo_[take_number(1)] = top());
    if (is("r")) return static_cast<void>(memo_[take_number(4)] = top());
    if (is("\x94")) return static_cast<void>(memo_.emplace(memo_.size(), top()));
    if (is("h")) return push_memo(take_number(1));
    if (is("j")) return push_memo(take_number(4));
    fail(fmt::format("opcode 0x{:02x} is not allowed in a state dict", opcode & 0xff));
  }

  std::string_view program_;
  const std::string& name_;
  std::size_t at_ = 0, opcode_at_ = 0;
  bool has_stopped_ = false;
  std::deque<Value> values_;  // where they are, they stay
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Id> memo_;
};

// Appends the elements of `axis` and of those behind it, the first of which is element `from`.
void copy(const std::byte* storage, Tensor& tensor, const std::vector<Int>& strides,
          std::size_t axis, Int from) {
  const auto unit = static_cast<Int>(tensor.dtype->bytes);
  const bool is_row = axis + 1 == strides.size() && strides[axis] == 1;
  if (axis == strides.size() || is_row) {
    const std::byte* const first = storage + from * unit;
    tensor.bytes.insert(tensor.bytes.end(), first,
                        first + (is_row ? tensor.shape[axis] : 1) * unit);
    return;
  }
  for (Int i = 0; i < tensor.shape[axis]; ++i)
    copy(storage, tensor, strides, axis + 1, from + i * strides[axis]);
}

// `left`: so many bytes may still become of views, which can be larger than their storage.
Tensor tensor_of(const Machine& machine, const Value& view, const Entries& entries,
                 const std::string& folder, std::size_t& left, const std::string& where) {
  const Value& storage = machine[view.items[0]];
  Tensor tensor = {find_dtype(&Dtype::storage, machine[storage.items[0]].text),
                   machine.integers(view.items[1]),
                   {}};
  std::vector<Int> strides = machine.integers(view.items[2]);
  if (tensor.dtype == nullptr)
    refuse("{}: {}: save it as float32, tensor.float()", where, machine[storage.items[0]].text);
  const std::size_t bytes = tensor_bytes(*tensor.dtype, tensor.shape, where);
  const auto content = entries.find(fmt::format("{}data/{}", folder, storage.text));
  std::size_t declared = 0;
  if (content == entries.end() || storage.number < 0 ||
      __builtin_mul_overflow(static_cast<std::size_t>(storage.number), tensor.dtype->bytes,
                             &declared) ||
      content->second.size() != declared)
    refuse("{}: its storage is missing, or has another size than is declared", where);
  if (bytes > left) refuse("{}: its tensors are far larger than the file", where);
  left -= bytes;

  Int last = view.number;  // the last element
  bool is_inside = last >= 0 && strides.size() == tensor.shape.size();
  for (std::size_t i = 0; is_inside && i < strides.size(); ++i) {
    if (tensor.shape[i] == 1) strides[i] = 0;  // there is no second element
    Int extent = 0;
    is_inside = strides[i] >= 0 &&
                (bytes == 0 || (!__builtin_mul_overflow(tensor.shape[i] - 1, strides[i], &extent) &&
                                !__builtin_add_overflow(last, extent, &last)));
  }
  if (!is_inside || last > storage.number - (bytes == 0 ? 0 : 1))
    refuse("{}: its elements leave its storage", where);
  tensor.bytes.reserve(bytes);
  if (bytes != 0) copy(content->second.data(), tensor, strides, 0, view.number);
  return tensor;
}

}  // namespace

State parse_pt(std::span<const std::byte> bytes, const std::string& name) {
  const Entries entries = read_zip(bytes, name);
  const auto program = std::ranges::find_if(
      entries, [](const auto& entry) { return entry.first.ends_with("/data.pkl"); });
  if (program == entries.end()) refuse("{}: no data.pkl: not a file that torch.save wrote", name);
  const std::string folder = program->first.substr(0, program->first.rfind('/') + 1);
  std::string version, order = "little";
  for (const auto& [entry, content] : entries) {
    const std::string text(reinterpret_cast<const char*>(content.data()), content.size());
    if (!entry.starts_with(folder) || (entry.ends_with("/data.pkl") && entry != program->first))
      refuse("{}: entry {}: there must be one folder with one data.pkl", name, shown(entry));
    if (entry == folder + "version") version = text;
    if (entry == folder + "byteorder") order = text;
  }
  if (version.find_first_of("123456789") != 0 || order != "little" ||
      version.find_first_not_of("0123456789\n") != std::string::npos)
    refuse("{}: its 'version' must be a number, and its 'byteorder' little", name);

  const Machine machine(program->second, name);
  const Value* dictionary = nullptr;
  const std::vector<Id>& items = machine.result().items;
  if (machine.result().kind != 'd' && machine.result().kind != 'o')
    refuse("{}: its content is not a dictionary of tensors", name);
  for (std::size_t i = 0; i < items.size(); i += 2) {
    const Value &key = machine[items[i]], &value = machine[items[i + 1]];
    if (key.kind != 'x' || key.text != "state_dict" || (value.kind != 'd' && value.kind != 'o'))
      continue;
    if (dictionary != nullptr) refuse("{}: key 'state_dict' occurs twice", name);
    dictionary = &value;
  }
  if (dictionary == nullptr) dictionary = &machine.result();
  State state;
  std::size_t left = 4 * bytes.size() + (std::size_t{64} << 20);
  for (std::size_t i = 0; i < dictionary->items.size(); i += 2) {
    const Value &key = machine[dictionary->items[i]], &value = machine[dictionary->items[i + 1]];
    const std::string where = fmt::format("{}: {}", name, shown(key.text));
    if (key.kind != 'x' || value.kind != 'v') refuse("{}: not a text with a tensor", where);
    if (!state.emplace(key.text, tensor_of(machine, value, entries, folder, left, where)).second)
      refuse("{}: the key occurs twice", where);
  }
  return state;
}

}  // namespace lockstep::checker
