#include "tools/report/cost_page.h"

#include <fmt/format.h>

#include "tools/report/bar_chart.h"
#include "tools/report/html_page.h"
#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr std::string_view kMeaning = R"(<h2>What the figures are</h2>
<dl>
<dt>Instructions</dt>
<dd>of one inference of random codes, counted exactly in the emulator, operator by operator. They are no
time: a core may take several cycles for one, and caches, wait states and the bus are not there.</dd>
<dt>Flash</dt>
<dd>the sizes of the functions and tables of each operator in the compiled object, by their symbols. What
operators share, the table of tensors and texts, and what the alignment of sections takes, is outside of
operators. The C library's functions (memcpy) and the rest of the firmware are not in it.</dd>
<dt>RAM</dt>
<dd>for an operator the bytes of the arena that hold tensors while it runs; for the whole the arena, in which
operators may have working memory, too.</dd>
<dt>Stack</dt>
<dd>for an operator the most that it and all that it calls can take, from the compiler's own account of every
frame; for the whole what a run took, and the bound.</dd>
</dl>
)";

std::string per_mac(const OperatorCost& row) {
  if (row.macs == 0) return "";
  return fmt::format("{:.2f}",
                     static_cast<double>(row.counts.instructions) / static_cast<double>(row.macs));
}

std::vector<BarColumn> columns(const char* stack) {
  return {{"instructions", 180, 140, {"work"}, {}},
          {"flash bytes", 130, 70, {"code", "data"}, {"code", "constants"}},
          {"RAM bytes", 90, 70, {"ram"}, {}},
          {stack, 54, 96, {"stack"}, {}}};
}

Bar flash_bar(const OperatorCost& row) {
  return {{row.code_bytes, row.constant_bytes}, grouped(row.flash_bytes())};
}

std::string cores_chart(const std::vector<CoreCost>& cores) {
  std::vector<BarRow> rows;
  for (const CoreCost& core : cores) {
    const OperatorCost& whole = core.whole;
    std::string stack = grouped(core.stack_bytes);
    if (whole.stack_bound_bytes)
      stack += fmt::format(" (\u2264 {})", grouped(*whole.stack_bound_bytes));
    rows.push_back({core.processor,
                    per_mac(whole).empty() ? "" : per_mac(whole) + " per MAC",
                    {{{whole.counts.instructions}, grouped(whole.counts.instructions)},
                     flash_bar(whole),
                     {{core.arena_bytes}, grouped(core.arena_bytes)},
                     {{core.stack_bytes}, stack}}});
  }
  return bar_chart("The whole network on each core", "core", columns("stack bytes"), rows);
}

std::string operators_chart(const CoreCost& core) {
  std::uint64_t all = core.outside.counts.instructions;
  for (const OperatorCost& row : core.operators) all += row.counts.instructions;
  std::vector<BarRow> rows;
  const auto add = [&](const OperatorCost& row) {
    const std::uint64_t instructions = row.counts.instructions;
    const double share = 100.0 * static_cast<double>(instructions) / static_cast<double>(all);
    const std::uint64_t bound = row.stack_bound_bytes.value_or(0);
    rows.push_back(
        {row.name,
         row.kind,
         {{{instructions}, fmt::format("{} \u00b7 {:.1f} %", grouped(instructions), share)},
          flash_bar(row),
          {{row.ram_bytes}, row.ram_bytes == 0 ? "" : grouped(row.ram_bytes)},
          {{bound}, bound == 0 ? "" : "\u2264 " + grouped(bound)}}});
  };
  for (const OperatorCost& row : core.operators) add(row);
  add(core.outside);
  return bar_chart("The operators on " + core.processor, "operator", columns("stack bound"), rows);
}

std::string numbers_table(const CoreCost& core) {
  HtmlTable table{.columns = {"operator", "", "MACs", "instructions", "per MAC", "reads", "writes",
                              "multiplications", "branches", "vector", "code", "constants", "RAM",
                              "stack bound"},
                  .text_columns = 2};
  const auto add = [&](const OperatorCost& row) {
    const verify::ExecutionCounts& counts = row.counts;
    table.rows.push_back(
        {row.name, row.kind, grouped(row.macs), grouped(counts.instructions), per_mac(row),
         grouped(counts.reads), grouped(counts.writes), grouped(counts.multiplications),
         grouped(counts.branches), grouped(counts.vector_instructions), grouped(row.code_bytes),
         grouped(row.constant_bytes), row.ram_bytes == 0 ? std::string() : grouped(row.ram_bytes),
         row.stack_bound_bytes ? grouped(*row.stack_bound_bytes) : std::string()});
  };
  for (const OperatorCost& row : core.operators) add(row);
  add(core.outside);
  add(core.whole);
  table.has_total = true;
  return folded("All numbers", html_table(table));
}

}  // namespace

std::string cost_page(std::string_view network, std::string_view what,
                      const std::vector<CoreCost>& cores) {
  const std::string name = escaped_for_xml(network);
  std::string page = page_head(name + ": what it costs on a core");
  page += fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">What one inference of {} costs on emulated cores, compiled "
      "and counted by <code>lockstep bench</code>. Every tensor was what the plan "
      "computes.</p>\n",
      name, escaped_for_xml(what));
  page += figure(cores_chart(cores));
  for (const CoreCost& core : cores) {
    page += fmt::format("<h2>{}</h2>\n<p class=\"soft\"><code>{}</code></p>\n",
                        escaped_for_xml(core.processor), escaped_for_xml(core.compiler));
    page += figure(operators_chart(core));
    page += numbers_table(core);
  }
  return page + std::string(kMeaning) + page_end();
}

}  // namespace lockstep::cli
