#include "verify/differential/c_runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "verify/differential/c_build.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_stream.h"
#include "verify/differential/instruction_counter.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

void require_program(const std::string& target, std::string_view program) {
  if (!find_program(std::string(program)))
    throw InputError(fmt::format("target '{}': {} is not installed; on Debian: apt-get install {}",
                                 target, program, debian_packages(program)));
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// The self test of a build: why it gave no result, or which output element it found wrong.
void run_self_test(CBuild& build, const NetTable& plan, CRun& result) {
  const CBuild::Output output = build.run_self_test();
  if (!output.failure.empty()) {
    result.failure = "self test: " + output.failure;
    return;
  }
  std::uint32_t position = 0;
  if (output.bytes.size() != sizeof position) {
    result.failure = "self test: it wrote no result";
    return;
  }
  for (std::size_t i = sizeof position; i-- > 0;)
    position = position << 8 | std::to_integer<std::uint32_t>(output.bytes[i]);
  if (position != 0) result.difference = self_test_difference(plan, position - 1);
}

// Of a build that ran: the most that a sample took. Else why it is not known.
std::string find_cost(const CBuild& build, std::int64_t samples, std::uint32_t stack_bytes,
                      std::optional<EmulatedCost>& cost) {
  const std::optional<std::vector<ExecutionCounts>> counts = build.counts(samples);
  if (!counts) return "the instruction counter gave no result";
  const std::optional<ObjectSizes> sizes = build.sizes();
  if (!sizes) return "the compiled network is no object file";
  cost = EmulatedCost{.counts = {},
                      .opening = build.opening(),
                      .stack_bytes = stack_bytes,
                      .stack_bound_bytes = build.stack_bound_bytes(),
                      .code_bytes = sizes->code_bytes,
                      .constant_bytes = sizes->constant_bytes};
  for (const ExecutionCounts& one : *counts)
    for (const auto member : kExecutionCounts)
      cost->counts.*member = std::max(cost->counts.*member, one.*member);
  return "";
}

// Runs one build, its table first; fills `seen`, `difference` or `failure`, and of one that is
// counted `cost`.
void run_build(CBuild& build, const Graph& graph, const NetTable& plan,
               std::span<const std::byte> input, std::int64_t samples, bool observe, bool counted,
               CRun& result, std::optional<Observations>& seen) {
  // No samples: only the tables of the C, so that nothing rests on them before they are compared.
  const CBuild::Output header = build.run(harness_input(graph, {}, 0), kOutputSlackBytes);
  if (!header.failure.empty()) {
    result.failure = header.failure;
    return;
  }
  const HarnessOutput table = parse_harness_output(header.bytes, 0, observe);
  if (!table.seen) {
    result.failure = table.failure;
    return;
  }
  result.difference = first_difference(plan, table.table, build.subject());
  if (result.difference) return;

  // All tensors of all samples, however wide, fit by far.
  const CBuild::Output output = build.run(input, kOutputSlackBytes + input.size() * 4096);
  if (!output.failure.empty()) {
    result.failure = output.failure;
    return;
  }
  HarnessOutput parsed = parse_harness_output(output.bytes, samples, observe);
  if (!parsed.seen) {
    result.failure = parsed.failure;
    return;
  }
  result.difference = first_difference(plan, parsed.table, build.subject());
  if (counted) {
    result.failure = find_cost(build, samples, parsed.stack_bytes, result.cost);
    if (!result.failure.empty()) return;
  }
  seen = std::move(parsed.seen);
}

void add_host_targets(const std::string& target, const std::vector<const char*>& levels,
                      std::vector<CTarget>& result) {
  for (const char* compiler : {"gcc", "clang"}) {
    require_program(target, compiler);
    for (const char* optimization : levels)
      result.push_back(
          {fmt::format("C {} {}", compiler, optimization), compiler, optimization, nullptr});
  }
}

// Where it stops at the first access out of bounds and at the first undefined operation.
CTarget sanitized_target() {
  return {"C clang sanitized",
          "clang",
          "-O1",
          nullptr,
          {"-fsanitize=address,undefined", "-fno-sanitize-recover=all"}};
}

void require_core(const std::string& asked, const EmulatedTarget& target) {
  require_program(asked, target.compiler);
  require_program(asked, target.emulator);
  if (!find_instruction_counter())
    throw InputError(fmt::format(
        "target '{}': the instruction counter {} is missing; build or install lockstep again",
        asked, kInstalledInstructionCounter));
}

void add_emulated_target(const std::string& asked, const EmulatedTarget& target,
                         std::vector<CTarget>& result) {
  require_core(asked, target);
  result.push_back({fmt::format("C {} (qemu)", target.name), std::string(target.compiler),
                    std::string(target.optimization), &target});
}

void add_targets(const std::string& target, std::vector<CTarget>& result) {
  if (target == "host" || target == "all") add_host_targets(target, {"-O0", "-O3"}, result);
  if (target == "host-all") {
    add_host_targets(target, {"-O0", "-O1", "-O2", "-O3", "-Os"}, result);
    result.push_back(sanitized_target());
  }
  for (const EmulatedTarget& emulated : emulated_targets())
    if (target == "all" || target == emulated.name) add_emulated_target(target, emulated, result);
}

void require_targets(const std::vector<std::string>& targets, const char* what) {
  const std::vector<std::string> names = target_names();
  const std::string allowed = fmt::format("{}", fmt::join(names, ", "));
  if (targets.empty())
    throw InputError(fmt::format("no target for {}; allowed: {}", what, allowed));
  for (const std::string& target : targets)
    if (std::ranges::find(names, target) == names.end())
      throw InputError(fmt::format("target '{}' is unknown; allowed: {}", target, allowed));
}

// Those of `more` that are not there yet.
void add_new(std::vector<CTarget> more, std::vector<CTarget>& result) {
  for (CTarget& one : more)
    if (std::ranges::find(result, one.name, &CTarget::name) == result.end())
      result.push_back(std::move(one));
}

}  // namespace

void require_c_files(const CProgram& program) {
  if (!is_identifier(program.prefix))
    throw InputError(fmt::format("C prefix '{}' is no C identifier", program.prefix));
  for (const char* extension : {".c", ".h", "_selftest.c"})
    read_file(program.folder / (program.prefix + extension));  // InputError names the missing file
}

std::vector<CTarget> c_targets(const std::vector<std::string>& targets) {
  require_targets(targets, "the generated C");
  std::vector<CTarget> result;
  for (const std::string& target : targets) {
    std::vector<CTarget> more;
    add_targets(target, more);
    add_new(std::move(more), result);
  }
  return result;
}

std::vector<CTarget> plan_targets(const std::vector<std::string>& targets) {
  require_targets(targets, "the plan");
  std::vector<CTarget> result;
  for (const std::string& target : targets) {
    if (target == "host-all")
      throw InputError("target 'host-all' compiles generated C, but no folder with C was given");
    for (const EmulatedTarget& emulated : emulated_targets()) {
      if (target != "all" && target != emulated.name) continue;
      require_core(target, emulated);
      require_program(target, emulated.cxx_compiler);
      add_new({{fmt::format("plan {} (qemu)", emulated.name),
                std::string(emulated.compiler),
                std::string(emulated.optimization),
                &emulated,
                {},
                std::make_shared<RuntimeBuild>(emulated)}},
              result);
    }
  }
  return result;
}

CRun run_c(const CTarget& target, const CProgram& program, const Graph& graph, const NetTable& plan,
           const Batch& batch, std::int64_t samples, CRunDepth depth) {
  CRun result;
  const std::vector<std::byte> input = harness_input(graph, batch, samples);
  const auto done = [&] { return !result.failure.empty() || result.difference.has_value(); };
  std::optional<CBuild> build;
  build.emplace(target, program, CBuildKind::kObserved);
  run_build(*build, graph, plan, input, samples, true, false, result, result.seen);
  const bool emulated = target.emulated != nullptr;
  if (!done() && depth == CRunDepth::kDeployed && (emulated || target.optimization == "-O3")) {
    build.emplace(target, program, CBuildKind::kDeployed);
    run_build(*build, graph, plan, input, samples, false, emulated, result, result.deployed);
  }
  if (!done() && program.plan == nullptr) run_self_test(*build, plan, result);
  if (!result.failure.empty()) {
    result.seen.reset();
    result.deployed.reset();
    result.cost.reset();
  }
  return result;
}

}  // namespace lockstep::verify
