// What generated C costs on emulated microcontrollers, next to CMSIS-NN's kernels: README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/bench/embedded_layers.h"
#include "verify/differential/emulated_bench.h"
#include "verify/differential/private_folder.h"

namespace lockstep::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCores[] = {"cortex-m0", "cortex-m3", "cortex-m4", "cortex-m55",
                                       "rv32imc"};
constexpr std::size_t kCoreCount = std::size(kCores);

// Of CMSIS-NN (main, 99f736a) at -O3 on the same shapes, counted in the same way: instructions for
// a multiply-accumulate, for an element of the sum, or of a whole network. By core, as in kCores.
// Then the bytes of its buffers besides tensors, the largest of all layers, as its functions say:
// arm_convolve_s8_get_buffer_size (4 bytes for each tap, without MVE rounded up to 4 taps, with it
// to 16), arm_convolve_1x1_s8_fast_get_buffer_size and arm_depthwise_conv_wrapper_s8 (none; with
// MVE arm_depthwise_conv_s8_opt_get_buffer_size), arm_fully_connected_s8_get_buffer_size (none;
// with MVE 4 bytes for each output).
struct Peer {
  std::string_view name;
  double units = 1;  // multiply-accumulates or elements
  double instructions[kCoreCount] = {};
  std::int64_t buffer_bytes = 0, buffer_bytes_mve = 0;

  std::int64_t buffer_of(std::size_t core) const {
    return kCores[core] == "cortex-m55" ? buffer_bytes_mve : buffer_bytes;
  }
};
constexpr double kMega = 1e6;
constexpr Peer kPeers[] = {
    {"conv3x3_16_16_32x32", 2359296, {7.56, 3.33, 2.33, 0.388, 5.37}, 576, 576},
    {"conv1x1_64_64_25x5", 512000, {7.57, 3.11, 2.09, 0.396, 4.81}},
    {"conv3x3_64_64_8x8", 2359296, {6.33, 2.67, 1.76, 0.206, 4.50}, 2304, 2304},
    {"depthwise3x3_64_25x5", 72000, {35.6, 9.37, 8.33, 2.32, 15.5}, 0, 4464},
    {"conv3x3_1_32_28x28", 225792, {19.3, 8.83, 8.75, 2.81, 9.50}, 48, 64},
    {"linear_640_128", 81920, {6.19, 3.43, 1.95, 0.490, 5.43}, 0, 512},
    {"add_16384", 16384, {237, 84.0, 81.2, 13.8, 74.0}},
    {"resnet8", kMega, {97.5, 41.7, 29.9, 4.80, 65.3}, 2304, 2304},
    {"ds_cnn", kMega, {28.9, 10.5, 7.84, 1.78, 16.2}, 160, 4464}};

// What we want to take of that at most; 0: nothing is asked.
struct Floor {
  std::string_view name;
  double sparsity = 0;
  double ratios[kCoreCount] = {};
  double flash_share = 0;  // of the bytes of dense 8-bit weights, at most; 0: any
};
constexpr double kSmallRatio = 0.55;
constexpr Floor kFloors[] = {{"conv3x3_16_16_32x32", 0, {0.40, 0.60, 0.40, 0.50, 0.42}},
                             {"conv1x1_64_64_25x5", 0, {0.40, 0.60, 0.40, 0.50, 0.42}},
                             {"conv3x3_64_64_8x8", 0, {0.40, 0.60, 0.40, 0.50, 0.42}},
                             {"conv3x3_16_16_32x32", 0.8, {0.11, 0.17, 0.18, 0, 0.13}},
                             {"conv1x1_64_64_25x5", 0.8, {0.11, 0.17, 0.18, 0, 0.13}},
                             {"conv3x3_64_64_8x8", 0.8, {0.11, 0.17, 0.18, 0, 0.13}},
                             {"conv3x3_16_16_32x32", 0, {0, 0, kSmallRatio, 0, 0}, 1.1},
                             {"conv1x1_64_64_25x5", 0, {0, 0, kSmallRatio, 0, 0}, 1.1},
                             {"conv3x3_64_64_8x8", 0, {0, 0, kSmallRatio, 0, 0}, 1.1},
                             {"depthwise3x3_64_25x5", 0, {0, 0, 0.25, 0.50, 0}},
                             {"conv3x3_1_32_28x28", 0, {0, 0, 0.15, 0.50, 0}},
                             {"linear_640_128", 0, {0.45, 0.50, 0.60, 0.50, 0.50}},
                             {"add_16384", 0, {0, 0, 0.02, 0.05, 0}},
                             {"resnet8", 0, {0.40, 0.60, 0.40, 0.50, 0.42}},
                             {"ds_cnn", 0, {0.40, 0.60, 0.35, 0.50, 0.42}}};
// Code beside the weights, where these are limited.
constexpr std::int64_t kCodeAllowance = 3500;
// Counted instructions may grow by so much before it is an error.
constexpr double kGrowth = 1.01;

const Peer& peer_of(std::string_view name) { return *std::ranges::find(kPeers, name, &Peer::name); }

std::string title(const Floor& floor) {
  std::string text(floor.name);
  if (floor.sparsity > 0) text += fmt::format(", {:.0f} % pruned", floor.sparsity * 100);
  if (floor.flash_share > 0) text += ", small flash";
  return text;
}

struct Row {
  std::string title, core;
  std::uint64_t instructions = 0;
  double per_unit = 0, ratio = 0, floor = 0;
  verify::EmulatedCost cost;
  std::int64_t arena_bytes = 0;
  // Of the arena, besides what tensors need, and CMSIS-NN's.
  std::int64_t scratch_bytes = 0, peer_scratch_bytes = 0;

  std::string key() const { return title + " / " + core; }
  std::string verdict() const { return floor == 0 ? "" : ratio <= floor ? "pass" : "short"; }
};

void write_files(const fs::path& folder, const std::vector<CSourceFile>& files) {
  fs::create_directories(folder);
  for (const CSourceFile& file : files) write_file_atomically(folder / file.name, file.text);
}

Row measure(const Floor& floor, std::size_t core, const verify::CTarget& core_target,
            const Compiled& compiled) {
  std::optional<std::int64_t> budget;
  if (floor.flash_share > 0) {
    std::int64_t weights = 0;
    for (const OperatorReport& op : compiled.operators) weights += op.weight_bytes;
    budget = static_cast<std::int64_t>(static_cast<double>(weights) * floor.flash_share) +
             kCodeAllowance;
  }
  const std::string target(kCores[core]);
  const CSources sources =
      emit_c_sources(compiled, {.prefix = "net", .target = target, .flash_budget = budget});
  const verify::PrivateFolder folder;
  write_files(folder.path(), sources.files);
  const verify::OpenPlan plan(compiled.plan);
  const verify::CProgram program{
      .folder = folder.path(), .prefix = "net", .timeout = std::chrono::minutes(5)};
  const verify::EmulatedBench bench =
      verify::run_emulated(core_target, program, plan, verify::random_inputs(plan, 1));
  if (!bench.failure.empty())
    throw InputError(fmt::format("{} on {}: {}", title(floor), target, bench.failure));
  const Peer& peer = peer_of(floor.name);
  const auto instructions = static_cast<double>(bench.whole.counts.instructions);
  return {.title = title(floor),
          .core = target,
          .instructions = bench.whole.counts.instructions,
          .per_unit = instructions / peer.units,
          .ratio = instructions / (peer.units * peer.instructions[core]),
          .floor = floor.ratios[core],
          .cost = bench.whole,
          .arena_bytes = sources.arena_bytes,
          .scratch_bytes = sources.arena_bytes - compiled.arena_bytes,
          .peer_scratch_bytes = peer.buffer_of(core)};
}

void print(const Row& row) {
  fmt::print(
      "{:<34} {:<10} {:>10} {:>8.3f} {:>6.3f} {:>6} {:<5} {:>10} {:>8} {:>8} {:>7} {:>7} {:>7} "
      "{:>6}\n",
      row.title, row.core, row.instructions, row.per_unit, row.ratio,
      row.floor == 0 ? "" : fmt::format("{:.2f}", row.floor), row.verdict(), row.cost.counts.reads,
      row.cost.code_bytes, row.cost.constant_bytes, row.arena_bytes, row.scratch_bytes,
      row.peer_scratch_bytes, row.cost.stack_bytes);
  std::fflush(stdout);
}

// 1 where a count has grown, or is not in the file.
int compare(const std::vector<Row>& rows, const fs::path& file) {
  const nlohmann::json stored = nlohmann::json::parse(read_text_file(file));
  int result = EXIT_SUCCESS;
  for (const Row& row : rows) {
    const auto found = stored.find(row.key());
    if (found == stored.end()) {
      fmt::print("{}: not in {}; run with --update\n", row.key(), file.string());
      result = EXIT_FAILURE;
    } else if (static_cast<double>(row.instructions) > found->get<double>() * kGrowth) {
      fmt::print("{}: {} instructions, {} before\n", row.key(), row.instructions,
                 found->get<std::uint64_t>());
      result = EXIT_FAILURE;
    }
  }
  return result;
}

void write_case(const fs::path& folder, const EmbeddedCase& one,
                const std::vector<std::string>& targets) {
  fs::create_directories(folder);
  write_file_atomically(folder / "graph.json", to_json(one.graph));
  write_file_atomically(folder / "state.safetensors", to_safetensors(one.state));
  const Compiled compiled = compile_network(one.graph, one.state, {});
  write_file_atomically(folder / "net.plan", compiled.plan);
  for (const std::string& target : targets)
    write_files(folder / ("c_" + target), emit_c(compiled, {.prefix = "net", .target = target}));
}

struct Arguments {
  fs::path write, check, update;
  std::vector<std::string> cores{std::begin(kCores), std::end(kCores)}, cases;
  double sparsity = 0;
};

int run(const Arguments& arguments) {
  const auto is_wanted = [&](std::string_view name) {
    return arguments.cases.empty() ||
           std::ranges::find(arguments.cases, name) != arguments.cases.end();
  };
  if (!arguments.write.empty()) {
    for (const std::string& name : embedded_cases())
      if (is_wanted(name))
        write_case(arguments.write / name, embedded_case(name, arguments.sparsity),
                   arguments.cores);
    return EXIT_SUCCESS;
  }
  fmt::print(
      "{:<34} {:<10} {:>10} {:>8} {:>6} {:>6} {:<5} {:>10} {:>8} {:>8} {:>7} {:>7} {:>7} {:>6}\n",
      "what", "core", "instr.", "per unit", "ratio", "floor", "", "reads", "code B", "const. B",
      "arena B", "work B", "CMSIS", "stack");
  std::vector<Row> rows;
  std::array<std::optional<verify::CTarget>, kCoreCount> targets;
  for (const Floor& floor : kFloors) {
    if (!is_wanted(floor.name)) continue;
    const EmbeddedCase one = embedded_case(floor.name, floor.sparsity);
    const Compiled compiled = compile_network(one.graph, one.state, {});
    for (std::size_t core = 0; core < kCoreCount; ++core) {
      if (std::ranges::find(arguments.cores, kCores[core]) == arguments.cores.end()) continue;
      const bool is_variant = floor.sparsity > 0 || floor.flash_share > 0;
      if (is_variant && floor.ratios[core] == 0) continue;
      if (!targets[core]) targets[core] = verify::c_targets({std::string(kCores[core])}).at(0);
      rows.push_back(measure(floor, core, *targets[core], compiled));
      print(rows.back());
    }
  }
  const auto is_short = [](const Row& row) { return row.verdict() == "short"; };
  fmt::print("{} of {} floors are met\n",
             std::ranges::count_if(rows, [](const Row& row) { return row.verdict() == "pass"; }),
             std::ranges::count_if(rows, [](const Row& row) { return row.floor > 0; }));
  for (const Row& row : rows)
    if (is_short(row))
      fmt::print("short: {}: {:.3f}, not {:.2f}\n", row.key(), row.ratio, row.floor);
  for (const Row& row : rows)
    if (row.scratch_bytes > row.peer_scratch_bytes)
      fmt::print("more working memory: {}: {} bytes, CMSIS-NN {}\n", row.key(), row.scratch_bytes,
                 row.peer_scratch_bytes);
  if (!arguments.update.empty()) {
    nlohmann::ordered_json counts;
    for (const Row& row : rows) counts[row.key()] = row.instructions;
    write_file_atomically(arguments.update, counts.dump(1) + "\n");
  }
  return arguments.check.empty() ? EXIT_SUCCESS : compare(rows, arguments.check);
}

}  // namespace
}  // namespace lockstep::bench

int main(int argc, char** argv) {
  CLI::App app("Measures generated C on emulated microcontrollers.");
  lockstep::bench::Arguments arguments;
  app.add_option("--cores", arguments.cores, "These cores alone")->delimiter(',');
  app.add_option("--cases", arguments.cases, "These layers and networks alone")->delimiter(',');
  app.add_option("--check", arguments.check, "Fail where a count is 1 % above that in this file");
  app.add_option("--update", arguments.update, "Write the counts into this file");
  app.add_option("--write", arguments.write,
                 "Measure nothing; write graphs, states, plans and C into this folder");
  app.add_option("--prune", arguments.sparsity,
                 "With --write: share of the weights that is pruned");
  CLI11_PARSE(app, argc, argv);
  try {
    return lockstep::bench::run(arguments);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return EXIT_FAILURE;
  }
}
