#include "verify/explain/plan_terms.h"

#include <fmt/format.h>

#include <algorithm>

#include "compile/support/error.h"
#include "verify/differential/channel_map.h"
#include "verify/explain/text.h"
#include "verify/proof/finding.h"
#include "verify/proof/plan_check.h"
#include "verify/proof/plan_function.h"
#include "verify/proof/reach.h"
#include "verify/semantics/index.h"
#include "verify/semantics/rounding.h"

namespace lockstep::verify {
namespace {

const char* op_name(std::uint32_t code) {
  switch (code) {
    case PlanOp::kConv2d:
      return "conv2d";
    case PlanOp::kLinear:
      return "linear";
    case PlanOp::kMaxPool2d:
      return "max_pool2d";
    case PlanOp::kRequantize:
      return "requantize";
    case PlanOp::kConvTranspose2d:
      return "conv_transpose2d";
    case PlanOp::kAvgPool2d:
      return "avg_pool2d";
    case PlanOp::kAdd:
      return "add";
    case PlanOp::kMul:
      return "mul";
    case PlanOp::kTable:
      return "table";
    case PlanOp::kMove:
      return "move";
    default:
      return "argmax";
  }
}

// What the post-op of a channel says, for an argument x.
std::string post_text(const PlanPost& post, std::int64_t channel, std::int64_t x) {
  const std::string limits = fmt::format("clamp to [{}, {}]", post.lo, post.hi);
  const std::string_view rounding = rounding_name(post.rounding);
  if (post.kind == INTRT_POST_SHIFT)
    return fmt::format("    shift             {} / 2^{}, rounding {}, {}\n", x, post.shift(channel),
                       rounding, limits);
  const PlanScale& scale = post.scales.at(at(channel));
  if (scale.codes.empty())
    return fmt::format(
        "    scale             ({} * {} + {}) / 2^{}, rounding {}, clamp to [{}, {}]\n", x,
        scale.multiplier, scale.addend, scale.shift, rounding, scale.lo, scale.hi);
  const auto above = std::ranges::upper_bound(scale.thresholds, x);
  const auto step = above - scale.thresholds.begin();
  const std::string from =
      step == 0 ? "below all" : fmt::format("from {}", scale.thresholds[at(step - 1)]);
  return fmt::format("    step {} of {}       {} is {}{}: code {}\n", step, scale.codes.size(), x,
                     from,
                     above == scale.thresholds.end() ? "" : fmt::format(" to below {}", *above),
                     scale.codes[at(step)]);
}

}  // namespace

PlanTerms::PlanTerms(const OpenPlan& plan, const ExactNetwork& network, const Batch& sample)
    : plan_(plan), network_(network), kernels_(kernel_variants_here().at(0)) {
  run_ = run_plan(plan, kernels_, network.graph(), sample, 1);
  if (run_.seen) tensors_ = run_.seen->tensors;
}

std::int64_t PlanTerms::code(std::size_t tensor, std::int64_t element) const {
  return run_.seen->codes[tensor][at(element)];
}

std::string PlanTerms::name(std::size_t tensor, std::int64_t element) const {
  const VisibleTensor& shown = tensors_[tensor];
  const Place place = place_of(shown, element);
  return fmt::format("{}[{}, {}, {}]", shown.name, place.channel, place.y, place.x);
}

std::vector<std::string> PlanTerms::row(std::size_t tensor, std::int64_t element) const {
  return {name(tensor, element), fmt::to_string(code(tensor, element)),
          fmt::to_string(tensors_[tensor].decimal(element))};
}

std::optional<PlanTerms::Found> PlanTerms::find(const GraphElement& wanted) const {
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const VisibleTensor& tensor = tensors_[t];
    const bool is_value = tensor.named || !tensor.offsets.empty();
    if (!is_value || tensor.name != wanted.node ||
        !is_part_of(tensor, network_.format(wanted.node)))
      continue;
    for (std::int64_t e = 0; e < tensor.element_count(); ++e)
      if (graph_element(tensor, e) == wanted.element) return Found{t, e};
  }
  return std::nullopt;
}

std::vector<GraphElement> PlanTerms::kept_instead(const std::vector<GraphElement>& way) const {
  std::vector<GraphElement> nearest = {way.back()};
  for (const Node& node : network_.graph().nodes) {  // in execution order
    if (!keeps_places(network_, node)) continue;
    const GraphElement before = {node.inputs[0], way.back().element};
    if (std::ranges::find(nearest, before) != nearest.end())
      nearest.push_back({node.name, before.element});
  }
  nearest.insert(nearest.end(), way.rbegin() + 1, way.rend());
  return nearest;
}

std::string PlanTerms::text(const std::vector<GraphElement>& way) const {
  if (!run_.seen) return fmt::format("  {}\n", run_.failure);
  for (const GraphElement& element : kept_instead(way)) {
    const std::optional<Found> found = find(element);
    if (!found) continue;
    std::string text;
    if (element != way.back())
      text =
          fmt::format("  the plan does not keep '{}' itself; the nearest that it keeps is '{}'\n",
                      way.back().node, element.node);
    return text + tensor_text(*found);
  }
  return fmt::format("  the plan keeps this element of '{}' nowhere\n", way.back().node);
}

std::string PlanTerms::tensor_text(const Found& found) const {
  const VisibleTensor& tensor = tensors_[found.tensor];
  const std::int64_t held = code(found.tensor, found.element);
  std::string run = fmt::format("    the run holds     {} ({} kernels)\n",
                                code_and_value(held, tensor.decimal(found.element)), kernels_);
  const Place place = place_of(tensor, found.element);
  if (!tensor.offsets.empty())
    run += fmt::format("    with its offset   {:.9g}, added in float32\n",
                       tensor.offsets[at(place.channel)]);
  for (std::uint32_t k = 0; k < intrt_op_count(plan_.get()); ++k) {
    const PlanOp op = read_op(plan_, k);
    if (op.output != found.tensor) continue;
    std::string text = fmt::format("  {}: operator {} ({} of '{}')\n",
                                   name(found.tensor, found.element), k, op_name(op.code), op.node);
    const Sum sum = terms(op, found);
    text += sum.text;
    std::int64_t result = sum.value;
    if (op.code != PlanOp::kTable && op.post.kind != INTRT_POST_NONE) {
      text += post_text(op.post, place.channel, result);
      result = PlanFunction::post(op.post, place.channel).apply(result);
    }
    if (!op.post.keep.empty()) {
      const bool keep = op.post.keep[at(physical_index(tensor, found.element))] != 0;
      text += fmt::format("    mask              {}\n", keep ? 1 : 0);
      if (!keep) result = 0;
    }
    text += fmt::format("    result            {}\n",
                        code_and_value(result, tensor.decimal(found.element)));
    if (result != held) run += "    THE RUN DIFFERS from what the operator's numbers say\n";
    return text + run;
  }
  return fmt::format("  {}: an input\n", name(found.tensor, found.element)) + run;
}

PlanTerms::Sum PlanTerms::terms(const PlanOp& op, const Found& found) const {
  switch (op.code) {
    case PlanOp::kConv2d:
    case PlanOp::kConvTranspose2d:
    case PlanOp::kLinear:
      return products(op, found);
    case PlanOp::kMaxPool2d:
      return maximum(op, found);
    case PlanOp::kAvgPool2d:
      return mean(op, found);
    case PlanOp::kAdd:
    case PlanOp::kMul:
      return pair(op, found);
    case PlanOp::kMove:
      return move(op, found);
    case PlanOp::kArgMax:
      return argmax(op, found);
    default:
      break;
  }
  const std::int64_t x = code(op.inputs[0], found.element);
  const std::string text =
      columns({{"input", "code", "decimal"}, row(op.inputs[0], found.element)});
  if (op.code == PlanOp::kRequantize) return {text, x};
  const VisibleTensor& input = tensors_[op.inputs[0]];
  const std::int64_t first = input.bytes ? 0 : lowest_code(static_cast<int>(input.bits));
  const std::size_t table =
      op.table.table_of[at(place_of(tensors_[found.tensor], found.element).channel)];
  const std::int64_t entry = PlanFunction::table(op.table.entries[table], first).apply(x);
  return {text + fmt::format("    table {}           entry of code {} is {}\n", table, x, entry),
          entry};
}

PlanTerms::Sum PlanTerms::products(const PlanOp& op, const Found& found) const {
  const VisibleTensor &input = tensors_[op.inputs[0]], &output = tensors_[found.tensor];
  const Reach reach = reach_of(op, input, output);
  const std::int64_t plane = std::int64_t{output.height} * output.width;
  const std::int64_t channel = found.element / plane;
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal", "weight", "product"}};
  std::int64_t sum = 0, met = 0;
  reach.each(channel, found.element % plane, [&](std::int64_t k, std::int64_t from) {
    const std::int64_t weight = op.weights[at(weight_index(op, input, channel, k))];
    const std::int64_t product = weight * code(op.inputs[0], from);
    rows.push_back(row(op.inputs[0], from));
    rows.back().push_back(fmt::to_string(weight));
    rows.back().push_back(fmt::to_string(product));
    sum += product;
    ++met;
  });
  std::string text = columns(rows);
  if (met < reach.fan_in)
    text += fmt::format("    {} more weights meet padding\n", reach.fan_in - met);
  text += fmt::format("    sum of products   {}\n", sum);
  if (!op.bias.empty()) {
    text += fmt::format("    bias              {}\n", op.bias[at(channel)]);
    sum += op.bias[at(channel)];
  }
  return {text + fmt::format("    accumulator       {}\n", sum), sum};
}

PlanTerms::Sum PlanTerms::maximum(const PlanOp& op, const Found& found) const {
  const VisibleTensor& input = tensors_[op.inputs[0]];
  const Place place = place_of(tensors_[found.tensor], found.element);
  const PlanWindow& window = op.window;
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal"}};
  Sum result{.text = "", .value = INT64_MIN};
  for (std::int64_t ky = 0; ky < window.kernel_h; ++ky)
    for (std::int64_t kx = 0; kx < window.kernel_w; ++kx) {
      const std::int64_t y = place.y * window.stride_h - window.pad_top + ky * window.dilation_h;
      const std::int64_t x = place.x * window.stride_w - window.pad_left + kx * window.dilation_w;
      if (y < 0 || y >= input.height || x < 0 || x >= input.width) continue;
      const std::int64_t from = (place.channel * input.height + y) * input.width + x;
      rows.push_back(row(op.inputs[0], from));
      result.value = std::max(result.value, code(op.inputs[0], from));
    }
  result.text = columns(rows) + "    the largest of them\n";
  return result;
}

PlanTerms::Sum PlanTerms::mean(const PlanOp& op, const Found& found) const {
  const VisibleTensor& input = tensors_[op.inputs[0]];
  const Place place = place_of(tensors_[found.tensor], found.element);
  const PlanSpan &span_y = op.rows[at(place.y)], &span_x = op.columns[at(place.x)];
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal"}};
  std::int64_t sum = 0;
  for (std::int64_t y = span_y.begin; y < span_y.end; ++y)
    for (std::int64_t x = span_x.begin; x < span_x.end; ++x) {
      const std::int64_t from = (place.channel * input.height + y) * input.width + x;
      rows.push_back(row(op.inputs[0], from));
      sum += code(op.inputs[0], from);
    }
  const std::int64_t scaled = sum * span_y.multiplier * span_x.multiplier;
  return {columns(rows) + fmt::format("    accumulator       {} * {} * {} = {}\n", sum,
                                      span_y.multiplier, span_x.multiplier, scaled),
          scaled};
}

PlanTerms::Sum PlanTerms::pair(const PlanOp& op, const Found& found) const {
  const Place place = place_of(tensors_[found.tensor], found.element);
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal", "multiplier"}};
  Sum result{.text = "", .value = op.code == PlanOp::kMul ? 1 : 0};
  for (std::size_t i = 0; i < 2; ++i) {
    const VisibleTensor& input = tensors_[op.inputs[i]];
    const std::int64_t channel = input.channels == 1 ? 0 : place.channel;
    const std::int64_t y = input.height == 1 ? 0 : place.y, x = input.width == 1 ? 0 : place.x;
    const std::int64_t from = (channel * input.height + y) * input.width + x;
    rows.push_back(row(op.inputs[i], from));
    if (op.code == PlanOp::kMul) {
      rows.back().push_back("-");
      result.value *= code(op.inputs[i], from);
    } else {
      const std::int64_t multiplier = op.multipliers[i][at(place.channel)];
      rows.back().push_back(fmt::to_string(multiplier));
      result.value += multiplier * code(op.inputs[i], from);
    }
  }
  result.text = columns(rows) + fmt::format("    accumulator       {}\n", result.value);
  return result;
}

PlanTerms::Sum PlanTerms::move(const PlanOp& op, const Found& found) const {
  const std::int64_t wanted = physical_index(tensors_[found.tensor], found.element);
  Sum result{.text = "    copied from nowhere: 0\n"};
  for (const PlanPiece& piece : op.pieces)
    each_copy(piece, [&](std::int64_t from, std::int64_t to) {
      if (to != wanted) return;
      const std::uint32_t input = op.inputs[piece.input];
      const std::int64_t element = logical_index(tensors_[input], from);
      result = {columns({{"copied from", "code", "decimal"}, row(input, element)}),
                code(input, element)};
    });
  return result;
}

PlanTerms::Sum PlanTerms::argmax(const PlanOp& op, const Found& found) const {
  const std::int64_t plane = tensors_[found.tensor].element_count();
  std::vector<std::vector<std::string>> rows = {{"input", "code", "decimal"}};
  std::int64_t best = 0;
  for (std::int64_t c = 0; c < std::int64_t{tensors_[op.inputs[0]].channels}; ++c) {
    const std::int64_t from = c * plane + found.element;
    rows.push_back(row(op.inputs[0], from));
    if (code(op.inputs[0], from) > code(op.inputs[0], best * plane + found.element)) best = c;
  }
  return {columns(rows) + "    the channel of the largest, the first of equal ones\n", best};
}

}  // namespace lockstep::verify
