#include "verify/c_proof/c_proof.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "verify/c_proof/functions.h"
#include "verify/c_proof/interface.h"
#include "verify/c_proof/machine.h"
#include "verify/plan_meaning/plan_meaning.h"

namespace lockstep::c_proof {
namespace {

using checker::OpCode;
using checker::Plan;
using checker::PlanOp;
using checker::PlanTensor;
using plan_meaning::Interval;
using plan_meaning::Meaning;
using plan_meaning::Term;

constexpr std::size_t kMostNames = 6;  // that conditions ask compilers for
// Nodes of the C for each product and each element of the plan, at most; only a bound.
constexpr Int kNodesPerProduct = 200, kNodesPerElement = 2000, kNodesAtLeast = 1'000'000;

// At most how many products an operator takes for an element of its output.
Int products_per_element(const Plan& plan, const PlanOp& op) {
  const PlanTensor &in = plan.tensors[op.inputs[0]], &out = plan.tensors[op.output];
  if (!op.weights.empty()) return static_cast<Int>(op.weights.size()) / out.channels;
  if (op.code == OpCode::kArgMax) return in.channels;
  if (op.code == OpCode::kAvgPool2d) {
    const auto longest = [](const std::vector<checker::Span>& spans) {
      Int most = 0;
      for (const checker::Span& span : spans) most = std::max(most, span.end - span.begin);
      return most;
    };
    return longest(op.rows) * longest(op.columns);
  }
  return op.kernel[0] * op.kernel[1];
}

// The memory of the network: every element that is written is held against the plan at once, and
// from then on is that element of its tensor and nothing else. All bytes outside of the tensor that
// is being made are scratch memory until it is made: what is written there is what it is. So are
// those of the tensor for numbers of other types; in the end its elements must lie there.
class Judge : public Arena {
 public:
  Judge(const Plan& plan, Int arena_bytes, AtomRanges& atoms, Chains& chains, Facts& facts)
      : plan_(plan), atoms_(atoms), chains_(chains), facts_(facts) {
    cells_.resize(at(arena_bytes));
    Int next = 0;
    for (const PlanTensor& tensor : plan.tensors) {
      first_atom_.push_back(next);
      next += tensor.count();
    }
    if (next > std::numeric_limits<std::int32_t>::max())
      refuse("", 1, "a network of more elements than the proof can number");
    atoms_.resize(at(next));
    balance_.resize(at(next));
    is_made_.resize(plan.tensors.size());
    op_of_.resize(plan.tensors.size());
    for (const PlanOp& op : plan.ops) op_of_[op.output] = &op;
    for (const std::size_t input : plan.inputs) {
      const Interval codes = plan_meaning::codes_of(plan.tensors[input]);
      for (Int p = 0; p < plan.tensors[input].count(); ++p) {
        set_range(static_cast<Int>(input), p, codes);
        set_cell(static_cast<Int>(input), p);
      }
      is_made_[input] = true;
    }
  }
  void watch(Machine& machine) { machine_ = &machine; }

  Int bytes() const override { return std::ssize(cells_); }

  void begin(Int tensor) override {
    if (tensor >= static_cast<Int>(plan_.tensors.size()))
      refuse("", 1, fmt::format("tensor {} is not in the plan", tensor));
    tensor_ = tensor;
    end_scratch();
    meaning_.reset();
    compared_.clear();
    Int nodes = kNodesAtLeast;
    if (const PlanOp* const op = this->op()) {
      // The intervals of its elements are known then.
      for (const std::size_t input : op->inputs)
        if (!is_made_[input])
          fail(1, fmt::format("it is made before '{}'", plan_.tensors[input].name));
      meaning_.emplace(plan_, *op);
      nodes += plan_.tensors[at(tensor)].count() *
               (products_per_element(plan_, *op) * kNodesPerProduct + kNodesPerElement);
    }
    machine_->allow(nodes);
  }

  Type element(int line) const override {
    if (op() == nullptr) refuse("", line, "a write outside of the making of a tensor");
    return type_of(tensor_);
  }

  Value load(Int offset, const Type& type, int line) override {
    const Cell cell = whole_cell(offset, type, line);
    if (cell.atom == kScratch) return scratch_value(cell, type, line);
    if (cell.atom == kNumber) {
      if (cell.number < type.lowest() || cell.number > type.highest())
        fail(line, "it reads codes as another type");
      return Value::of(cell.number);
    }
    if (cell.atom == kNothing) fail(line, "it reads what was not written");
    const auto [lo, hi] = atoms_[at(cell.atom)];
    if (lo < type.lowest() || hi > type.highest()) fail(line, "it reads codes as another type");
    return {Value::Kind::kAtom, cell.atom, 0, 1, nullptr};
  }

  void store(Int offset, const Type& type, const Value& value, int line) override {
    if (op() == nullptr) fail(line, "it writes outside of the making of a tensor");
    const PlanTensor& tensor = plan_.tensors[at(tensor_)];
    const Int into = offset - tensor.arena_offset;
    const bool is_element = type == type_of(tensor_) && into >= 0 && into < tensor.bytes &&
                            into % type.size() == 0 && offset % type.size() == 0;
    if (!is_element) return store_scratch(offset, type, value, line);
    const Int p = into / type.size();
    if (judge(p, value, line)) {
      set_cell(tensor_, p);
      return;
    }
    fill(offset, type.size(),
         value.is_number() ? Cell{.atom = kNumber, .number = value.number} : Cell{});
  }

  void observe(Int tensor, Int offset, int line) override {
    const PlanTensor& of = plan_.tensors[at(tensor)];
    if (tensor != tensor_ || offset != of.arena_offset)
      fail(line, fmt::format("tensor {} is elsewhere", tensor));
    require_whole(tensor, line);
    if (op() != nullptr) facts_.elements += of.count();
    is_made_[at(tensor)] = true;
  }

  // After the run: everything was made, and the outputs are still there.
  void require_complete() {
    for (const PlanOp& op : plan_.ops)
      if (!is_made_[op.output])
        throw checker::Failure{true, op.node, "C",
                               fmt::format("'{}': the C does not make it", op.node)};
    for (const std::size_t output : plan_.outputs) {
      tensor_ = static_cast<Int>(output);
      require_whole(tensor_, 0);
    }
  }

 private:
  static constexpr std::int32_t kNothing = -1, kNumber = -2, kScratch = -3;
  struct Cell {
    std::int32_t atom = kNothing;
    std::int8_t part = 0, size = 0;  // which byte of how many
    bool is_scratch = false;         // no element of the tensor that is being made
    Int number = 0;                  // or which of scratch_
  };

  const PlanOp* op() const { return tensor_ < 0 ? nullptr : op_of_[at(tensor_)]; }
  Type type_of(Int tensor) const {
    const PlanTensor& of = plan_.tensors[at(tensor)];
    return {false, static_cast<int>(of.bytes / of.count() * 8), !of.is_raw};
  }
  std::int32_t atom(Int tensor, Int p) const {
    return static_cast<std::int32_t>(first_atom_[at(tensor)] + p);
  }
  Interval range(std::size_t tensor, Int p) const {
    const auto [lo, hi] = atoms_[at(atom(static_cast<Int>(tensor), p))];
    return {lo, hi};
  }
  void set_range(Int tensor, Int p, const Interval& range) {
    atoms_[at(atom(tensor, p))] = {static_cast<std::int32_t>(range.lo),
                                   static_cast<std::int32_t>(range.hi)};
  }
  void set_cell(Int tensor, Int p) {
    const int size = type_of(tensor).size();
    const Int first = plan_.tensors[at(tensor)].arena_offset + p * size;
    fill(first, size, {.atom = atom(tensor, p)});
  }
  void fill(Int first, int size, Cell cell) {
    cell.size = static_cast<std::int8_t>(size);
    for (int i = 0; i < size; ++i) {
      cell.part = static_cast<std::int8_t>(i);
      cells_[at(first + i)] = cell;
    }
  }

  // Whatever lies there is gone; what is written is forgotten when the next tensor begins.
  void store_scratch(Int offset, const Type& type, const Value& value, int line) {
    if (offset < 0 || offset > bytes() - type.size() || offset % type.size() != 0)
      fail(line, "it writes outside of the arena");
    scratch_begin_ = std::min(scratch_begin_, offset);
    scratch_end_ = std::max(scratch_end_, offset + type.size());
    Cell cell{.is_scratch = true};
    const Cell before = cells_[at(offset)];
    if (value.is_number()) {
      cell.atom = kNumber;
      cell.number = value.number;
    } else if (value.kind == Value::Kind::kAtom && value.number == 1) {
      cell.atom = value.index;
    } else {
      cell.atom = kScratch;
      const bool is_replaced =
          before.atom == kScratch && before.part == 0 && before.size == type.size();
      cell.number = is_replaced ? before.number : std::ssize(scratch_);
      if (is_replaced)
        scratch_[at(cell.number)] = value;
      else
        scratch_.push_back(value);
    }
    fill(offset, type.size(), cell);
  }
  Value scratch_value(const Cell& cell, const Type& type, int line) const {
    const Value& value = scratch_[at(cell.number)];
    if (value.kind == Value::Kind::kPacked) return value;  // of the type of all panels
    const Range range = machine_->range(value, line);
    if (range.lo < type.lowest() || range.hi > type.highest())
      fail(line, "it reads numbers as another type");
    return value;
  }
  void end_scratch() {
    for (Int i = scratch_begin_; i < scratch_end_; ++i)
      if (cells_[at(i)].is_scratch) cells_[at(i)] = {};
    scratch_.clear();
    scratch_begin_ = bytes();
    scratch_end_ = 0;
  }

  Cell whole_cell(Int offset, const Type& type, int line) const {
    if (offset < 0 || offset > bytes() - type.size() || offset % type.size() != 0)
      fail(line, "it reads outside of the arena");
    const Cell& first = cells_[at(offset)];
    for (Int i = 0; i < type.size(); ++i) {
      const Cell& cell = cells_[at(offset + i)];
      if (cell.atom != kNothing && (cell.atom != first.atom || cell.number != first.number ||
                                    cell.part != i || cell.size != type.size()))
        fail(line, "it reads a part of a code");
      if (cell.atom == kNothing) return {};
    }
    return first;
  }

  // Numbers that were left from before are judged now.
  void require_whole(Int tensor, int line) {
    const Type type = type_of(tensor);
    for (Int p = 0; p < plan_.tensors[at(tensor)].count(); ++p) {
      const Cell cell =
          whole_cell(plan_.tensors[at(tensor)].arena_offset + p * type.size(), type, line);
      if (cell.atom == kNumber && op() != nullptr && !is_made_[at(tensor)] &&
          judge(p, Value::of(cell.number), line))
        set_cell(tensor, p);
      else if (cell.atom != atom(tensor, p))
        fail(line, place(p) + (cell.atom == kNothing  ? ": it is not written"
                               : cell.atom == kNumber ? ": it is a number, in the plan it is not"
                                                      : ": something else lies there"));
    }
  }

  [[noreturn]] void fail(int line, const std::string& text) const {
    refuse(tensor_ < 0       ? ""
           : op() == nullptr ? plan_.tensors[at(tensor_)].name
                             : op()->node,
           line, text);
  }
  std::string place(Int p) const {
    const PlanTensor& tensor = plan_.tensors[at(tensor_)];
    const Int pixel = p / tensor.channels;
    return fmt::format("channel {}, position ({}, {})", p % tensor.channels, pixel / tensor.width,
                       pixel % tensor.width);
  }

  // Whether `value` is element p of the tensor. Another number, and what a mask removes, may be
  // replaced later; anything else fails.
  bool judge(Int p, const Value& value, int line) {
    const Meaning& meaning = *meaning_;
    const Int channel = p % plan_.tensors[at(tensor_)].channels;
    const bool is_kept = meaning.keeps(p);
    if (!is_kept && !value.is_number()) return false;
    const Interval sum = argument(p);
    if (is_kept && !meaning.is_defined(sum)) fail(line, "its table has no entry for some code");
    const Interval codes = is_kept ? meaning.image(channel, sum) : Interval{0, 0};
    if (value.is_number() && op()->code != OpCode::kArgMax) {
      if (codes.lo != codes.hi || codes.lo != value.number) return false;
    } else {
      const Int difference = meaning.is_sum() ? sum_difference(p, value, line) : 0;
      if (!meaning.is_sum()) compare_elements(p, value, line);
      if (!is_same_function(channel, sum, value, difference, line))
        fail(line, place(p) + ": another code for some accumulator");
    }
    set_range(tensor_, p, codes);
    return true;
  }

  // The interval of the argument of the plan's function.
  Interval argument(Int p) {
    meaning_->terms(p, terms_);
    if (!meaning_->is_sum())
      return meaning_->combine(p, [this](std::size_t t, Int i) { return range(t, i); });
    plan_meaning::Sum sum(meaning_->constant(p));
    for (const Term& term : terms_) sum.add(term.coefficient, range(term.tensor, term.element));
    facts_.products += static_cast<Int>(terms_.size());
    return sum.interval();
  }

  // Of the sum of the C and that of the plan, which argument() listed: by how much the first is
  // larger, always.
  Int sum_difference(Int p, const Value& value, int line) {
    const bool is_atom = value.kind == Value::Kind::kAtom;
    if (!is_atom && (value.kind != Value::Kind::kFunction || value.root->kind != Root::Kind::kSum))
      fail(line, place(p) + ": no sum");
    Int difference = (is_atom ? 0 : value.root->constant) - meaning_->constant(p);
    if (is_atom) {
      balance_[at(value.index)] = value.number;
    } else {
      for (const auto& [atom, coefficient] : value.root->terms) count(atom, coefficient, line);
    }
    for (const Term& term : terms_) count(atom_of(term), -term.coefficient, line);
    std::optional<std::int32_t> wrong;
    const auto settle = [&](std::int32_t atom) {
      Int& balance = balance_[at(atom)];
      if (balance == 0) return;
      const auto [lo, hi] = atoms_[at(atom)];
      if (lo != hi) wrong = atom;
      difference += balance * lo;
      balance = 0;
    };
    if (is_atom)
      settle(value.index);
    else
      for (const auto& term : value.root->terms) settle(term.first);
    for (const Term& term : terms_) settle(atom_of(term));
    if (wrong) fail(line, fmt::format("{}: another multiple of {}", place(p), name_of(*wrong)));
    return difference;
  }

  void count(std::int32_t atom, Int coefficient, int line) {
    Int& balance = balance_[at(atom)];
    if (__builtin_add_overflow(balance, coefficient, &balance))
      fail(line, "a multiple of more than 64 bits");
  }

  std::string name_of(std::int32_t atom) const {
    const auto after = std::ranges::upper_bound(first_atom_, Int{atom});
    const auto tensor = static_cast<std::size_t>(after - first_atom_.begin()) - 1;
    return fmt::format("element {} of tensor {} '{}'", atom - first_atom_[tensor], tensor,
                       plan_.tensors[tensor].name);
  }

  // Products, largest values and their places: of the elements that argument() listed. Elements
  // that another one always exceeds may be missing.
  void compare_elements(Int p, const Value& value, int line) const {
    std::vector<std::pair<int, Int>> found;
    const bool is_place = op()->code == OpCode::kArgMax;
    if (is_place && value.is_number() && value.number >= 0 &&
        value.number < static_cast<Int>(terms_.size())) {
      found = {{atom_of(terms_[at(value.number)]), value.number}};
    } else if (value.kind == Value::Kind::kAtom && value.number == 1 && !is_place) {
      found = {{value.index, 1}};
    } else if (value.kind == Value::Kind::kFunction &&
               value.root->kind == (is_place                     ? Root::Kind::kPlace
                                    : op()->code == OpCode::kMul ? Root::Kind::kProduct
                                                                 : Root::Kind::kLargest)) {
      found = value.root->terms;
    } else if (value.kind == Value::Kind::kFunction && value.root->kind == Root::Kind::kSum &&
               value.root->terms.size() == 1 && value.root->terms[0].second == 1 &&
               value.root->constant == 0 && !is_place) {
      found = value.root->terms;
    } else {
      fail(line, place(p) + ": another operation");
    }
    if (op()->code == OpCode::kMul) {
      std::vector<int> a, b;
      for (const auto& term : found) a.push_back(term.first);
      for (const Term& term : terms_) b.push_back(atom_of(term));
      if (!std::ranges::is_permutation(a, b)) fail(line, place(p) + ": other elements");
      return;
    }
    std::map<int, Int> number_of;  // by atom: its place among the plan's elements
    for (std::size_t i = 0; i < terms_.size(); ++i)
      number_of.emplace(atom_of(terms_[i]), static_cast<Int>(i));
    Int last = -1;
    for (const auto& [atom, number] : found) {
      const auto known = number_of.find(atom);
      if (known == number_of.end() || (is_place && (known->second != number || number <= last)))
        fail(line, place(p) + ": other elements");
      last = known->second;
    }
    for (std::size_t i = 0; i < terms_.size(); ++i) {
      const Int missing = static_cast<Int>(i);
      const auto is_beyond = [&](const std::pair<int, Int>& term) {
        const Int number = number_of.at(term.first);
        const auto [lo, hi] = atoms_[at(term.first)];
        const Int most = atoms_[at(atom_of(terms_[i]))].second;
        return number == missing || most < lo || (most == lo && (!is_place || number < missing));
      };
      if (std::ranges::none_of(found, is_beyond))
        fail(line, fmt::format("{}: without {}", place(p), name_of(atom_of(terms_[i]))));
    }
  }
  std::int32_t atom_of(const Term& term) const {
    return atom(static_cast<Int>(term.tensor), term.element);
  }

  // Whether chain(x + difference) is the plan's code for every x of the interval.
  bool is_same_function(Int channel, const Interval& range, const Value& value, Int difference,
                        int line) {
    const int chain = value.kind == Value::Kind::kFunction ? value.chain : 0;
    const auto [entry, is_new] =
        compared_.try_emplace({channel, range.lo, range.hi, chain, difference}, false);
    if (!is_new) return entry->second;
    ++facts_.functions;
    const Made made{*meaning_, *op(), channel};
    const std::optional<bool> result = gives(made, range, chains_, chain, difference);
    if (!result) fail(line, fmt::format("channel {}: a function of too many sums", channel));
    return entry->second = *result;
  }

  const Plan& plan_;
  AtomRanges& atoms_;
  Chains& chains_;
  Facts& facts_;
  Machine* machine_ = nullptr;
  std::vector<Cell> cells_;     // of each byte of the arena
  std::vector<Value> scratch_;  // what lies in scratch memory and is neither number nor element
  Int scratch_begin_ = 0, scratch_end_ = 0;  // bytes around all of it
  std::vector<Int> first_atom_;              // by tensor
  std::vector<const PlanOp*> op_of_;
  std::vector<bool> is_made_;
  std::vector<Int> balance_;  // by atom; 0 between uses
  std::vector<Term> terms_;
  Int tensor_ = -1;
  std::optional<Meaning> meaning_;
  std::map<std::tuple<Int, Int, Int, int, Int>, bool> compared_;  // of the operator at hand
};

}  // namespace

Facts prove_c(const Files& files, const Plan& plan) {
  // What compilers define chooses between ways to do the same: all choices are proved.
  const KnownTexts known = find_known_texts(files.source);
  Facts facts;
  std::set<std::string> seen;  // digests
  std::set<std::string_view> names;
  for (std::size_t choice = 0; choice < std::size_t{1} << names.size(); ++choice) {
    std::set<std::string_view> defined;
    std::size_t bit = 0;
    for (const std::string_view name : names)
      if ((choice >> bit++ & 1) != 0) defined.insert(name);
    Tokens tokens = read_tokens(files.header_name, files.header, known, defined);
    if (!std::ranges::includes(names, tokens.asked)) {  // begin again with the new ones
      names.insert(tokens.asked.begin(), tokens.asked.end());
      if (names.size() > kMostNames) refuse("", 1, "conditions of too many names");
      choice = SIZE_MAX;
      continue;
    }
    if (!seen.insert(digest_of(tokens, upper(files.prefix) + "_")).second) continue;
    const Source source = parse(tokens.list, known, files.prefix);
    const Int arena_bytes = require_interface(source, tokens, files.prefix, plan);
    tokens = {};  // large
    facts = {};
    Chains chains(source.tables);
    AtomRanges atoms;
    Judge judge(plan, arena_bytes, atoms, chains, facts);
    Machine machine(source, chains, atoms, judge);
    judge.watch(machine);
    machine.run(files.prefix + "_run");
    judge.require_complete();
    facts.nodes = machine.nodes_used();
  }
  return facts;
}

}  // namespace lockstep::c_proof
