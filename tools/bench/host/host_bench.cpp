// Our plans next to other engines on this machine: README.md.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "intrt/intrt.h"
#include "tools/bench/host/host_page.h"
#include "tools/bench/host/host_workloads.h"
#include "tools/bench/host/peers.h"
#include "tools/bench/paired_timing.h"
#include "tools/model/thread_pool.h"
#include "tools/profile/machine_peak.h"
#include "tools/zoo/zoo.h"
#include "verify/checker/model.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"
#include "verify/differential/plan_runner.h"
#include "verify/differential/private_folder.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

struct Arguments {
  std::vector<std::string> workloads;
  std::vector<std::string> kernels;  // the first is the one that counts
  fs::path onnxruntime, report;
  int rounds = 15;
  double burst_ms = 40;
  bool prove = true;
};

// A measurement leaves 5 % either way.
constexpr double kSlack = 0.95;
constexpr std::string_view kOneDnn = "oneDNN", kXnnpack = "XNNPACK", kU8S8 = "ort u8s8",
                           kFloat32 = "ort f32";

// ---- ours ----

class PlanContestant {
 public:
  PlanContestant(std::span<const std::byte> bytes, std::string kernels, int threads)
      : plan_(bytes),
        pool_(threads),
        parallel_(pool_.parallel()),
        kernels_(std::move(kernels)),
        arena_(blocks(intrt_arena_bytes(plan_.get()))),
        prepared_(blocks(intrt_prepared_bytes(plan_.get(), kernels_.c_str()))) {
    require(intrt_prepare(plan_.get(), kernels_.c_str(), prepared_.data(),
                          prepared_.size() * sizeof(Block)));
  }

  // The input is what the last run left in its place: no kernel is faster on some codes.
  void run() {
    require(intrt_run_prepared(plan_.get(), prepared_.data(), arena_.data(),
                               arena_.size() * sizeof(Block), &options_));
  }

 private:
  struct alignas(INTRT_PREPARED_ALIGNMENT) Block {
    std::byte bytes[INTRT_PREPARED_ALIGNMENT];
  };
  static std::size_t blocks(std::size_t bytes) {
    return (bytes + sizeof(Block) - 1) / sizeof(Block);
  }
  static void require(intrt_status status) {
    if (status != INTRT_OK) throw InputError(intrt_status_text(status));
  }

  verify::OpenPlan plan_;
  ThreadPool pool_;
  intrt_parallel parallel_;
  intrt_run_options options_ = {
      .kernels = nullptr, .observer = nullptr, .observer_context = nullptr, .parallel = &parallel_};
  std::string kernels_;
  std::vector<Block> arena_, prepared_;
};

Contestant ours(const Compiled& compiled, const std::string& kernels, int threads = 1) {
  const auto plan = std::make_shared<PlanContestant>(compiled.plan, kernels, threads);
  return {threads == 1 ? kernels : fmt::format("{} threads", threads), [plan] { plan->run(); }};
}

// "proved", or why not.
std::string proof_of(const HostCase& one, const Compiled& compiled) {
  const verify::PrivateFolder folder;
  const fs::path graph = folder.path() / "graph.json", state = folder.path() / "state.safetensors";
  write_file_atomically(graph, to_json(one.graph));
  write_file_atomically(state, to_safetensors(one.state));
  try {
    checker::prove(checker::read_model(graph, state), checker::read_plan(compiled.plan));
  } catch (const checker::Failure& failure) {
    return "NOT PROVED: " + failure.text;
  }
  return "proved";
}

// ---- the table ----

const Timing* find(const std::vector<Timing>& timings, std::string_view name) {
  const auto found = std::ranges::find(timings, name, &Timing::name);
  return found == timings.end() ? nullptr : &*found;
}

struct Verdict {
  double ratio = 0, floor = 0;
  bool all_ran = true;

  // A "short" stays one however many peers are missing.
  std::string text() const {
    if (ratio == 0) return floor == 0 ? "" : "not run";
    if (floor == 0) return fmt::format("{:.2f}", ratio);
    const bool is_met = ratio >= floor * kSlack;
    return fmt::format("{:.2f} of {:.2f} {}", ratio, floor,
                       is_met ? (all_ran ? "pass" : "pass*") : "short");
  }
  bool is_met() const { return ratio >= floor * kSlack; }
};

class Table {
 public:
  Table(const Arguments& arguments, const OnnxRuntime* onnxruntime)
      : arguments_(arguments),
        onnxruntime_(onnxruntime),
        peak_(cli::measure_peak(arguments.kernels[0], 1).macs_per_second) {
    std::vector<std::string> said;
    said.push_back(fmt::format("oneDNN {}", onednn_version()));
    if (onednn_version().empty()) said.back() = "oneDNN not built in", all_peers_ = false;
    said.push_back(fmt::format("XNNPACK {}", xnnpack_version()));
    if (xnnpack_version().empty()) said.back() = "XNNPACK not built in", all_peers_ = false;
    said.push_back("onnxruntime not run (--onnxruntime DIR)");
    if (onnxruntime != nullptr)
      said.back() = fmt::format("onnxruntime {}", onnxruntime->version());
    else
      all_peers_ = false;
    fmt::print("one thread, batch 1, {} rounds of {} ms; peers: {}\n", arguments.rounds,
               arguments.burst_ms, fmt::join(said, ", "));
    fmt::print(
        "median [least] us; ratios of medians (of least times): peer / ours, of the floor\n"
        "{} multiplies {:.0f} GMAC/s in registers here; at that rate, a network would have the "
        "ratio behind \"at most\"\n",
        arguments.kernels[0], peak_ / 1e9);
  }

  void measure(const HostWorkload& workload) {
    const HostCase one = host_case(workload.name);
    const Compiled compiled = compile_network(one.graph, one.state, {});
    std::vector<Contestant> contestants;
    for (const std::string& kernels : arguments_.kernels)
      contestants.push_back(ours(compiled, kernels));
    const PeerNetwork network = peer_network(one.graph);
    if (network.macs() != zoo::size_of(one.graph).macs)
      throw InputError(fmt::format("{}: the peers would run another network", workload.name));
    if (!onednn_version().empty())
      contestants.push_back({std::string(kOneDnn), onednn_peer(network)});
    if (!xnnpack_version().empty())
      contestants.push_back({std::string(kXnnpack), xnnpack_peer(network)});
    if (onnxruntime_ != nullptr) {
      contestants.push_back({std::string(kU8S8), onnxruntime_->peer(network, OnnxNumbers::kU8S8)});
      contestants.push_back(
          {std::string(kFloat32), onnxruntime_->peer(network, OnnxNumbers::kFloat32)});
    }
    const std::vector<Timing> timings =
        time_bursts(contestants, arguments_.rounds, arguments_.burst_ms);
    print(workload, one, compiled, timings);
    if (workload.two_threads == 0) return;
    Contestant threads[] = {ours(compiled, arguments_.kernels[0], 2),
                            ours(compiled, arguments_.kernels[0])};
    const std::vector<Timing> of_threads =
        time_bursts(threads, arguments_.rounds, arguments_.burst_ms);
    print_times(of_threads, 0);
    count("one thread", of_threads[0], of_threads[1], {.floor = workload.two_threads});
  }

  void measure(const SparseWorkload& workload) {
    const HostCase sparse = host_case(workload.name), dense = host_case(workload.dense);
    const Compiled a = compile_network(sparse.graph, sparse.state, {}),
                   b = compile_network(dense.graph, dense.state, {});
    Contestant contestants[] = {ours(a, arguments_.kernels[0]), ours(b, arguments_.kernels[0])};
    contestants[1].name = "dense";
    const std::vector<Timing> timings =
        time_bursts(contestants, arguments_.rounds, arguments_.burst_ms);
    fmt::print("\n{}  {}\n", workload.name,
               arguments_.prove ? proof_of(sparse, a) : "proof not run");
    print_times(timings, 0);
    count("our own dense", timings[0], timings[1], {.floor = workload.speedup});
  }

  void finish() const {
    fmt::print("\n{} of {} floors are met", met_, asked_);
    if (out_of_reach_ > 0)
      fmt::print("; {} lie above what this machine's peak allows", out_of_reach_);
    fmt::print("\n");
    if (!all_peers_) fmt::print("* not all peers ran\n");
    if (!arguments_.report.empty() && !measured_.empty())
      write_file_atomically(arguments_.report, host_page(arguments_.kernels[0], peak_, measured_));
  }

 private:
  void print(const HostWorkload& workload, const HostCase& one, const Compiled& compiled,
             const std::vector<Timing>& timings) {
    const double macs = static_cast<double>(zoo::size_of(one.graph).macs);
    fmt::print("\n{}  {:.3f} MMAC  {}\n", workload.name, macs / 1e6,
               arguments_.prove ? proof_of(one, compiled) : "proof not run");
    print_times(timings, macs);
    const Timing* best = nullptr;
    for (const std::string_view name : {kOneDnn, kXnnpack, kU8S8, kFloat32}) {
      const Timing* const peer = find(timings, name);
      if (peer != nullptr && (best == nullptr || peer->median_ms < best->median_ms)) best = peer;
    }
    measured_.push_back({std::string(workload.name), macs, timings[0].median_ms / 1e3,
                         best == nullptr ? "" : best->name,
                         best == nullptr ? 0 : best->median_ms / 1e3});
    if (best == nullptr) {
      say_not_run("best peer", workload.best_peer);
    } else {
      count(fmt::format("best peer ({})", best->name), timings[0], *best,
            {workload.best_peer, macs, all_peers_});
    }
    const Timing *codes = find(timings, kU8S8), *floats = find(timings, kFloat32);
    if (codes == nullptr) {
      say_not_run("onnxruntime", workload.onnxruntime);
    } else if (workload.onnxruntime_float != 0) {
      count("onnxruntime u8s8", timings[0], *codes, {workload.onnxruntime, macs});
      count("onnxruntime float32", timings[0], *floats, {workload.onnxruntime_float, macs});
    } else {
      const Timing& faster = floats->median_ms < codes->median_ms ? *floats : *codes;
      count(fmt::format("onnxruntime ({})", faster.name), timings[0], faster,
            {workload.onnxruntime, macs});
    }
    std::fflush(stdout);
  }

  static void print_times(const std::vector<Timing>& timings, double macs) {
    for (const Timing& timing : timings) {
      fmt::print("  {:<22} {:>10.1f} [{:>9.1f}]", timing.name, timing.median_ms * 1e3,
                 timing.least_ms * 1e3);
      if (macs > 0) fmt::print("  {:>7.1f} GMAC/s", macs / timing.median_ms / 1e6);
      fmt::print("\n");
    }
  }

  struct Asked {
    double floor = 0;
    double macs = 0;  // 0: the peak says nothing
    bool all_ran = true;
  };
  void count(const std::string& what, const Timing& mine, const Timing& peer, const Asked& asked) {
    const Verdict verdict{peer.median_ms / mine.median_ms, asked.floor, asked.all_ran};
    fmt::print("  {:<22} {}  ({:.2f})", what, verdict.text(), peer.least_ms / mine.least_ms);
    const double at_most = asked.macs == 0 ? 0 : peer.median_ms / 1e3 * peak_ / asked.macs;
    if (asked.macs != 0) fmt::print("  at most {:.2f}", at_most);
    fmt::print("\n");
    ++asked_;
    if (verdict.is_met())
      ++met_;
    else if (asked.macs != 0 && at_most < asked.floor * kSlack)
      ++out_of_reach_;
  }
  void say_not_run(std::string_view what, double floor) {
    fmt::print("  {:<22} {}\n", what, Verdict{0, floor}.text());
    ++asked_;
  }

  const Arguments& arguments_;
  const OnnxRuntime* onnxruntime_;
  double peak_;
  bool all_peers_ = true;
  int asked_ = 0, met_ = 0, out_of_reach_ = 0;
  std::vector<MeasuredWorkload> measured_;
};

void require_workload(const std::string& name) {
  std::vector<std::string_view> names;
  for (const HostWorkload& workload : host_workloads()) names.push_back(workload.name);
  for (const SparseWorkload& workload : sparse_workloads()) names.push_back(workload.name);
  if (std::ranges::find(names, name) == names.end())
    throw InputError(
        fmt::format("there is no workload '{}'; there are {}", name, fmt::join(names, ", ")));
}

int run(Arguments& arguments) {
  if (arguments.kernels.empty()) arguments.kernels = {verify::kernel_variants_here().front()};
  std::optional<OnnxRuntime> onnxruntime;
  if (!arguments.onnxruntime.empty()) onnxruntime.emplace(arguments.onnxruntime);
  const auto is_wanted = [&](std::string_view name) {
    return arguments.workloads.empty() ||
           std::ranges::find(arguments.workloads, name) != arguments.workloads.end();
  };
  for (const std::string& name : arguments.workloads) require_workload(name);
  Table table(arguments, onnxruntime ? &*onnxruntime : nullptr);
  for (const HostWorkload& workload : host_workloads())
    if (is_wanted(workload.name)) table.measure(workload);
  for (const SparseWorkload& workload : sparse_workloads())
    if (is_wanted(workload.name)) table.measure(workload);
  table.finish();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  CLI::App app("Measures our plans next to other engines on this machine.");
  lockstep::bench::Arguments arguments;
  app.add_option("--workloads", arguments.workloads, "These networks and layers alone")
      ->delimiter(',');
  app.add_option("--kernels", arguments.kernels,
                 "Kernel variants of ours; the first is compared (default: the best here)")
      ->delimiter(',');
  app.add_option("--onnxruntime", arguments.onnxruntime,
                 "A folder with onnxruntime's shared library, to be measured, too")
      ->check(CLI::ExistingDirectory);
  app.add_option("--report", arguments.report,
                 "Write an HTML page: time against multiplications, next to the peak");
  app.add_option("--rounds", arguments.rounds, "Rounds")->check(CLI::PositiveNumber);
  app.add_option("--burst", arguments.burst_ms, "Milliseconds of each contestant in each round")
      ->check(CLI::PositiveNumber);
  app.add_flag("!--no-proof", arguments.prove, "Do not prove the plans");
  CLI11_PARSE(app, argc, argv);
  try {
    return lockstep::bench::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
}
