#include "tools/report/profile_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/report/bar_chart.h"
#include "tools/report/html_page.h"
#include "tools/report/junit.h"
#include "tools/report/scatter_chart.h"

namespace lockstep::cli {
namespace {

constexpr std::size_t kLabels = 4;  // of the operators that take the most time

constexpr std::string_view kMeaning = R"(<h2>What the figures are</h2>
<dl>
<dt>Time</dt>
<dd>the median over all inferences, on this machine, with whatever else it did. Between two operators the
clock is read, which the time of the whole network does not hold.</dd>
<dt>MACs</dt>
<dd>multiplications by stored weights, those with padding included.</dd>
<dt>Bytes</dt>
<dd>of an operator's inputs, its output and its stored weights, each counted once.</dd>
<dt>Peak</dt>
<dd>what the instructions of these kernels multiply in registers, and what is read from 256 KB and from
64 MB, measured right before on as many threads. An operator whose data are still in a cache may lie above
what memory allows.</dd>
</dl>
)";

std::string colour_of(const std::string& kernel) {
  return kernel.starts_with("linear") ? "stack" : kernel.starts_with("conv2d") ? "work" : "ram";
}

// One point for each operator with weights.
template <typename X, typename Y>
std::vector<ScatterPoint> points(const Profile& profile, const X& x, const Y& y) {
  std::vector<const OperatorProfile*> slowest;
  for (const OperatorProfile& op : profile.operators)
    if (op.info.macs != 0) slowest.push_back(&op);
  std::ranges::stable_sort(slowest, std::ranges::greater(), &OperatorProfile::seconds);
  std::vector<ScatterPoint> found;
  for (std::size_t i = 0; i < slowest.size(); ++i)
    found.push_back({slowest[i]->info.node, colour_of(slowest[i]->info.kernel), x(*slowest[i]),
                     y(*slowest[i]), i < kLabels});
  return found;
}

std::string roofline(const Profile& profile) {
  const MachinePeak& peak = profile.peak;
  return scatter_chart(
      "Roofline: multiplications in a second over multiplications for each byte",
      {.title = "MACs for each byte of data"},
      {.title = "GMAC/s", .most = peak.macs_per_second / 1e9},
      {{fmt::format("{:.0f} GMAC/s", peak.macs_per_second / 1e9), 0, peak.macs_per_second / 1e9},
       {fmt::format("from caches, {:.0f} GB/s", peak.cache_bytes_per_second / 1e9),
        peak.cache_bytes_per_second / 1e9, peak.macs_per_second / 1e9},
       {fmt::format("from memory, {:.0f} GB/s", peak.memory_bytes_per_second / 1e9),
        peak.memory_bytes_per_second / 1e9, peak.macs_per_second / 1e9}},
      points(
          profile,
          [](const OperatorProfile& op) {
            return static_cast<double>(op.info.macs) / static_cast<double>(op.info.bytes);
          },
          [](const OperatorProfile& op) { return op.macs_per_second() / 1e9; }));
}

std::string time_over_macs(const Profile& profile) {
  return scatter_chart(
      "Time over multiplications", {.title = "MACs"}, {.title = "microseconds"},
      {{"at the peak", 1e6 / profile.peak.macs_per_second},
       {"at a tenth of it", 1e7 / profile.peak.macs_per_second}},
      points(
          profile, [](const OperatorProfile& op) { return static_cast<double>(op.info.macs); },
          [](const OperatorProfile& op) { return 1e6 * op.seconds; }));
}

std::string time_bars(const Profile& profile) {
  double all = 0;
  for (const OperatorProfile& op : profile.operators) all += op.seconds;
  std::vector<BarRow> rows;
  for (const OperatorProfile& op : profile.operators) {
    const bool multiplies = op.info.macs != 0;
    const double share = multiplies ? profile.share_of_peak(op) : 0;
    rows.push_back(
        {op.info.node,
         op.info.kernel,
         {{{static_cast<std::uint64_t>(1e9 * op.seconds)},
           fmt::format("{:.1f} \u00b7 {:.1f} %", 1e6 * op.seconds, 100 * op.seconds / all)},
          {{op.info.macs}, multiplies ? grouped(op.info.macs) : ""},
          {{static_cast<std::uint64_t>(1e6 * std::min(share, 1.0))},
           multiplies ? fmt::format("{:.0f} %", 100 * share) : ""}}});
  }
  return bar_chart("The time of each operator", "operator",
                   {{"microseconds", 200, 100, {"work"}, {}},
                    {"MACs", 150, 90, {"code"}, {}},
                    {"of the peak", 110, 50, {"stack"}, {}, 1'000'000}},
                   rows);
}

}  // namespace

std::string profile_page(const Profile& profile) {
  const std::string name = escaped_for_xml(profile.network);
  std::string page = page_head(name + ": where its time goes");
  page += fmt::format(
      "<h1>{}</h1>\n<p class=\"soft\">One inference takes {:.1f} microseconds here with {} kernels "
      "on {} thread{}: the median of {} inferences.</p>\n",
      name, 1e6 * profile.seconds, escaped_for_xml(profile.kernels), profile.threads,
      profile.threads == 1 ? "" : "s", profile.inferences);
  const bool multiplies = std::ranges::any_of(
      profile.operators, [](const OperatorProfile& op) { return op.info.macs != 0; });
  if (multiplies) {
    page +=
        "<h2>Roofline</h2>\n<p class=\"soft\">No operator can be above the lines: the level one "
        "is the peak of multiplying, the sloping ones of reading, from caches and from "
        "memory. <span class=\"soft\">Blue: convolutions, brown: linear layers, purple: "
        "transposed convolutions.</span></p>\n" +
        figure(roofline(profile)) + "<h2>Time over multiplications</h2>\n" +
        figure(time_over_macs(profile));
  }
  page += "<h2>Operators</h2>\n" + figure(time_bars(profile));
  return page + std::string(kMeaning) + page_end();
}

}  // namespace lockstep::cli
