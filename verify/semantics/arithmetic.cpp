// add, sub and mul of two tensors, element by element. An axis of size 1 stands for every place of
// the other's. Sums have the finer of the two grids, products the sum of both decimals.
#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/semantics/aligned.h"
#include "verify/semantics/index.h"
#include "verify/semantics/move.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// The shape of the result, and for each of its elements those of the inputs that it is made of.
struct Pairs {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> a, b;
};

Pairs pair_up(const Node& node, Formats inputs) {
  const std::vector<std::int64_t>&a = inputs[0]->shape, &b = inputs[1]->shape;
  Pairs pairs;
  bool fits = a.size() == b.size();
  for (std::size_t d = 0; fits && d < a.size(); ++d) {
    fits = a[d] == b[d] || a[d] == 1 || b[d] == 1;
    pairs.shape.push_back(std::max(a[d], b[d]));
  }
  if (!fits)
    throw InputError(
        fmt::format("layer '{}': shapes {} and {} of its inputs do not fit; each axis "
                    "needs the same size, or 1 in one of them",
                    node.name, shape_text(a), shape_text(b)));
  require_countable(node.name, pairs.shape);
  std::int64_t count = 1;
  for (const std::int64_t size : pairs.shape) count *= size;
  for (std::int64_t e = 0; e < count; ++e) {
    std::vector<std::int64_t> in_a = places_of(e, pairs.shape), in_b = in_a;
    for (std::size_t d = 0; d < a.size(); ++d) {
      if (a[d] == 1) in_a[d] = 0;
      if (b[d] == 1) in_b[d] = 0;
    }
    pairs.a.push_back(element_at(in_a, a));
    pairs.b.push_back(element_at(in_b, b));
  }
  return pairs;
}

std::int64_t checked(const Node& node, Int128 value) {
  const Int128 most = Int128{1} << 62;
  if (value >= most || value <= -most)
    throw InputError(fmt::format("layer '{}': its values can leave 64 bits", node.name));
  return static_cast<std::int64_t>(value);
}

class Sum final : public ExactOperator {
 public:
  Sum(const Node& node, Formats inputs)
      : pairs_(pair_up(node, inputs)), sign_(node.op == "sub" ? -1 : 1) {
    format_.shape = pairs_.shape;
    std::vector<CodeRange> ranges;
    for (std::size_t e = 0; e < pairs_.a.size(); ++e) {
      const int decimal_a = inputs[0]->decimal(pairs_.a[e]);
      const int decimal_b = inputs[1]->decimal(pairs_.b[e]);
      const int decimal = std::max(decimal_a, decimal_b);
      format_.decimals.push_back(decimal);
      const CodeRange a = inputs[0]->range(pairs_.a[e]), b = inputs[1]->range(pairs_.b[e]);
      factor_a_.push_back(factor(node, a, decimal - decimal_a));
      factor_b_.push_back(sign_ * factor(node, b, decimal - decimal_b));
      const Int128 fa = factor_a_[e], fb = factor_b_[e];
      ranges.push_back({checked(node, fa * a.lo + std::min(fb * b.lo, fb * b.hi)),
                        checked(node, fa * a.hi + std::max(fb * b.lo, fb * b.hi))});
    }
    set_ranges(format_, std::move(ranges));
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t e = 0; e < output.size(); ++e)
      output[e] =
          inputs[0][at(pairs_.a[e])] * factor_a_[e] + inputs[1][at(pairs_.b[e])] * factor_b_[e];
  }

 private:
  // 2^shift, or 0 for codes that are all 0.
  static std::int64_t factor(const Node& node, CodeRange codes, int shift) {
    if (codes == CodeRange{}) return 0;
    shift_code(node.name, codes.lo, shift);
    shift_code(node.name, codes.hi, shift);
    return std::int64_t{1} << shift;
  }

  Pairs pairs_;
  std::int64_t sign_ = 1;
  std::vector<std::int64_t> factor_a_, factor_b_;  // per element
};

class Product final : public ExactOperator {
 public:
  Product(const Node& node, Formats inputs) : pairs_(pair_up(node, inputs)) {
    format_.shape = pairs_.shape;
    std::vector<CodeRange> ranges;
    for (std::size_t e = 0; e < pairs_.a.size(); ++e) {
      format_.decimals.push_back(inputs[0]->decimal(pairs_.a[e]) + inputs[1]->decimal(pairs_.b[e]));
      const CodeRange a = inputs[0]->range(pairs_.a[e]), b = inputs[1]->range(pairs_.b[e]);
      const std::initializer_list<Int128> ends = {Int128{a.lo} * b.lo, Int128{a.lo} * b.hi,
                                                  Int128{a.hi} * b.lo, Int128{a.hi} * b.hi};
      ranges.push_back({checked(node, std::min(ends)), checked(node, std::max(ends))});
    }
    set_ranges(format_, std::move(ranges));
  }

  void run(std::span<const Values> inputs, std::span<std::int64_t> output) const override {
    for (std::size_t e = 0; e < output.size(); ++e)
      output[e] = inputs[0][at(pairs_.a[e])] * inputs[1][at(pairs_.b[e])];
  }

 private:
  Pairs pairs_;
};

void require_both_exact(const Node& node, Formats inputs) {
  LOCKSTEP_ASSERT(inputs.size() == 2);
  for (std::size_t i = 0; i < 2; ++i) require_exact(*inputs[i], node.inputs[i], node.name);
}

}  // namespace

OperatorPointer make_add(const Node& node, const NodeParameters&, Formats inputs) {
  require_both_exact(node, inputs);
  return std::make_unique<Sum>(node, inputs);
}

OperatorPointer make_mul(const Node& node, const NodeParameters&, Formats inputs) {
  require_both_exact(node, inputs);
  return std::make_unique<Product>(node, inputs);
}

}  // namespace lockstep::verify
