#include "tools/report/cost_page.h"

#include <fmt/format.h>

#include "tools/report/bar_chart.h"
#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>TITLE</title>
<style>
:root { color-scheme: light dark; --page: #fff; --text: #1c2228; --soft: #5c6670; --line: #d4dae0;
  --stripe: #f4f6f8; --work: #2f6fb5; --code: #2f8f83; --data: #9bd0c8; --ram: #8a5bb0; --stack: #c07a1e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --text: #e3e8ec; --soft: #98a4ae;
  --line: #333c44; --stripe: #1b2127; --work: #6ba6e6; --code: #4fbfb0; --data: #2b6b63; --ram: #b48ad6;
  --stack: #dfa24d; } }
body { margin: 0 auto; max-width: 1180px; padding: 24px 28px 48px; background: var(--page);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 19px; margin: 36px 0 2px; padding-top: 18px; border-top: 1px solid var(--line); }
p { margin: 4px 0 12px; max-width: 86ch; }
.soft, figcaption, summary { color: var(--soft); font-size: 13.5px; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
figure { margin: 10px 0; overflow-x: auto; }
svg { display: block; width: 100%; min-width: 900px; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--text); font-variant-numeric: tabular-nums; }
svg .head { font-weight: 600; }
svg .kind { fill: var(--soft); }
svg .stripe { fill: var(--stripe); }
svg .axis { stroke: var(--line); }
.work { fill: var(--work); } .code { fill: var(--code); } .data { fill: var(--data); }
.ram { fill: var(--ram); } .stack { fill: var(--stack); }
details { margin: 6px 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin-top: 8px; }
th, td { padding: 3px 12px; text-align: right; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid var(--line); font-weight: 600; vertical-align: bottom; }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; }
tbody tr:nth-child(odd) { background: var(--stripe); }
tr.whole td { border-top: 1px solid var(--line); font-weight: 600; }
dt { font-weight: 600; margin-top: 8px; }
dd { margin: 0 0 0 1.5em; max-width: 84ch; }
</style>
</head>
<body>
)";

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
</body>
</html>
)";

std::string replaced(std::string_view text, std::string_view word, const std::string& by) {
  std::string result(text);
  return result.replace(result.find(word), word.size(), by);
}

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
  std::string text =
      "<details><summary>All numbers</summary>\n<table>\n<thead><tr><th>operator</th><th></th>";
  for (const char* const title :
       {"MACs", "instructions", "per MAC", "reads", "writes", "multiplications", "branches",
        "vector", "code", "constants", "RAM", "stack bound"})
    text += fmt::format("<th>{}</th>", title);
  text += "</tr></thead>\n<tbody>\n";
  const auto add = [&](const OperatorCost& row, const char* kind) {
    const verify::ExecutionCounts& counts = row.counts;
    text += fmt::format("<tr{}><td>{}</td><td>{}</td>", kind, escaped_for_xml(row.name),
                        escaped_for_xml(row.kind));
    for (const std::string& cell :
         {grouped(row.macs), grouped(counts.instructions), per_mac(row), grouped(counts.reads),
          grouped(counts.writes), grouped(counts.multiplications), grouped(counts.branches),
          grouped(counts.vector_instructions), grouped(row.code_bytes), grouped(row.constant_bytes),
          row.ram_bytes == 0 ? std::string() : grouped(row.ram_bytes),
          row.stack_bound_bytes ? grouped(*row.stack_bound_bytes) : std::string()})
      text += fmt::format("<td>{}</td>", cell);
    text += "</tr>\n";
  };
  for (const OperatorCost& row : core.operators) add(row, "");
  add(core.outside, "");
  add(core.whole, " class=\"whole\"");
  return text + "</tbody>\n</table>\n</details>\n";
}

std::string figure(const std::string& chart) { return "<figure>\n" + chart + "</figure>\n"; }

}  // namespace

std::string cost_page(std::string_view network, std::string_view what,
                      const std::vector<CoreCost>& cores) {
  const std::string name = escaped_for_xml(network);
  std::string page = replaced(kHead, "TITLE", name + ": what it costs on a core");
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
  return page + std::string(kMeaning);
}

}  // namespace lockstep::cli
