// lockstep compile: graph and state dict in, plan and C sources out.
#include "compile/compile.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tools/commands/command.h"
#include "tools/commands/storage_report.h"
#include "tools/commands/strategy_report.h"
#include "tools/project/project.h"
#include "tools/report/compile_page.h"
#include "tools/support/console.h"
#include "tools/support/file_names.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"
#include "tools/support/table.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPlainTarget = "generic";  // one way to write each operator

struct CompileArguments {
  fs::path graph, weights, out, c_folder, plan_c_folder, dot, report;
  std::string prefix = "net", target, project;
  std::int64_t flash_budget = 0, ram_budget = 0;  // 0: none
  std::string print_after;
  bool keep_layers = false;
  std::string optimize = "speed";
  OutputOptions output;

  // --target: a core, with C; the machine that the plan is chosen for, without.
  std::string core() const { return target.empty() ? kPlainTarget : target; }
  passes::Machine machine() const {
    return c_folder.empty() ? passes::machine_named(target).value_or(passes::Machine::kPortable)
                            : passes::Machine::kPortable;
  }
};

// What --target takes. Arm's hosts are both a core and a machine.
std::vector<std::string> targets() {
  std::vector<std::string> names = passes::machine_names();
  for (const std::string& core : c_targets())
    if (std::ranges::find(names, core) == names.end()) names.push_back(core);
  return names;
}

// --target goes together with C, or with none.
void check_target(const CompileArguments& arguments) {
  const std::string& target = arguments.target;
  if (target.empty()) return;
  const std::vector<std::string> cores = c_targets();
  const bool is_core = std::ranges::find(cores, target) != cores.end();
  if (!is_core && !arguments.c_folder.empty())
    throw InputError(
        fmt::format("--target {}: not with --emit-c; C for hosts has the core '{}' or 'aarch64'",
                    target, kPlainTarget));
  if (arguments.c_folder.empty() && target != kPlainTarget && !passes::machine_named(target))
    throw InputError(fmt::format("--target {}: a core, C for which needs --emit-c", target));
}

void check(const CompileArguments& arguments) {
  const std::string& prefix = arguments.prefix;
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  const bool identifier =
      !prefix.empty() && is_letter(prefix.front()) &&
      std::ranges::all_of(prefix, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
  if (!identifier) throw InputError(fmt::format("--prefix '{}': must be a C identifier", prefix));
  check_target(arguments);
  const bool is_about_c =
      arguments.flash_budget != 0 || arguments.ram_budget != 0 || !arguments.project.empty();
  if (is_about_c && arguments.c_folder.empty())
    throw InputError("--flash-budget, --ram-budget and --project: need --emit-c");
  if (arguments.print_after.empty() || arguments.print_after == "all") return;
  const std::vector<std::string> names = pass_names();
  if (std::ranges::find(names, arguments.print_after) == names.end())
    throw InputError(fmt::format("--print-after {}: no such pass; there are all, {}",
                                 arguments.print_after, fmt::join(names, ", ")));
}

OperatorReport total(const std::vector<OperatorReport>& operators) {
  OperatorReport sum{.node = "total", .op = ""};
  for (const OperatorReport& row : operators) {
    sum.macs += row.macs;
    sum.nonzero_macs += row.nonzero_macs;
    sum.weight_bytes += row.weight_bytes;
    sum.table_bytes += row.table_bytes;
    sum.output_bytes += row.output_bytes;
    sum.accumulator_bits = std::max(sum.accumulator_bits, row.accumulator_bits);
  }
  return sum;
}

std::string table_text(const Compiled& compiled) {
  using enum Table::Align;
  Table table({{"node", kLeft},
               {"operator", kLeft},
               {"MACs", kRight},
               {"nonzero MACs", kRight},
               {"weight bytes", kRight},
               {"table bytes", kRight},
               {"output bytes", kRight},
               {"accumulator bits", kRight}});
  const auto add = [&](const OperatorReport& row) {
    table.add_row({row.node, row.op, fmt::to_string(row.macs), fmt::to_string(row.nonzero_macs),
                   fmt::to_string(row.weight_bytes), fmt::to_string(row.table_bytes),
                   fmt::to_string(row.output_bytes),
                   row.accumulator_bits == 0 ? "-" : fmt::to_string(row.accumulator_bits)});
  };
  for (const OperatorReport& row : compiled.operators) add(row);
  add(total(compiled.operators));
  return table.to_text();
}

std::string pass_table_text(const std::vector<PassReport>& passes) {
  using enum Table::Align;
  Table table({{"after pass", kLeft},
               {"operators", kRight},
               {"MACs", kRight},
               {"nonzero MACs", kRight},
               {"weight bytes", kRight},
               {"table bytes", kRight},
               {"RAM bytes", kRight}});
  for (const PassReport& row : passes)
    table.add_row({row.pass, fmt::to_string(row.ops), fmt::to_string(row.macs),
                   fmt::to_string(row.nonzero_macs), fmt::to_string(row.weight_bytes),
                   fmt::to_string(row.table_bytes), fmt::to_string(row.live_bytes)});
  return table.to_text();
}

nlohmann::ordered_json to_json(const PassReport& row) {
  return {{"pass", row.pass},
          {"operators", row.ops},
          {"macs", row.macs},
          {"nonzero_macs", row.nonzero_macs},
          {"weight_bytes", row.weight_bytes},
          {"table_bytes", row.table_bytes},
          {"live_bytes", row.live_bytes}};
}

nlohmann::ordered_json to_json(const OperatorReport& row) {
  return {{"macs", row.macs},
          {"nonzero_macs", row.nonzero_macs},
          {"weight_bytes", row.weight_bytes},
          {"table_bytes", row.table_bytes},
          {"output_bytes", row.output_bytes},
          {"accumulator_bits", row.accumulator_bits}};
}

// The paths of what was written.
std::vector<std::string> write_files(const fs::path& folder,
                                     const std::vector<CSourceFile>& files) {
  std::vector<std::string> paths;
  for (const CSourceFile& file : files) {
    write_file_atomically(folder / file.name, file.text);
    paths.push_back((folder / file.name).string());
  }
  return paths;
}

// The files of the project that are not there yet: those that are belong to whoever has changed
// them.
std::vector<ProjectFile> missing_project_files(const CompileArguments& arguments) {
  if (arguments.project.empty()) return {};
  std::vector<ProjectFile> files =
      project_files(arguments.project, arguments.prefix, arguments.core());
  std::erase_if(files, [&](const ProjectFile& file) {
    return fs::exists(fs::symlink_status(arguments.c_folder / file.path));
  });
  return files;
}

int compile(const CompileArguments& arguments) {
  check(arguments);
  Outputs outputs({arguments.graph, arguments.weights});
  outputs.claim(arguments.out);
  for (const fs::path& extra : {arguments.dot, arguments.report})
    if (!extra.empty()) outputs.claim(extra);
  const fs::path c_folder =
      arguments.project.empty() ? arguments.c_folder : arguments.c_folder / "src";
  const std::vector<ProjectFile> project = missing_project_files(arguments);
  if (!arguments.c_folder.empty()) {
    outputs.make_folder(c_folder);
    for (const char* suffix : {".c", ".h", "_io.h", "_selftest.c"})
      outputs.claim(c_folder / (arguments.prefix + suffix));
    for (const ProjectFile& file : project) {
      outputs.make_folder((arguments.c_folder / file.path).parent_path());
      outputs.claim(arguments.c_folder / file.path);
    }
  }

  if (!arguments.plan_c_folder.empty()) {
    outputs.make_folder(arguments.plan_c_folder);
    for (const char* suffix : {"_plan.c", "_plan.h"})
      outputs.claim(arguments.plan_c_folder / (arguments.prefix + suffix));
  }

  Console console(arguments.output);
  CompileOptions options{.keep_layers = arguments.keep_layers,
                         .optimize = arguments.optimize == "size" ? passes::Objective::kSize
                                                                  : passes::Objective::kSpeed,
                         .machine = arguments.machine(),
                         .after_pass = {}};
  if (!arguments.print_after.empty())
    options.after_pass = [&](std::string_view pass, const ir::Program& program) {
      if (arguments.print_after == "all" || arguments.print_after == pass)
        console.print(fmt::format("after {}:\n{}", pass, ir::to_text(program)));
    };
  const Graph graph = read_graph(arguments.graph);
  const StateDict state = read_state_dict(arguments.weights);
  const Compiled compiled =
      naming_files(fmt::format("{}, {}", arguments.graph.string(), arguments.weights.string()),
                   [&] { return compile_network(graph, state, options); });
  const auto budget = [](std::int64_t bytes) {
    return bytes == 0 ? std::nullopt : std::optional(bytes);
  };
  CSources sources;
  if (!arguments.c_folder.empty())
    sources = emit_c_sources(compiled, {.prefix = arguments.prefix,
                                        .target = arguments.core(),
                                        .flash_budget = budget(arguments.flash_budget),
                                        .ram_budget = budget(arguments.ram_budget)});
  const std::vector<std::string> c_files = write_files(c_folder, sources.files);
  std::vector<std::string> plan_c_files;
  if (!arguments.plan_c_folder.empty())
    plan_c_files = write_files(arguments.plan_c_folder, emit_plan_c(compiled, arguments.prefix));
  std::vector<std::string> written;
  for (const ProjectFile& file : project) {
    const fs::path path = arguments.c_folder / file.path;
    write_file_atomically(path, file.text);
    written.push_back(path.string());
  }
  if (!arguments.dot.empty()) write_file_atomically(arguments.dot, ir::to_dot(compiled.program));
  const bool is_for_core = !c_files.empty() && arguments.core() != kPlainTarget;
  if (!arguments.report.empty())
    write_file_atomically(arguments.report, compile_page({.plan = arguments.out.string(),
                                                          .compiled = compiled,
                                                          .c = is_for_core ? &sources : nullptr,
                                                          .target = arguments.core()}));
  write_file_atomically(arguments.out, compiled.plan);

  console.print(table_text(compiled));
  console.print("\n" + pass_table_text(compiled.passes));
  const std::string storage = storage_text(compiled.storage);
  if (!storage.empty()) console.print("\n" + storage);
  console.print(
      fmt::format("\narena  {} bytes, at least {} are needed at once\nplan   {} bytes  {}",
                  compiled.arena_bytes, compiled.passes.back().live_bytes, compiled.plan.size(),
                  arguments.out.string()));
  if (is_for_core) {
    console.print("\n" + strategy_text(sources, compiled.operators));
    console.print(fmt::format("\nC arena {} bytes, for {}", sources.arena_bytes, arguments.core()));
  }
  for (const std::string& file : c_files) console.print(fmt::format("C      {}", file));
  for (const std::string& file : plan_c_files) console.print(fmt::format("plan   {}", file));
  for (const std::string& file : written) console.print(fmt::format("new    {}", file));
  if (!arguments.report.empty()) console.print(fmt::format("report {}", arguments.report.string()));

  nlohmann::ordered_json operators = nlohmann::ordered_json::array();
  for (const OperatorReport& row : compiled.operators) {
    nlohmann::ordered_json entry{{"node", row.node}, {"op", row.op}};
    entry.update(to_json(row));
    operators.push_back(std::move(entry));
  }
  nlohmann::ordered_json passes = nlohmann::ordered_json::array();
  for (const PassReport& row : compiled.passes) passes.push_back(to_json(row));
  console.print_json(
      {{"plan", arguments.out.string()},
       {"plan_bytes", compiled.plan.size()},
       {"arena_bytes", compiled.arena_bytes},
       {"c_files", c_files},
       {"plan_c_files", plan_c_files},
       {"project_files", written},
       {"report", arguments.report.empty() ? nlohmann::ordered_json()
                                           : nlohmann::ordered_json(arguments.report.string())},
       {"c", c_files.empty() ? nlohmann::ordered_json() : strategy_json(sources)},
       {"operators", std::move(operators)},
       {"passes", std::move(passes)},
       {"storage", storage_json(compiled.storage)},
       {"total", to_json(total(compiled.operators))}});
  outputs.keep();
  return kExitOk;
}

}  // namespace

Action add_compile(CLI::App& verb) {
  auto arguments = std::make_shared<CompileArguments>();
  add_path(verb, "--graph", arguments->graph, "The network", "graph.json")->required();
  add_path(verb, "--weights", arguments->weights, "Its state dict, .pt or .safetensors", "STATE")
      ->required();
  add_path(verb, "--out", arguments->out, "The plan to write", "net.plan")->required();
  add_path(verb, "--emit-c", arguments->c_folder, "Write self-contained C99 into this folder, too",
           "DIR");
  add_path(verb, "--emit-plan-c", arguments->plan_c_folder,
           "Write the plan as C for programs with the runtime into this folder, too", "DIR");
  verb.add_option("--prefix", arguments->prefix, "Prefix of the C files and symbols")
      ->capture_default_str()
      ->type_name("NAME");
  verb.add_option("--target", arguments->target,
                  "Core that the C is written for, else generic; without --emit-c the kind of "
                  "machine that weights are stored for, else portable")
      ->check(CLI::IsMember(targets()))
      ->type_name("TARGET");
  verb.add_option("--flash-budget", arguments->flash_budget,
                  "Bytes of code and constants of the C, estimated, at most")
      ->check(CLI::PositiveNumber)
      ->type_name("BYTES");
  verb.add_option("--ram-budget", arguments->ram_budget, "Bytes of the arena of the C, at most")
      ->check(CLI::PositiveNumber)
      ->type_name("BYTES");
  verb.add_option("--project", arguments->project,
                  "Make DIR a project around the C, which then lies in DIR/src: firmware with a "
                  "Makefile (make) or CMake (cmake), a Zephyr module, an Arduino library. Files "
                  "that are there stay as they are")
      ->check(CLI::IsMember(project_styles()))
      ->type_name("STYLE");
  verb.add_flag("--keep-layers", arguments->keep_layers,
                "Keep the codes of every quantize node visible as a tensor of its own");
  verb.add_option("--optimize", arguments->optimize,
                  "Store sparse weights where that makes runs faster (speed), or weights smaller "
                  "(size)")
      ->capture_default_str()
      ->check(CLI::IsMember({"speed", "size"}))
      ->type_name("GOAL");
  verb.add_option("--print-after", arguments->print_after,
                  "Print the program after this pass, or after all")
      ->type_name("PASS");
  add_path(verb, "--dot", arguments->dot, "Write a picture of the program for Graphviz, too",
           "graph.dot");
  add_path(verb, "--report", arguments->report,
           "Write the operators, passes and forms of the C as a page with charts, too", "R.html");
  add_output_options(verb, arguments->output);
  return [arguments] { return compile(*arguments); };
}

}  // namespace lockstep::cli
