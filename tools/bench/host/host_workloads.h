// What host_bench measures: networks of the zoo and single layers as small graphs, with drawn or
// calibrated states, and how far ahead of the peers each is to be.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"

namespace lockstep::bench {

struct HostWorkload {
  std::string_view name;
  // A peer's time divided by ours, at least; 0: nothing is asked. Best peer: the fastest of those
  // that ran. The figure for onnxruntime holds for its u8s8 model, that for float32 for its float
  // one; where the latter is 0, for the faster of the two.
  double best_peer = 0, onnxruntime = 0, onnxruntime_float = 0;
  double two_threads = 0;  // our one thread's time divided by that of two, at least
};
std::span<const HostWorkload> host_workloads();

// The same layer with `zeros` of the blocks of 32 outputs x 4 inputs at 0, and how much faster than
// the dense one it is to be.
struct SparseWorkload {
  std::string_view name, dense;
  double zeros = 0, speedup = 0;
};
std::span<const SparseWorkload> sparse_workloads();

struct HostCase {
  Graph graph;
  StateDict state;
};
// Of either list. InputError where the name is in neither.
HostCase host_case(std::string_view name);

}  // namespace lockstep::bench
