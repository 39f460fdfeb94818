#include "verify/proof/post_processing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "verify/differential/channel_map.h"
#include "verify/proof/tensors.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

// Elements of one channel whose functions are the same on both sides.
struct Group {
  PlanFunction plan;
  GraphFunction graph;
  int out_decimal;
  CodeRange arguments;             // of all of them
  std::optional<CodeRange> image;  // of a function that may rise and fall: on all arguments
  bool is_compared = false, is_equal = false;
};

// The field that is wrong, where one can be named.
std::string wrong_field(const VisibleTensor& output, const Group& group) {
  const auto expected = group.graph.shifts(group.out_decimal), found = group.plan.shifts();
  if (!expected || !found || found->size() != 1) return "";
  PostStep canonical = {0, Rounding::kTowardZero, lowest_code(static_cast<int>(output.bits)),
                        highest_code(static_cast<int>(output.bits))};
  std::size_t rounding_steps = 0;
  bool relu = false;
  for (const PostStep& step : *expected) {
    if (step.hi == INT64_MAX && step.lo == 0) {
      relu = true;
      continue;
    }
    rounding_steps += 1;
    canonical = step;
  }
  if (relu) canonical.lo = 0;
  if (rounding_steps > 1) return "";
  const PostStep& step = (*found)[0];
  if (step.drop != canonical.drop)
    return fmt::format("shift: expected {}, found {}; ", canonical.drop, step.drop);
  if (step.lo != canonical.lo)
    return fmt::format("lower limit: expected {}, found {}; ", canonical.lo, step.lo);
  if (step.hi != canonical.hi)
    return fmt::format("upper limit: expected {}, found {}; ", canonical.hi, step.hi);
  if (step.rounding != canonical.rounding)
    return fmt::format("rounding: expected {}, found {}; ", rounding_name(canonical.rounding),
                       rounding_name(step.rounding));
  return "";
}

class PostCheck {
 public:
  PostCheck(PlanCheck& check, const PlanOp& op, const Arguments& before,
            const ChannelFunction& function_of)
      : check_(check),
        op_(op),
        output_(check.tensors[op.output]),
        before_(before),
        function_of_(function_of) {}

  void run() {
    check_.checked += static_cast<std::int64_t>(op_.post.keep.size());
    const std::int64_t count = output_.element_count();
    is_part_ = is_part_of(output_, check_.network.format(output_.name));
    for (std::int64_t e = 0; e < count; ++e) targets_.push_back(find_target(e));
    if (output_.named) return compare();
    // A tensor that is not named may hold an earlier step on the way to its node: then the operator
    // leaves the values as they are.
    try {
      compare();
    } catch (const Difference& first) {
      const Difference difference = first;
      targets_ = before_.expected.terms;
      try {
        compare();
      } catch (const Difference&) {
        throw difference;
      }
    }
  }

 private:
  // Against targets_; fills `held`.
  void compare() {
    const std::int64_t count = output_.element_count();
    groups_.clear();
    numbers_.clear();
    groups_of_.clear();
    check_.held[op_.output] = {};
    for (std::int64_t e = 0; e < count; ++e) groups_of_.push_back(sort_in(e));
    for (std::int64_t e = 0; e < count; ++e) {
      const Term target = targets_[at(e)];
      const CodeRange result = groups_of_[at(e)] < 0 ? check_constant(e, target) : check(e);
      expect_fits(e, result);
      check_.held[op_.output].push_back(target, output_.decimal(e), result);
    }
  }

  CodeRange found(std::int64_t e) const {
    return before_.found.empty() ? before_.expected.range(at(e)) : before_.found[at(e)];
  }
  bool keeps(std::int64_t e) const {
    return op_.post.keep.empty() || op_.post.keep[at(physical_index(output_, e))] != 0;
  }
  std::int64_t channel(std::int64_t e) const { return place_of(output_, e).channel; }

  // What the element must become. A tensor that is not named may hold any exact step on the way to
  // its node; one that is none of that node must leave the value as it is.
  Term find_target(std::int64_t e) const {
    if (output_.named) return target_of(check_, op_.output, e);
    const Term now = before_.expected.terms[at(e)];
    const std::int32_t node = check_.tensor_nodes[op_.output];
    if (!is_part_) return now;
    const Term target = check_.terms.base(check_.terms.term(node, graph_element(output_, e)));
    if (target.node == Term::kZero && (now.node == Term::kZero || !keeps(e))) return target;
    if ((now == Term{} || !keeps(e)) && constant(e)) return target;
    return leads_to(now, target) ? target : now;
  }

  // What the graph's element, or of a real value the exact integer behind it, is for every input.
  std::optional<ExactValue> constant(std::int64_t e) const {
    if (!is_part_) return std::nullopt;
    const Format& format = check_.network.format(output_.name);
    const std::int64_t element = graph_element(output_, e);
    const CodeRange range = format.real ? format.source(element).codes : format.range(element);
    if (range.lo != range.hi) return std::nullopt;
    return ExactValue{range.lo,
                      format.real ? format.source(element).decimal : format.decimal(element)};
  }

  bool leads_to(Term now, Term target) const {
    return target.node == now.node && target.element == now.element &&
           check_.terms.chains().begins_with(target.chain, now.chain);
  }

  // The number of the group of an element; -1 for a constant.
  std::int32_t sort_in(std::int64_t e) {
    const Term target = targets_[at(e)], now = before_.expected.terms[at(e)];
    if (target.node == Term::kZero) return -1;
    const Chains& chains = check_.terms.chains();
    if (!leads_to(now, target)) {
      // The 0 of a channel that was left out, or a sum of constants.
      if (constant(e)) return -1;
      refuse_term(e, target, now);
    }
    const int decimal = before_.expected.decimals[at(e)];
    const auto [entry, is_new] = numbers_.try_emplace(
        {channel(e), decimal, now.chain, target.chain}, static_cast<std::int32_t>(groups_.size()));
    if (is_new)
      groups_.push_back(
          {function_of_(channel(e)),
           GraphFunction(chains.behind(target.chain, now.chain), decimal,
                         before_.low_bits.empty() ? LowBits{} : before_.low_bits[at(channel(e))]),
           output_.decimal(e),
           {INT64_MAX, INT64_MIN},
           std::nullopt});
    CodeRange& arguments = groups_[at(entry->second)].arguments;
    const CodeRange range = found(e), wanted = before_.expected.range(at(e));
    arguments.lo = std::min({arguments.lo, range.lo, wanted.lo});
    arguments.hi = std::max({arguments.hi, range.hi, wanted.hi});
    return entry->second;
  }

  [[noreturn]] void refuse_term(std::int64_t e, Term target, Term now) const {
    throw Difference{op_.node,
                     fmt::format("layer '{}': its operator writes '{}', whose {} is {}; what it "
                                 "computes from is {}",
                                 op_.node, output_.name, place_text(output_, e),
                                 check_.terms.text(target), check_.terms.text(now))};
  }

  [[noreturn]] void refuse_mask(std::int64_t e, int expected) const {
    throw Difference{op_.node,
                     fmt::format("layer '{}': mask at {}: expected {}, found {}", op_.node,
                                 place_text(output_, e), expected, 1 - expected)};
  }

  // A mask or padding makes it the same for every input, or the graph's ranges show it.
  CodeRange check_constant(std::int64_t e, Term target) const {
    const ExactValue value =
        target.node == Term::kZero
            ? GraphFunction(check_.terms.chains().behind(target.chain, Chains::kEmpty), 0).apply(0)
            : constant(e).value();
    const auto code = on_grid(value.code, value.decimal, output_.decimal(e));
    if (!code) expect_decimal(output_, e, value.decimal);
    const CodeRange image = keeps(e) ? function_of_(channel(e)).image(found(e)) : CodeRange{0, 0};
    if (code && image == CodeRange{*code, *code}) return image;
    if (!op_.post.keep.empty() && value.code == 0) refuse_mask(e, 0);
    throw Difference{op_.node,
                     fmt::format("layer '{}': {}: must always be {}, but can be {} to {}", op_.node,
                                 place_text(output_, e), value.code, image.lo, image.hi)};
  }

  CodeRange expected_image(Group& group, std::int64_t e) const {
    const CodeRange arguments = before_.expected.range(at(e));
    const bool is_one = arguments.lo == arguments.hi;
    std::optional<CodeRange> image;
    if (is_one || group.graph.direction() != Direction::kUnknown) {
      image = image_of(group.graph, group.out_decimal, arguments, op_.node);
    } else {
      if (!group.image)
        group.image = image_of(group.graph, group.out_decimal, group.arguments, op_.node);
      image = group.image;
    }
    if (!image) {
      expect_decimal(output_, e, group.graph.result_decimal());
      throw Difference{op_.node, fmt::format("layer '{}': {}: its values do not fit their grid",
                                             op_.node, place_text(output_, e))};
    }
    return *image;
  }

  CodeRange check(std::int64_t e) {
    Group& group = groups_[at(groups_of_[at(e)])];
    const CodeRange wanted = expected_image(group, e);
    const bool kept = keeps(e);
    if (wanted.lo == wanted.hi) {
      const CodeRange image = kept ? group.plan.image(found(e)) : CodeRange{0, 0};
      if (image == wanted) return wanted;
    }
    const std::size_t place = at(channel(e));
    if (!before_.differences.empty() && !before_.differences[place].empty())
      throw Difference{op_.node, before_.differences[place]};
    if (!kept) refuse_mask(e, 1);
    if (!group.is_compared) {
      group.is_compared = true;
      group.is_equal =
          !find_difference(group.graph, group.plan, group.out_decimal, group.arguments, op_.node);
    }
    if (group.is_equal) return wanted;
    const auto x = find_difference(group.graph, group.plan, group.out_decimal, found(e), op_.node);
    if (x) refuse(e, group, *x);
    return wanted;
  }

  [[noreturn]] void refuse(std::int64_t e, const Group& group, std::int64_t x) const {
    const ExactValue expected = group.graph.apply(x);
    const auto code = on_grid(expected.code, expected.decimal, group.out_decimal);
    // Right on the graph's own grid: then it is the tensor that names another one.
    if (!find_difference(group.graph, group.plan, expected.decimal, found(e), op_.node))
      expect_decimal(output_, e, expected.decimal);
    throw Difference{op_.node,
                     fmt::format("layer '{}': {}: {}accumulator {} must become {}, but becomes {}",
                                 op_.node, place_text(output_, e), wrong_field(output_, group), x,
                                 code ? fmt::format("{}", *code)
                                      : fmt::format("{} * 2^{}", expected.code, -expected.decimal),
                                 group.plan.apply(x))};
  }

  void expect_fits(std::int64_t e, CodeRange result) const {
    const int bits = static_cast<int>(output_.bits);
    if (result.lo >= lowest_code(bits) && result.hi <= highest_code(bits)) return;
    throw Difference{output_.name,
                     fmt::format("layer '{}': {} can be {} to {}, which {} bits do not hold",
                                 output_.name, place_text(output_, e), result.lo, result.hi, bits)};
  }

  PlanCheck& check_;
  const PlanOp& op_;
  const VisibleTensor& output_;
  const Arguments& before_;
  const ChannelFunction& function_of_;
  std::vector<Group> groups_;
  std::map<std::tuple<std::int64_t, int, std::int32_t, std::int32_t>, std::int32_t> numbers_;
  bool is_part_ = false;                 // every element of the output is one of its node's value
  std::vector<Term> targets_;            // per element
  std::vector<std::int32_t> groups_of_;  // per element
};

std::int64_t numbers_in(const PlanPost& post) {
  std::int64_t count = post.kind == INTRT_POST_NONE ? 1 : 4;
  count += static_cast<std::int64_t>(post.shifts.size());
  for (const PlanScale& scale : post.scales)
    count += scale.codes.empty() ? 5 : static_cast<std::int64_t>(2 * scale.codes.size() - 1);
  return count;
}

}  // namespace

void check_post(PlanCheck& check, const PlanOp& op, const Arguments& before,
                const ChannelFunction& function_of) {
  PostCheck(check, op, before, function_of).run();
}

void check_post(PlanCheck& check, const PlanOp& op, const Arguments& before) {
  check.checked += numbers_in(op.post);
  check_post(check, op, before,
             [&](std::int64_t channel) { return PlanFunction::post(op.post, channel); });
}

}  // namespace lockstep::verify
