// Which verbs an executable has and what stands behind each. There are three tables of them:
//   forwarding.cpp  `lockstep` in a build with LibTorch: train and verify run in
//                   `lockstep-torch`, so that convert, compile, run, inspect and bench start
//                   without loading LibTorch
//   torch.cpp       `lockstep-torch`
//   no_torch.cpp    `lockstep` in a build without LibTorch: verify has no float path
#pragma once

#include <memory>
#include <span>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"
#include "tools/commands/command.h"
#include "verify/verify.h"

namespace lockstep::cli {

struct Verb {
  const char* name;
  const char* summary;
  Action (*add)(CLI::App& verb);  // null: another executable runs it
  const char* sibling = nullptr;  // its name
  bool sibling_has_verbs = true;  // false: it does this one thing and takes no verb
};

std::span<const Verb> verbs();

// The float path for `verify`; null where the build has no LibTorch.
std::unique_ptr<verify::FloatPath> float_path_of_this_build(const Graph& graph,
                                                            const StateDict& state);

inline constexpr const char* kConvertSummary =
    "Insert quantization and pruning into a float graph, fold its batch norms";
inline constexpr const char* kTrainSummary =
    "Train a graph with quantization and pruning, write its state dict";
inline constexpr const char* kCompileSummary =
    "Lower a graph and its state dict to an integer plan and C sources";
inline constexpr const char* kVerifySummary =
    "Check a plan and its C sources against the graph and state dict";
inline constexpr const char* kCheckSummary =
    "Derive a certificate of verify again, with a small checker of its own";
inline constexpr const char* kRunSummary = "Run a plan on the codes or numbers of a .npy file";
inline constexpr const char* kInspectSummary = "Show what a state dict, graph or plan holds";
inline constexpr const char* kBenchSummary =
    "Measure a plan on this machine, or count its C on emulated cores";
inline constexpr const char* kZooSummary =
    "List well-known networks, write one to train or compile";

}  // namespace lockstep::cli
