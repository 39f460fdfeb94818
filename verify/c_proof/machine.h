// Runs generated C with numbers where they are known and with functions of the input where not.
// What decides about the way (loops, conditions, addresses, masks) must be known, so that one run
// stands for all inputs. On its way it shows that no access leaves its array, that nothing is read
// that was not set, and that no sum, product, shift or conversion leaves its type, for every input.
#pragma once

#include <string>
#include <vector>

#include "verify/c_proof/micro_kernels.h"
#include "verify/c_proof/values.h"

namespace lockstep::c_proof {

// The memory of the network, where the plan is asked what an element must be.
class Arena {
 public:
  virtual ~Arena() = default;
  virtual Int bytes() const = 0;
  // What follows belongs to the making of this tensor; -1: to none.
  virtual void begin(Int tensor) = 0;
  virtual Value load(Int offset, const Type& type, int line) = 0;
  virtual void store(Int offset, const Type& type, const Value& value, int line) = 0;
  // memcpy and memset: the size of the elements of the tensor that is being made, and their type.
  virtual Type element(int line) const = 0;
  virtual void observe(Int tensor, Int offset, int line) = 0;
};

// The intervals of the atoms.
using AtomRanges = std::vector<std::pair<std::int32_t, std::int32_t>>;

class Machine {
 public:
  Machine(const Source& source, Chains& chains, const AtomRanges& atoms, Arena& arena);

  // A function of one pointer, to the arena.
  void run(std::string_view function);
  // How many nodes may be worked out from now on; a C that does not end is refused.
  void allow(Int nodes) { nodes_left_ = nodes; }
  Int nodes_used() const { return nodes_used_; }

  Range range(const Value& value, int line) const;

 private:
  enum class Flow : std::uint8_t { kNext, kBreak, kContinue, kReturn };
  using Frame = std::vector<Value>;
  // Of a function; a pointer to it has its index, which is below Value::kArena.
  struct Array {
    int index = 0;
    Type element;
    std::vector<Value> numbers;
  };
  // A tap's code, and the interval of it.
  struct Code {
    int atom = -1;  // none: it is lo
    Int lo = 0, hi = 0;
  };

  void run_observed(const Statement& body, Frame& frame);
  Flow execute(const Statement& statement, Frame& frame);
  Flow execute_all(const std::vector<Statement>& statements, Frame& frame);
  Flow loop(const Statement& statement, Frame& frame);
  void choose_by_input(const Statement& statement, const Value& condition, Frame& frame);

  Value evaluate(const Expression& e, Frame& frame);
  Value binary(const Expression& e, Frame& frame);
  Value call(const Expression& e, Frame& frame);
  Value known_call(const Expression& e, const std::vector<Value>& arguments);
  Value arithmetic_call(const Expression& e, const std::vector<Value>& arguments);
  void micro_call(const MicroKernel& kernel, const std::vector<Value>& arguments, int line);
  void place_codes(const MicroKernel& kernel, const Placing& placing,
                   const std::vector<Value>& arguments, int line);
  void add_pairs(const MicroKernel& kernel, const Map& map, const std::vector<Value>& arguments,
                 int line);
  void add_products(const MicroKernel& kernel, const Dot& dot, const std::vector<Value>& arguments,
                    int line);
  void add_listed(const MicroKernel& kernel, const ListedProducts& listed,
                  const std::vector<Value>& arguments, int line);
  Code code_of(const Value& value, int line) const;
  void keep(const MicroKernel& kernel, const std::vector<Value>& arguments, int line);
  void finish(const MicroKernel& kernel, const Finish& finish, const std::vector<Value>& arguments,
              int line);
  void require_inside(const Value& pointer, Int first, Int count, const Type& type, int line) const;
  void add_lanes(const MicroKernel& kernel, const LaneProducts& products,
                 const std::vector<Value>& arguments, int line);
  Value sum_of(Value start, const std::vector<Code>& codes, const std::vector<Int>& weights,
               const std::vector<Int>& chunk_ends, int chunk_bits, int line) const;
  static Int weight_in(Int number, int weight_bits, Int output, int line);
  std::vector<Int> first_numbers(const Value& pointer, const Type& type, Int count, int line) const;
  std::vector<Int> numbers_of(const MicroKernel& kernel, const std::vector<Value>& arguments,
                              int line) const;
  void require_aligned(const Value& pointer, int alignment, int line) const;
  void spend(Int nodes, int line);
  bool holds(const Expression& e, Frame& frame);  // a condition that must be known
  Int number(const Value& value, int line) const;

  Value add(Value a, const Value& b, Int sign, const Type& type, int line) const;
  Value multiply(const Value& a, const Value& b, const Type& type, int line) const;
  Value compare(Op op, const Value& a, const Value& b, int line) const;
  Value converted(Value value, const Type& type, int line) const;
  Value largest(const Value& a, const Value& b, int line) const;
  Value place(const Value& condition, const Value& old, Int number, int line) const;
  Value as_function(const Value& value, int line) const;
  Value extended(const Value& value, const Step& step, int line) const;
  Value stepped(const Value& value, const Step& step, int line) const;  // of a number, too
  Value advanced(const Value& pointer, const Value& by, const Type& type, int line) const;
  Value load(const Value& pointer, const Type& type, int line) const;
  void store(const Value& pointer, const Type& type, const Value& value, int line);
  const Table& table(const Value& pointer, int line) const;
  const Array& array(const Value& pointer, int line) const;
  Int bytes_of(const Value& pointer, int line) const;
  void require_type(const Range& range, const Type& type, int line) const;
  std::vector<std::pair<int, Int>> atoms_of(const Value& value, Root::Kind kind, int line) const;

  const Source& source_;
  Chains& chains_;
  const AtomRanges& atoms_;
  Arena& arena_;
  Value returned_;
  Int nodes_left_ = 0, nodes_used_ = 0;
  int depth_ = 0;
  std::vector<Array> arrays_;  // of the blocks at hand
  int next_array_ = Value::kArena;
};

}  // namespace lockstep::c_proof
