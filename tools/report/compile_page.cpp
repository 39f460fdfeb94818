#include "tools/report/compile_page.h"

#include <fmt/format.h>

#include "tools/report/bar_chart.h"
#include "tools/report/html_page.h"
#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr std::string_view kMeaning = R"(<h2>What the figures are</h2>
<dl>
<dt>MACs</dt>
<dd>multiply-accumulates of one inference: those whose weight is not zero, and the others, which a dense
operator makes, too.</dd>
<dt>Constants</dt>
<dd>weights with biases, and tables: shifts, multipliers, masks, look-up tables.</dd>
<dt>Output</dt>
<dd>the bytes of the tensor that the operator writes. Tensors that are not needed at the same time share the
arena.</dd>
<dt>Bits</dt>
<dd>what the range that is proved for the operator's sums needs.</dd>
<dt>Instructions and code of the C</dt>
<dd>are estimates, by which the compiler chooses; <code>lockstep bench --target</code> counts them.</dd>
</dl>
)";

std::string number(std::int64_t value) { return grouped(static_cast<std::uint64_t>(value)); }
std::uint64_t part(std::int64_t value) { return static_cast<std::uint64_t>(value); }

std::string operators_section(const Compiled& compiled) {
  std::vector<BarRow> rows;
  HtmlTable table{.columns = {"operator", "", "MACs", "not zero", "weights", "tables", "output",
                              "bits of sums"},
                  .text_columns = 2,
                  .has_total = true};
  OperatorReport all;
  all.node = "all";
  const auto add = [&](const OperatorReport& row) {
    table.rows.push_back({row.node, row.op, number(row.macs), number(row.nonzero_macs),
                          number(row.weight_bytes), number(row.table_bytes),
                          row.node == "all" ? "" : number(row.output_bytes),
                          row.accumulator_bits == 0 ? "" : number(row.accumulator_bits)});
  };
  for (const OperatorReport& row : compiled.operators) {
    add(row);
    all.macs += row.macs;
    all.nonzero_macs += row.nonzero_macs;
    all.weight_bytes += row.weight_bytes;
    all.table_bytes += row.table_bytes;
    rows.push_back({row.node,
                    row.op,
                    {{{part(row.nonzero_macs), part(row.macs - row.nonzero_macs)},
                      row.macs == 0 ? "" : number(row.macs)},
                     {{part(row.weight_bytes), part(row.table_bytes)},
                      number(row.weight_bytes + row.table_bytes)},
                     {{part(row.output_bytes)}, number(row.output_bytes)},
                     {{part(row.accumulator_bits)},
                      row.accumulator_bits == 0 ? "" : number(row.accumulator_bits)}}});
  }
  add(all);
  return "<h2>Operators</h2>\n" +
         figure(bar_chart("What each operator takes", "operator",
                          {{"MACs", 170, 80, {"work", "line"}, {"with a weight", "with 0"}},
                           {"constant bytes", 150, 80, {"code", "data"}, {"weights", "tables"}},
                           {"output bytes", 110, 70, {"ram"}, {}},
                           {"bits of sums", 70, 30, {"stack"}, {}, 31}},
                          rows)) +
         folded("All numbers", html_table(table));
}

std::string passes_section(const Compiled& compiled) {
  HtmlTable table{.columns = {"after the pass", "operators", "MACs", "not zero", "weight bytes",
                              "table bytes", "RAM bytes needed at once"}};
  for (const PassReport& row : compiled.passes)
    table.rows.push_back({row.pass, number(row.ops), number(row.macs), number(row.nonzero_macs),
                          number(row.weight_bytes), number(row.table_bytes),
                          number(row.live_bytes)});
  return "<h2>Passes</h2>\n" + html_table(table);
}

std::string storage_section(const Compiled& compiled) {
  if (compiled.storage.empty()) return "";
  HtmlTable table{
      .columns = {"weights of", "stored", "weights", "zeros", "dense bytes", "sparse bytes"},
      .text_columns = 2};
  for (const passes::StorageChoice& row : compiled.storage)
    table.rows.push_back({row.node, row.reason, number(row.weights), number(row.zeros),
                          number(row.dense_bytes), number(row.sparse_bytes)});
  return "<h2>Storage of weights</h2>\n" + html_table(table);
}

std::string c_section(const CSources& sources, const std::string& target) {
  std::vector<BarRow> rows;
  HtmlTable table{.columns = {"operator", "written as", "could be", "instructions", "code",
                              "constants", "working memory"},
                  .text_columns = 3};
  for (const CStrategyReport& row : sources.operators) {
    rows.push_back({row.node,
                    row.op,
                    {{{part(row.taken.instructions)},
                      fmt::format("{}, {}", number(row.taken.instructions), row.taken.strategy)},
                     {{part(row.taken.code_bytes), part(row.taken.constant_bytes)},
                      number(row.taken.code_bytes + row.taken.constant_bytes)}}});
    for (const CStrategyCost& cost : row.alternatives) {
      const bool is_taken = cost.strategy == row.taken.strategy;
      table.rows.push_back({row.node, is_taken ? cost.strategy : "", is_taken ? "" : cost.strategy,
                            number(cost.instructions), number(cost.code_bytes),
                            number(cost.constant_bytes), number(cost.scratch_bytes)});
    }
  }
  return fmt::format("<h2>C for {}</h2>\n<p class=\"soft\">Its arena has {} bytes.</p>\n",
                     escaped_for_xml(target), number(sources.arena_bytes)) +
         figure(bar_chart(
             "How operators are written in C", "operator",
             {{"instructions, expected", 220, 270, {"work"}, {}},
              {"flash bytes, expected", 190, 80, {"code", "data"}, {"code", "constants"}}},
             rows)) +
         folded("All that was considered", html_table(table));
}

}  // namespace

std::string compile_page(const CompilePage& page) {
  const Compiled& compiled = page.compiled;
  const std::string name = escaped_for_xml(compiled.program.name);
  std::string text = page_head(name + ": the compiled network");
  text += fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">What <code>lockstep compile</code> made of it: "
      "<code>{}</code>, {} bytes, which need {} bytes of RAM.</p>\n",
      name, escaped_for_xml(page.plan), grouped(compiled.plan.size()),
      number(compiled.arena_bytes));
  text += operators_section(compiled);
  if (page.c != nullptr) text += c_section(*page.c, page.target);
  text += storage_section(compiled);
  text += passes_section(compiled);
  return text + std::string(kMeaning) + page_end();
}

}  // namespace lockstep::cli
