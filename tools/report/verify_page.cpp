#include "tools/report/verify_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "tools/report/bar_chart.h"
#include "tools/report/html_page.h"
#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr std::string_view kMeaning = R"(<h2>What this means</h2>
<dl>
<dt>Proved</dt>
<dd>For every input whose codes lie in their range, plan and C compute, bit for bit, what the network's float
path computes in eval mode. It follows from the files alone, not from samples; <code>lockstep check</code>
derives it again from a certificate. Where a layer is marked double, float32 depends on the order of its sum,
and the reference is double.</dd>
<dt>Bits of sums</dt>
<dd>What the largest sum that any input can make needs, of its 31 or 63; and of the 24 up to which every
float32 sum is exact in any order.</dd>
<dt>Runs</dt>
<dd>Samples of all paths, held against the exact semantics with zero tolerance. They refute, but prove nothing
for other inputs.</dd>
<dt>Self-test</dt>
<dd>Wrong versions of this plan that were given to the proof. One that it accepts, and that may compute
something else, is a survivor; there must be none.</dd>
</dl>
)";

std::string number(std::int64_t value) {
  const std::uint64_t magnitude =
      value < 0 ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  return fmt::format("{}{}", value < 0 ? "-" : "", grouped(magnitude));
}

int bits_of(std::int64_t bound) {
  return std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(bound, 0)));
}

// A layer, over all its channels.
struct Layer {
  std::string name, op;
  std::int64_t channels = 0, lo = 0, hi = 0, bound = 0, float_bound = -1, arguments = 0;
  int accumulator_bits = 32;
  bool is_float32_exact = true;
  std::set<std::string> posts = {}, methods = {};
};

Layer layer_of(const checker::LayerFacts& facts) {
  Layer layer{.name = facts.layer, .op = facts.op};
  bool is_first = true;
  for (const checker::ChannelFacts& channel : facts.channels) {
    layer.channels += channel.last - channel.first + 1;
    layer.lo = is_first ? channel.lo : std::min(layer.lo, channel.lo);
    layer.hi = is_first ? channel.hi : std::max(layer.hi, channel.hi);
    layer.bound = std::max(layer.bound, channel.bound);
    layer.float_bound = std::max(layer.float_bound, channel.float_bound);
    layer.arguments += channel.arguments;
    layer.accumulator_bits = channel.accumulator_bits;
    layer.is_float32_exact = layer.is_float32_exact && channel.is_float32_exact;
    layer.posts.insert(channel.post);
    layer.methods.insert(channel.method);
    is_first = false;
  }
  return layer;
}

std::string joined(const std::set<std::string>& texts) {
  std::string text;
  for (const std::string& one : texts) {
    if (one.empty()) continue;
    if (text.size() > 60) return text + ", ...";
    text += (text.empty() ? "" : ", ") + one;
  }
  return text;
}

std::string proof_section(const checker::Proof& proof) {
  std::vector<BarRow> rows;
  HtmlTable table{.columns = {"layer", "operator", "function of the sums", "how it is proved",
                              "channels", "sums from", "to", "largest partial sum",
                              "in float32 steps", "sums or codes looked at"},
                  .text_columns = 4};
  for (const checker::LayerFacts& facts : proof.layers) {
    const Layer layer = layer_of(facts);
    const int full = layer.accumulator_bits - 1, bits = bits_of(layer.bound);
    BarRow row{layer.name, layer.op, {}};
    row.bars.push_back({{static_cast<std::uint64_t>(bits)},
                        fmt::format("{} of {}, {} spare", bits, full, full - bits)});
    if (layer.float_bound < 0) {
      row.bars.push_back({{0}, "no float sum"});
    } else {
      const int float_bits = bits_of(layer.float_bound);
      row.bars.push_back({{static_cast<std::uint64_t>(std::min(float_bits, 24))},
                          layer.is_float32_exact
                              ? fmt::format("{} of 24, {} spare", float_bits, 24 - float_bits)
                              : fmt::format("{}: double", float_bits)});
    }
    if (layer.bound > 0) rows.push_back(std::move(row));
    table.rows.push_back(
        {layer.name, layer.op, joined(layer.posts), joined(layer.methods), number(layer.channels),
         number(layer.lo), number(layer.hi), number(layer.bound),
         layer.float_bound < 0 ? "" : number(layer.float_bound), number(layer.arguments)});
  }
  return "<h2>Layers</h2>\n<p class=\"soft\">How many bits the largest sums need.</p>\n" +
         figure(bar_chart("Bits that the sums of each layer need", "layer",
                          {{"accumulator bits", 260, 130, {"work"}, {}, 31},
                           {"float32 bits", 260, 130, {"ram"}, {}, 24}},
                          rows)) +
         folded("All numbers", html_table(table)) +
         fmt::format(
             "<p class=\"soft\">{} weights, {} elements and {} pairs of tensors in the "
             "arena were looked at.</p>\n",
             number(proof.weights_checked), number(proof.elements_checked),
             number(proof.arena_pairs_checked));
}

std::string runs_section(const verify::Report& report) {
  HtmlTable table{
      .columns = {"path", "what went wrong", "samples", "tensors", "values", "differing"},
      .text_columns = 2};
  HtmlTable costs{.columns = {"per sample", "instructions", "reads", "writes", "multiplications",
                              "branches", "vector", "stack", "stack bound", "code", "constants"}};
  for (const verify::PathReport& path : report.paths) {
    table.rows.push_back({path.path, path.failure, number(path.samples), number(path.tensors),
                          number(path.values), number(path.differing)});
    if (!path.cost) continue;
    std::vector<std::string> row = {path.path};
    for (const auto member :
         {&verify::ExecutionCounts::instructions, &verify::ExecutionCounts::reads,
          &verify::ExecutionCounts::writes, &verify::ExecutionCounts::multiplications,
          &verify::ExecutionCounts::branches, &verify::ExecutionCounts::vector_instructions})
      row.push_back(grouped(path.cost->counts.*member));
    row.push_back(grouped(path.cost->stack_bytes));
    row.push_back(path.cost->stack_bound_bytes ? grouped(*path.cost->stack_bound_bytes) : "");
    row.push_back(grouped(path.cost->code_bytes));
    row.push_back(grouped(path.cost->constant_bytes));
    costs.rows.push_back(std::move(row));
  }
  std::string text = "<h2>Runs</h2>\n" + html_table(table);
  if (report.c_probes)
    text += fmt::format("<p>{}: {} on every operator.</p>\n",
                        escaped_for_xml(report.c_probes->path), report.c_probes->probes);
  if (!costs.rows.empty()) text += html_table(costs);
  if (!report.worst_cases.empty()) {
    HtmlTable worst{.columns = {"layer", "end", "channel", "proved bound", "attained", "sample"},
                    .text_columns = 2};
    for (const verify::WorstCaseReport& one : report.worst_cases)
      worst.rows.push_back({one.layer, one.largest ? "largest" : "smallest", number(one.channel),
                            number(one.bound), number(one.attained), number(one.sample)});
    text += folded(fmt::format("Worst-case inputs: {} of the {} ends of sums were searched",
                               report.worst_cases.size(), 2 * report.channels),
                   html_table(worst));
  }
  return text;
}

std::string self_test_section(const SelfTest& test) {
  std::string text = "<h2>Self-test</h2>\n";
  text += fmt::format("<p>{}</p>\n", escaped_for_xml(test.text.substr(0, test.text.find('\n'))));
  if (!test.json.contains("kinds")) return text;
  constexpr std::string_view kNumbers[] = {"made",     "refused", "refuted",
                                           "unjudged", "equal",   "survived"};
  HtmlTable table{.columns = {"what was changed"}, .has_total = true};
  table.columns.insert(table.columns.end(), std::begin(kNumbers), std::end(kNumbers));
  const auto add = [&](const std::string& name, const nlohmann::ordered_json& score) {
    std::vector<std::string> row = {name};
    for (const std::string_view key : kNumbers)
      row.push_back(number(score.at(std::string(key)).get<std::int64_t>()));
    table.rows.push_back(std::move(row));
  };
  for (const auto& [name, score] : test.json.at("kinds").items()) add(name, score);
  add("all", test.json);
  return text + html_table(table);
}

}  // namespace

std::string verify_page(const VerifyPage& page) {
  const std::string name = escaped_for_xml(page.network);
  std::string text = page_head(name + ": " + escaped_for_xml(page.verdict));
  text += fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">What <code>lockstep verify</code> found about "
      "<code>{}</code>.</p>\n<p class=\"verdict {}\">{}</p>\n",
      name, escaped_for_xml(page.plan), page.verdict, escaped_for_xml(page.line));
  if (!page.remarks.empty()) text += fmt::format("<pre>{}</pre>\n", escaped_for_xml(page.remarks));
  text += fmt::format(
      "<p>{} samples ran; {} numbers of the plan were derived from graph and state dict and "
      "compared.</p>\n",
      number(page.report.samples), number(page.report.constants_checked));
  if (page.proof != nullptr) text += proof_section(*page.proof);
  text += runs_section(page.report);
  if (page.self_test != nullptr) text += self_test_section(*page.self_test);
  return text + std::string(kMeaning) + page_end();
}

}  // namespace lockstep::cli
