// The HTML page of host_bench: time against multiplications, next to the machine's peak.
#pragma once

#include <string>
#include <vector>

namespace lockstep::bench {

struct MeasuredWorkload {
  std::string name;
  double macs = 0;
  double seconds = 0;     // ours
  std::string best_peer;  // empty: none ran
  double peer_seconds = 0;
};

// `peak`: multiplications in a second. At least one workload.
std::string host_page(const std::string& kernels, double peak,
                      const std::vector<MeasuredWorkload>& workloads);

}  // namespace lockstep::bench
