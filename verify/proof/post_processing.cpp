#include "verify/proof/post_processing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "verify/proof/post_op.h"
#include "verify/proof/tensors.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// What the graph does between the sums and the output tensor, for one element.
struct Expected {
  std::vector<PostStep> steps;
  bool keep = true;
  int decimal = 0;  // of the result
};

// Masks commute with everything else here, because all other steps leave zero at zero.
struct ChainMasks {
  std::map<const Node*, std::vector<std::uint8_t>> keep;
};
ChainMasks masks_of(const PlanCheck& check, const Chain& chain, std::size_t from) {
  ChainMasks masks;
  for (std::size_t n = from; n < chain.size(); ++n)
    if (chain[n]->op == "prune")
      masks.keep[chain[n]] =
          spread_mask(*check.parameters.of(*chain[n]).mask,
                      check.network.format(chain[n]->name).shape, chain[n]->name);
  return masks;
}

Expected expected_of(const PlanCheck& check, const PlanOp& op, const Chain& chain, std::size_t from,
                     const ChainMasks& masks, std::int64_t element, int decimal) {
  Expected result;
  for (std::size_t n = from; n < chain.size(); ++n) {
    const Node& node = *chain[n];
    if (node.op == "relu") {
      result.steps.push_back({0, Rounding::kTowardZero, 0, INT64_MAX});
    } else if (node.op == "quantize") {
      const Format& format = check.network.format(node.name);
      result.steps.push_back({decimal - format.decimal(element), node.quantize->rounding,
                              lowest_code(format.bits), highest_code(format.bits)});
      decimal = format.decimal(element);
    } else if (node.op == "prune") {
      result.keep = result.keep && masks.keep.at(&node)[at(element)] != 0;
    } else if (node.op != "dropout" && node.op != "identity" && node.op != "flatten") {
      throw Difference{op.node,
                       fmt::format("layer '{}': its operator writes '{}', but leaves out '{}' ({})",
                                   op.node, chain.back()->name, node.name, node.op)};
    }
  }
  result.decimal = decimal;
  return result;
}

std::vector<PostStep> found_steps(const PlanPost& post, std::int64_t channel) {
  if (post.kind == INTRT_POST_NONE) return {};
  return {{post.shift(channel), post.rounding, post.lo, post.hi}};
}

// The values that an element can have after post-processing.
struct Interval {
  std::int64_t lo, hi;
  bool operator==(const Interval&) const = default;
};
Interval image(const std::vector<PostStep>& steps, bool keep, const ElementFacts& facts,
               std::size_t element) {
  if (!keep) return {0, 0};
  return {apply_steps(steps, facts.lo[element]), apply_steps(steps, facts.hi[element])};
}

// The field that is wrong, where one can be named, and an accumulator that shows it.
std::string post_difference(const PlanOp& op, const VisibleTensor& output, std::int64_t element,
                            const std::vector<PostStep>& expected,
                            const std::vector<PostStep>& found, std::int64_t x) {
  std::string field;
  PostStep canonical = {0, Rounding::kTowardZero, lowest_code(static_cast<int>(output.bits)),
                        highest_code(static_cast<int>(output.bits))};
  std::size_t rounding_steps = 0;
  bool relu = false;
  for (const PostStep& step : expected) {
    if (step.hi == INT64_MAX) {
      relu = true;
      continue;
    }
    rounding_steps += 1;
    canonical = step;
  }
  if (relu) canonical.lo = 0;
  if (rounding_steps <= 1 && found.size() == 1) {
    const PostStep& step = found[0];
    if (step.drop != canonical.drop)
      field = fmt::format("shift: expected {}, found {}", canonical.drop, step.drop);
    else if (step.lo != canonical.lo)
      field = fmt::format("lower limit: expected {}, found {}", canonical.lo, step.lo);
    else if (step.hi != canonical.hi)
      field = fmt::format("upper limit: expected {}, found {}", canonical.hi, step.hi);
    else if (step.rounding != canonical.rounding)
      field = fmt::format("rounding: expected {}, found {}", rounding_name(canonical.rounding),
                          rounding_name(step.rounding));
  }
  return fmt::format("layer '{}': {}: {}{}accumulator {} must become {}, but becomes {}", op.node,
                     place_text(output, element), field, field.empty() ? "" : "; ", x,
                     apply_steps(expected, x), apply_steps(found, x));
}

}  // namespace

void check_post(PlanCheck& check, const PlanOp& op, const Chain& chain, std::size_t from,
                const Arguments& before, const VisibleTensor& output) {
  if (op.post.kind != INTRT_POST_NONE && op.post.kind != INTRT_POST_SHIFT)
    throw NotUnderstood{
        fmt::format("operator '{}' of the plan has post-processing {}", op.node, op.post.kind)};
  const bool is_accumulator = check.network.format(output.name).bits == 0;
  const ChainMasks masks = masks_of(check, chain, from);
  check.checked +=
      op.post.kind == INTRT_POST_NONE ? 1 : static_cast<std::int64_t>(op.post.shifts.size()) + 4;
  check.checked += static_cast<std::int64_t>(op.post.keep.size());
  std::vector<PostStep> proved_expected, proved_found;  // of the last element compared in full
  std::array<std::int64_t, 2> proved_range = {1, 0};
  for (std::int64_t e = 0; e < output.element_count(); ++e) {
    const std::int64_t channel = place_of(output, e).channel;
    const Expected expected =
        expected_of(check, op, chain, from, masks, e, before.expected.decimals[at(e)]);
    const std::vector<PostStep> found = found_steps(op.post, channel);
    const bool keeps = op.post.keep.empty() || op.post.keep[at(physical_index(output, e))] != 0;
    const Interval wanted = image(expected.steps, expected.keep, before.expected, at(e));
    if (is_accumulator) expect_decimal(output, e, expected.decimal);
    check.held[op.output].push_back(expected.decimal, wanted.lo, wanted.hi);

    if (wanted.lo == wanted.hi && image(found, keeps, before.found, at(e)) == wanted) continue;
    if (!before.differences.empty() && !before.differences[at(channel)].empty())
      throw Difference{op.node, before.differences[at(channel)]};
    if (keeps != expected.keep)
      throw Difference{op.node,
                       fmt::format("layer '{}': mask at {}: expected {}, found {}", op.node,
                                   place_text(output, e), expected.keep ? 1 : 0, keeps ? 1 : 0)};
    const std::int64_t lo = before.found.lo[at(e)], hi = before.found.hi[at(e)];
    if (proved_range == std::array{lo, hi} && proved_expected == expected.steps &&
        proved_found == found)
      continue;
    if (const auto x = compare_post(expected.steps, found, lo, hi).difference)
      throw Difference{op.node, post_difference(op, output, e, expected.steps, found, *x)};
    proved_expected = expected.steps;
    proved_found = found;
    proved_range = {lo, hi};
  }
}

void check_requantize(PlanCheck& check, const PlanOp& op, const Chain& chain,
                      const VisibleTensor& input, const VisibleTensor& output) {
  check.expect<std::int64_t>(op.node, "channels of its input", output.channels, input.channels);
  check.expect<std::int64_t>(op.node, "height of its input", output.height, input.height);
  check.expect<std::int64_t>(op.node, "width of its input", output.width, input.width);
  const ElementFacts& facts = check.held[op.inputs[0]];
  check_post(check, op, chain, 0, {facts, facts, {}}, output);
}

}  // namespace lockstep::verify
