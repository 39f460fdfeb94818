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

// By name, without the one folder that all are in.
using Entries = std::map<std::string, std::string>;

Entries read_zip(std::span<const std::byte> bytes, const std::string& name) {
  zip_source_t* const source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, nullptr);
  const std::unique_ptr<zip_t, void (*)(zip_t*)> archive(
      zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, nullptr), zip_discard);
  if (!archive) zip_source_free(source);
  Entries entries;
  std::string folder;
  std::size_t left = bytes.size();  // entries that together are larger overlap
  const zip_int64_t count = archive ? zip_get_num_entries(archive.get(), 0) : 0;
  if (count == 0) refuse("{}: not an intact zip archive with entries", name);
  for (zip_uint64_t index = 0; index < static_cast<zip_uint64_t>(count); ++index) {
    zip_stat_t status;
    constexpr zip_uint64_t kNeeded = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                                     ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if (zip_stat_index(archive.get(), index, ZIP_FL_ENC_RAW, &status) != 0 ||
        (status.valid & kNeeded) != kNeeded || status.comp_method != ZIP_CM_STORE ||
        status.encryption_method != ZIP_EM_NONE || status.size != status.comp_size ||
        status.size > left)
      refuse("{}: entry {}: damaged, compressed or encrypted", name, index);
    left -= status.size;
    const std::string entry = status.name;
    if (index == 0) folder = entry.substr(0, entry.find('/') + 1);
    if (folder.empty() || !entry.starts_with(folder))
      refuse("{}: entry {}: there must be one folder", name, shown(entry));

    const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(
        zip_fopen_index(archive.get(), index, 0), zip_fclose);
    std::string content(status.size, '\0');
    char behind = 0;  // only where nothing more can be read the CRC is compared
    if (!file ||
        zip_fread(file.get(), content.data(), status.size) !=
            static_cast<zip_int64_t>(status.size) ||
        zip_fread(file.get(), &behind, 1) != 0 ||
        !entries.emplace(entry.substr(folder.size()), std::move(content)).second)
      refuse("{}: entry {}: there twice, or its CRC or size is wrong", name, shown(entry));
  }
  return entries;
}

// Values name each other by index, so that neither cycles nor deep nesting do any harm.
using Id = std::uint32_t;
struct Value {
  // n: what nobody reads (None, a float, a list), b: bool, i: integer, x: text, t: tuple,
  // d: dictionary, f: function, g: storage type, s: storage, v: tensor
  char kind = 'n';
  Int number = 0;              // i; d: 1 if ordered; s: its elements; v: its first element
  std::string_view text = {};  // x; f and g: the name; s: the key
  std::vector<Id> items = {};  // t; d: keys and values in turn; s: type; v: storage, shape, strides
};

class Machine {
 public:
  // Runs the program.
  Machine(std::string_view program, const std::string& name) : program_(program), name_(name) {
    for (char opcode = take(1)[0]; opcode != '.'; opcode = take(1)[0]) {
      step(opcode);
      if (std::max(values_.size(), memo_.size()) > 2'500'000 ||
          std::max(stack_.size(), marks_.size()) > 1'000'000)
        fail("more values than a state dict has");
    }
    if (stack_.size() != 1 || !marks_.empty() || at_ != program_.size())
      fail("the end leaves more or less than one value, or more of the program");
  }
  const Value& operator[](Id id) const { return values_[id]; }
  Id result() const { return stack_[0]; }
  std::vector<Int> integers(Id tuple) const {
    std::vector<Int> result;
    for (const Id id : values_[tuple].items) result.push_back(values_[id].number);
    return result;
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const {
    refuse("{}: data.pkl, before byte {}: {}", name_, at_, reason);
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
    const std::vector<Id> result(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return result;
  }
  std::vector<Id> pop_to_mark() {
    if (marks_.empty()) fail("no mark");
    const std::vector<Id> result = pop(stack_.size() - marks_.back());
    marks_.pop_back();
    return result;
  }
  Id top() {
    stack_.push_back(pop(1)[0]);
    return stack_.back();
  }
  Value& as(char kind, Id id) {
    if (values_[id].kind != kind) fail("a value of the wrong kind");
    return values_[id];
  }
  // A dictionary among them must be empty: hooks and metadata could change what a tensor is.
  void expect(const std::vector<Id>& items, std::string_view kinds) {
    if (items.size() != kinds.size()) fail("a wrong number of values");
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if (as(kinds[i], items[i]).kind == 'd' && !values_[items[i]].items.empty())
        fail("hooks or metadata of a tensor");
  }

  void push_global(std::string_view module, std::string_view name) {
    constexpr std::string_view kFunctions =
        "collections.OrderedDict torch._utils._rebuild_tensor_v2 torch._utils._rebuild_parameter "
        "torch.jit._pickle.restore_type_tag";
    // They may be named, but no tensor of the state dict may lie in one.
    constexpr std::string_view kOtherStorages =
        "HalfStorage BFloat16Storage ComplexFloatStorage ComplexDoubleStorage";
    const bool is_storage = module == "torch" && (find_dtype(&Dtype::storage, name) != nullptr ||
                                                  has_word(kOtherStorages, name));
    if (!is_storage && !has_word(kFunctions, fmt::format("{}.{}", module, name)))
      fail(fmt::format("global {}.{} is not allowed here", shown(module), shown(name)));
    push({is_storage ? 'g' : 'f', 0, name});
  }
  void push_storage(const std::vector<Id>& id) {  // ("storage", type, key, place, elements)
    expect(id, "xgxxi");
    if (values_[id[0]].text != "storage") fail("no storage");
    push({'s', values_[id[4]].number, values_[id[2]].text, {id[1]}});
  }
  void call(std::string_view function, const std::vector<Id>& items) {
    if (function == "OrderedDict") {
      expect(items, "");
      push({'d', 1});
    } else if (function == "_rebuild_tensor_v2") {
      // (storage, first element, shape, strides, requires_grad, hooks[, metadata])
      expect(items, items.size() == 7 ? "sittbdd" : "sittbd");
      for (const Id tuple : {items[2], items[3]})
        expect(values_[tuple].items,
               std::string(std::min<std::size_t>(values_[tuple].items.size(), 64), 'i'));
      push({'v', values_[items[1]].number, {}, {items[0], items[2], items[3]}});
    } else if (function == "_rebuild_parameter") {
      expect(items, "vbd");  // (tensor, requires_grad, hooks)
      stack_.push_back(items[0]);
    } else {  // restore_type_tag(value, type)
      if (items.size() != 2) fail("a wrong number of values");
      as('x', items[1]);
      stack_.push_back(items[0]);
    }
  }
  void add_items(const std::vector<Id>& items) {
    std::vector<Id>& all = as('d', top()).items;
    if (items.size() % 2 != 0) fail("a key without a value");
    all.insert(all.end(), items.begin(), items.end());
  }
  void remember(std::uint64_t key) { memo_[key] = top(); }
  void recall(std::uint64_t key) {
    if (!memo_.contains(key)) fail("nothing is remembered by this number");
    stack_.push_back(memo_[key]);
  }

  void step(char opcode) {
    const auto is = [&](std::string_view codes) { return codes.find(opcode) != codes.npos; };
    if (is("(")) return marks_.push_back(stack_.size());
    if (is("N]")) return push({});
    if (is("\x88\x89")) return push({'b'});
    if (is("K")) return push({'i', static_cast<Int>(take_number(1))});
    if (is("M")) return push({'i', static_cast<Int>(take_number(2))});
    if (is("J")) return push({'i', take_signed(4)});
    if (is("\x8a")) return push({'i', take_signed(take_number(1))});
    if (is("X\x8c\x8d")) return push({'x', 0, take(take_number(is("X") ? 4 : is("\x8c") ? 1 : 8))});
    if (is(")")) return push({'t'});
    if (is("\x85\x86\x87")) return push({'t', 0, {}, pop(opcode & 3U)});
    if (is("t")) return push({'t', 0, {}, pop_to_mark()});
    if (is("}")) return push({'d'});
    if (is("s")) return add_items(pop(2));
    if (is("u")) return add_items(pop_to_mark());
    if (is("Q")) return push_storage(as('t', pop(1)[0]).items);
    if (is("q\x94r")) return remember(is("\x94") ? memo_.size() : take_number(is("q") ? 1 : 4));
    if (is("hj")) return recall(take_number(is("h") ? 1 : 4));
    if (is("\x80")) {  // PROTO
      const std::uint64_t protocol = take_number(1);
      if (at_ != 2 || protocol < 2 || protocol > 5) fail("a protocol other than 2 to 5");
    } else if (is("\x95")) {  // FRAME, only a hint
      take(8);
    } else if (is("G")) {  // BINFLOAT
      take(8);
      push({});
    } else if (is("ae")) {  // APPEND, APPENDS: nobody reads what is in a list
      is("a") ? pop(1) : pop_to_mark();
      as('n', top());
    } else if (is("b")) {  // BUILD: the attributes of an OrderedDict, which nobody reads
      as('d', pop(1)[0]);
      if (as('d', top()).number != 1) fail("attributes of a plain dictionary");
    } else if (is("c")) {  // GLOBAL
      const std::string_view module = take_line();
      push_global(module, take_line());
    } else if (is("\x93R")) {  // STACK_GLOBAL, REDUCE
      const std::vector<Id> both = pop(2);
      if (is("R")) return call(as('f', both[0]).text, as('t', both[1]).items);
      push_global(as('x', both[0]).text, as('x', both[1]).text);
    } else {
      fail(fmt::format("opcode 0x{:02x} is not allowed here", opcode & 0xff));
    }
  }

  std::string_view program_;
  const std::string& name_;
  std::size_t at_ = 0;
  std::deque<Value> values_;  // where they are, they stay
  std::vector<Id> stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Id> memo_;
};

// `left`: so many bytes may still become of views, which can be larger than their storage.
Tensor tensor_of(const Machine& machine, const Value& view, const Entries& entries,
                 std::size_t& left, const std::string& where) {
  const Value& storage = machine[view.items[0]];
  const std::string_view type = machine[storage.items[0]].text;
  const std::vector<Int> strides = machine.integers(view.items[2]);
  Tensor tensor = {find_dtype(&Dtype::storage, type), machine.integers(view.items[1]), {}};
  if (tensor.dtype == nullptr) refuse("{}: {}: save it as float32, tensor.float()", where, type);
  const auto content = entries.find(fmt::format("data/{}", storage.text));
  // Sizes as doubles: they cannot overflow, and are exact as far as files reach.
  const auto elements = static_cast<double>(storage.number);
  if (content == entries.end() || elements * static_cast<double>(tensor.dtype->bytes) !=
                                      static_cast<double>(content->second.size()))
    refuse("{}: its storage is missing, or has another size than is declared", where);
  const std::size_t bytes = tensor_bytes(*tensor.dtype, tensor.shape, where);
  if (bytes > left) refuse("{}: its tensors are far larger than the file", where);
  left -= bytes;
  bool is_inside = view.number >= 0 && strides.size() == tensor.shape.size();
  double end = static_cast<double>(view.number) + (bytes == 0 ? 0 : 1);
  for (std::size_t i = 0; is_inside && i < strides.size(); ++i) {
    if (bytes != 0)
      end += static_cast<double>(tensor.shape[i] - 1) * static_cast<double>(strides[i]);
    is_inside = strides[i] >= 0 || tensor.shape[i] == 1;  // of one element it means nothing
  }
  if (!is_inside || end > elements) refuse("{}: its elements leave its storage", where);
  const std::size_t unit = tensor.dtype->bytes;
  tensor.bytes.resize(bytes);
  for (std::size_t i = 0; i < bytes / unit; ++i) {
    Int from = view.number, left_over = static_cast<Int>(i);
    for (std::size_t axis = strides.size(); axis-- > 0; left_over /= tensor.shape[axis])
      from += left_over % tensor.shape[axis] * strides[axis];
    std::memcpy(&tensor.bytes[i * unit], &content->second[at(from) * unit], unit);
  }
  return tensor;
}

}  // namespace

State parse_pt(std::span<const std::byte> bytes, const std::string& name) {
  Entries entries = read_zip(bytes, name);
  const std::string version = entries["version"];
  if (version.find_first_of("123456789") != 0 ||
      version.find_first_not_of("0123456789\n") != version.npos ||
      entries.emplace("byteorder", "little").first->second != "little")
    refuse("{}: its 'version' must be a number, and its 'byteorder' little", name);
  const Machine machine(entries["data.pkl"], name);
  const Value* state_dict = &machine[machine.result()];
  if (state_dict->kind != 'd') refuse("{}: its content is not a dictionary of tensors", name);
  const std::vector<Id>& items = state_dict->items;
  for (std::size_t i = 0; i < items.size(); i += 2)
    if (machine[items[i]].text == "state_dict" && machine[items[i]].kind == 'x' &&
        machine[items[i + 1]].kind == 'd') {
      if (&state_dict->items != &items) refuse("{}: key 'state_dict' occurs twice", name);
      state_dict = &machine[items[i + 1]];
    }
  State state;
  std::size_t left = 4 * bytes.size() + (std::size_t{64} << 20);
  for (std::size_t i = 0; i < state_dict->items.size(); i += 2) {
    const Value &key = machine[state_dict->items[i]], &value = machine[state_dict->items[i + 1]];
    const std::string where = fmt::format("{}: {}", name, shown(key.text));
    if (key.kind != 'x' || value.kind != 'v') refuse("{}: not a text with a tensor", where);
    if (!state.emplace(key.text, tensor_of(machine, value, entries, left, where)).second)
      refuse("{}: the key occurs twice", where);
  }
  return state;
}

}  // namespace lockstep::checker
