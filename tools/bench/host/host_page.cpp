#include "tools/bench/host/host_page.h"

#include <fmt/format.h>

#include "tools/report/html_page.h"
#include "tools/report/junit.h"
#include "tools/report/scatter_chart.h"

namespace lockstep::bench {
namespace {

cli::HtmlTable table(double peak, const std::vector<MeasuredWorkload>& workloads) {
  cli::HtmlTable found{.columns = {"workload", "MMAC", "us", "GMAC/s", "of the peak", "best peer",
                                   "us", "peer / ours"}};
  for (const MeasuredWorkload& one : workloads) {
    const double rate = one.macs / one.seconds;
    const bool has_peer = !one.best_peer.empty();
    found.rows.push_back(
        {one.name, fmt::format("{:.3f}", one.macs / 1e6), fmt::format("{:.1f}", 1e6 * one.seconds),
         fmt::format("{:.1f}", rate / 1e9), fmt::format("{:.0f} %", 100 * rate / peak),
         one.best_peer, has_peer ? fmt::format("{:.1f}", 1e6 * one.peer_seconds) : "",
         has_peer ? fmt::format("{:.2f}", one.peer_seconds / one.seconds) : ""});
  }
  return found;
}

}  // namespace

std::string host_page(const std::string& kernels, double peak,
                      const std::vector<MeasuredWorkload>& workloads) {
  std::vector<cli::ScatterPoint> points;
  for (const MeasuredWorkload& one : workloads) {
    points.push_back({one.name, "work", one.macs, 1e6 * one.seconds, true});
    if (!one.best_peer.empty())
      points.push_back(
          {one.name + ", " + one.best_peer, "stack", one.macs, 1e6 * one.peer_seconds});
  }
  std::string page = cli::page_head("Time over multiplications");
  page += fmt::format(
      "<h1>Time over multiplications</h1>\n<p class=\"soft\">One thread, batch 1, {} kernels: "
      "medians. The peak of this machine is {:.0f} GMAC/s, multiplications of codes in registers. "
      "Blue: ours; brown: the fastest peer.</p>\n",
      cli::escaped_for_xml(kernels), peak / 1e9);
  page += cli::figure(
      cli::scatter_chart("Time over multiplications", {.title = "MACs"}, {.title = "microseconds"},
                         {{"at the peak", 1e6 / peak}, {"at a tenth of it", 1e7 / peak}}, points));
  return page + cli::html_table(table(peak, workloads)) + cli::page_end();
}

}  // namespace lockstep::bench
