#include "verify/proof/bilinear.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>

#include "verify/differential/channel_map.h"
#include "verify/proof/geometry.h"
#include "verify/proof/post_processing.h"
#include "verify/proof/reach.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

// Elements with weights; one that is always 0 does not count.
class Mixture {
 public:
  void add(Term term, std::int64_t weight) {
    if (term == Term{} || weight == 0) return;
    const auto found =
        std::ranges::find_if(parts_, [&](const Part& part) { return part.term == term; });
    if (found == parts_.end())
      parts_.push_back({term, weight});
    else
      found->weight += weight;
  }
  std::int64_t weight_of(Term term) const {
    for (const Part& part : parts_)
      if (part.term == term) return part.weight;
    return 0;
  }
  struct Part {
    Term term;
    std::int64_t weight;
  };
  void drop(const std::vector<Term>& terms) {
    std::erase_if(parts_, [&](const Part& part) {
      return std::ranges::find(terms, part.term) != terms.end();
    });
  }
  const std::vector<Part>& parts() const { return parts_; }

 private:
  std::vector<Part> parts_;
};

// Along one axis of `size` positions, the two that output position `output` lies between, and their
// weights in steps of 1 / (2 * scale): PyTorch's rule without aligned corners.
struct Neighbours {
  std::array<std::int64_t, 2> position, weight;
};
Neighbours neighbours(std::int64_t output, std::int64_t scale, std::int64_t size) {
  const std::int64_t place = std::max<std::int64_t>(2 * output + 1 - scale, 0);
  const std::int64_t first = place / (2 * scale), behind = place % (2 * scale);
  return {{first, std::min(first + 1, size - 1)}, {2 * scale - behind, behind}};
}

int log2_of(std::int64_t power) { return std::countr_zero(static_cast<std::uint64_t>(power)); }

}  // namespace

void check_bilinear(PlanCheck& check, const PlanOp& op, const Node& node) {
  const VisibleTensor &input = check.tensors[op.inputs[0]], &output = check.tensors[op.output];
  const Format& source_format = check.network.format(node.inputs[0]);
  const std::vector<std::int64_t>& shape = source_format.shape;
  if (node.choice("mode") != "bilinear" || shape.size() != 3)
    throw NotUnderstood{
        fmt::format("operator '{}' of the plan sums, but '{}' does not", op.node, node.name)};
  expect_map(check, op, output, node.name, "output");
  const std::vector<std::int64_t>& factors = node.integers("scale_factor");
  const HeightWidth scale = {factors.front(), factors.back()};
  if (!std::has_single_bit(static_cast<std::uint64_t>(scale.height)) ||
      !std::has_single_bit(static_cast<std::uint64_t>(scale.width)))
    throw NotUnderstood{fmt::format("layer '{}': upsampling by no power of two", node.name)};
  for (std::size_t c = 0; c < op.bias.size(); ++c)
    check.expect<std::int64_t>(op.node, fmt::format("bias of channel {}", c), 0, op.bias[c]);

  const ElementFacts& facts = check.held[op.inputs[0]];
  const Reach reach = reach_of(op, input, output);
  const std::int32_t source = check.terms.number_of(node.inputs[0]);
  const std::int32_t number = check.terms.number_of(node.name);
  const int unit = log2_of(4 * scale.height * scale.width);
  const std::int64_t plane = std::int64_t{output.height} * output.width;
  check.checked += static_cast<std::int64_t>(op.weights.size());
  Arguments before;
  std::optional<int> finer;  // by how many bits the weights are on a finer grid than 2^-unit
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const Place place = place_of(output, e);
    const std::int64_t channel = graph_channel(output, place.channel);
    Mixture expected, found;
    std::vector<Term> idle;  // always 0: any weight will do
    const Neighbours rows = neighbours(place.y, scale.height, shape[1]);
    const Neighbours columns = neighbours(place.x, scale.width, shape[2]);
    for (std::size_t y = 0; y < 2; ++y)
      for (std::size_t x = 0; x < 2; ++x) {
        const std::int64_t element =
            (channel * shape[1] + rows.position[y]) * shape[2] + columns.position[x];
        const Term term = check.terms.term(source, element);
        if (source_format.range(element) == CodeRange{0, 0}) idle.push_back(term);
        expected.add(term, rows.weight[y] * columns.weight[x]);
      }
    std::optional<int> decimal;
    std::vector<std::int64_t> row(at(reach.fan_in + 1), 0);
    for (std::int64_t k = 0; k < reach.fan_in; ++k)
      row[at(k)] = op.weights[at(weight_index(op, input, place.channel, k))];
    reach.each(place.channel, e % plane, [&](std::int64_t k, std::int64_t element) {
      const std::size_t i = at(element);
      const bool is_idle = facts.range(i) == CodeRange{0, 0};
      if (is_idle) idle.push_back(facts.terms[i]);
      if (row[at(k)] == 0) return;
      found.add(facts.terms[i], row[at(k)]);
      if (is_idle) return;
      if (decimal.value_or(facts.decimals[i]) != facts.decimals[i])
        throw Difference{op.node, fmt::format("layer '{}': adds codes of different decimals at {}",
                                              op.node, place_text(output, e))};
      decimal = facts.decimals[i];
    });
    expected.drop(idle);
    found.drop(idle);
    for (const Mixture::Part& part : found.parts()) {
      const std::int64_t wanted = expected.weight_of(part.term);
      if (!finer && wanted != 0) finer = log2_of(part.weight) - log2_of(wanted);
      if (!is_scaled(wanted, part.weight, finer.value_or(0)))
        throw Difference{
            op.node,
            fmt::format("layer '{}': weight of {} at {}: expected {}, found {}", op.node,
                        check.terms.text(part.term), place_text(output, e), wanted, part.weight)};
    }
    if (found.parts().size() != expected.parts().size())
      throw Difference{op.node, fmt::format("layer '{}': {} is a sum of {} elements, expected {}",
                                            op.node, place_text(output, e), found.parts().size(),
                                            expected.parts().size())};
    const SumRange sum = sum_range(row, reach, facts, place.channel, e % plane);
    if (sum.partial_lo < INT32_MIN || sum.partial_hi > INT32_MAX)
      throw Difference{op.node,
                       fmt::format("layer '{}': the accumulator of channel {} can leave 32 bits",
                                   op.node, place.channel)};
    before.expected.push_back(Terms::combined(number, graph_element(output, e)),
                              decimal.value_or(output.decimal(e)) + unit + finer.value_or(0),
                              {sum.lo, sum.hi});
  }
  check_post(check, op, before);
}

}  // namespace lockstep::verify
