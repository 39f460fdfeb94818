#include "tools/report/html_page.h"

#include <fmt/format.h>

#include "tools/report/junit.h"

namespace lockstep::cli {
namespace {

constexpr std::string_view kTitle = "@title";
constexpr std::string_view kHead = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>@title</title>
<style>
:root { color-scheme: light dark; --page: #fff; --text: #1c2228; --soft: #5c6670; --line: #d4dae0;
  --stripe: #f4f6f8; --good: #2c7a4b; --bad: #b3372f; --unsure: #9a6a00; --work: #2f6fb5; --code: #2f8f83; --data: #9bd0c8; --ram: #8a5bb0; --stack: #c07a1e; }
@media (prefers-color-scheme: dark) { :root { --page: #14181c; --text: #e3e8ec; --soft: #98a4ae;
  --line: #333c44; --stripe: #1b2127; --good: #6cc48d; --bad: #f0857d; --unsure: #e0b04c; --work: #6ba6e6; --code: #4fbfb0; --data: #2b6b63; --ram: #b48ad6;
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
svg .roof { stroke: var(--soft); stroke-width: 1.5; fill: none; }
svg .dot { fill-opacity: 0.75; }
.work { fill: var(--work); } .code { fill: var(--code); } .data { fill: var(--data); }
.line { fill: var(--line); } .ram { fill: var(--ram); } .stack { fill: var(--stack); }
.verdict { font-size: 17px; font-weight: 600; border-left: 5px solid; padding: 4px 0 4px 12px; overflow-wrap: anywhere; }
.proved { color: var(--good); } .refuted { color: var(--bad); } .unknown { color: var(--unsure); }
pre { font: 13px/1.5 ui-monospace, monospace; overflow-x: auto; }
details, .wide { margin: 6px 0; overflow-x: auto; }
table { border-collapse: collapse; font-size: 13px; margin-top: 8px; }
th, td { padding: 3px 12px; text-align: right; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid var(--line); font-weight: 600; vertical-align: bottom; }
th.text, td.text { text-align: left; }
tbody tr:nth-child(odd) { background: var(--stripe); }
tr.whole td { border-top: 1px solid var(--line); font-weight: 600; }
dt { font-weight: 600; margin-top: 8px; }
dd { margin: 0 0 0 1.5em; max-width: 84ch; }
</style>
</head>
<body>
)";

}  // namespace

std::string page_head(std::string_view title) {
  std::string head(kHead);
  return head.replace(head.find(kTitle), kTitle.size(), title);
}

std::string page_end() { return "</body>\n</html>\n"; }

std::string figure(const std::string& chart) { return "<figure>\n" + chart + "</figure>\n"; }

std::string folded(std::string_view summary, const std::string& content) {
  return fmt::format("<details><summary>{}</summary>\n{}</details>\n", escaped_for_xml(summary),
                     content);
}

std::string html_table(const HtmlTable& table) {
  const auto row = [&](const char* tag, const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i)
      text += fmt::format("<{0}{1}>{2}</{0}>", tag, i < table.text_columns ? " class=\"text\"" : "",
                          escaped_for_xml(cells[i]));
    return text;
  };
  std::string text =
      fmt::format("<div class=\"wide\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n",
                  row("th", table.columns));
  for (std::size_t r = 0; r < table.rows.size(); ++r)
    text += fmt::format("<tr{}>{}</tr>\n",
                        table.has_total && r + 1 == table.rows.size() ? " class=\"whole\"" : "",
                        row("td", table.rows[r]));
  return text + "</tbody>\n</table></div>\n";
}

}  // namespace lockstep::cli
