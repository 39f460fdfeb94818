#include "verify/differential/c_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "verify/differential/c_build.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_stream.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

struct Package {
  std::string_view program, package;
};
constexpr Package kPackages[] = {{"gcc", "gcc"},
                                 {"clang", "clang"},
                                 {"arm-none-eabi-gcc", "gcc-arm-none-eabi"},
                                 {kEmulator, "qemu-system-arm"}};

void require_program(const std::string& target, const std::string& program) {
  if (find_program(program)) return;
  const auto* const row = std::ranges::find(kPackages, program, &Package::program);
  throw InputError(fmt::format("target '{}': {} is not installed; on Debian: apt-get install {}",
                               target, program, row->package));
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

// The self test of a target: why it gave no result, or which output element it found wrong.
void run_self_test(const CTarget& target, const CProgram& program, const NetTable& plan,
                   CRun& result) {
  CBuild build(target, program, CBuildKind::kSelfTest);
  const CBuild::Output output = build.run({}, kOutputSlackBytes);
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

// Runs one build, its table first; fills `seen`, `difference` or `failure`.
void run_build(const CTarget& target, const CProgram& program, const Graph& graph,
               const NetTable& plan, std::span<const std::byte> input, std::int64_t samples,
               bool observe, CRun& result, std::optional<Observations>& seen) {
  CBuild build(target, program, observe ? CBuildKind::kObserved : CBuildKind::kDeployed);
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
  result.difference = first_difference(plan, table.table);
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
  result.difference = first_difference(plan, parsed.table);
  if (target.cortex_m4 && !observe) {
    result.instructions_per_sample = build.instructions(samples);
    if (!result.instructions_per_sample) {
      result.failure = "the instruction counter gave no result";
      return;
    }
  }
  seen = std::move(parsed.seen);
}

}  // namespace

std::vector<CTarget> c_targets(const std::vector<std::string>& targets, const CProgram& program) {
  if (!is_identifier(program.prefix))
    throw InputError(fmt::format("C prefix '{}' is no C identifier", program.prefix));
  for (const char* extension : {".c", ".h", "_selftest.c"})
    read_file(program.folder / (program.prefix + extension));  // InputError names the missing file
  if (targets.empty())
    throw InputError("no target for the generated C; allowed: host, host-all, cortex-m4");
  std::vector<CTarget> result;
  for (const std::string& target : targets) {
    if (target == "host" || target == "host-all") {
      std::vector<const char*> levels = {"-O0", "-O3"};
      if (target == "host-all") levels = {"-O0", "-O1", "-O2", "-O3", "-Os"};
      for (const char* compiler : {"gcc", "clang"}) {
        require_program(target, compiler);
        for (const char* optimization : levels)
          result.push_back(
              {fmt::format("C {} {}", compiler, optimization), compiler, optimization, false});
      }
    } else if (target == "cortex-m4") {
      require_program(target, "arm-none-eabi-gcc");
      require_program(target, kEmulator);
      if (!find_instruction_counter())
        throw InputError(fmt::format(
            "target 'cortex-m4': the instruction counter {} is missing; build or install "
            "lockstep again",
            LOCKSTEP_PLUGIN_INSTALLED));
      result.push_back({"C cortex-m4 (qemu)", "arm-none-eabi-gcc", "-O3", true});
    } else {
      throw InputError(
          fmt::format("target '{}' is unknown; allowed: host, host-all, cortex-m4", target));
    }
  }
  return result;
}

CRun run_c(const CTarget& target, const CProgram& program, const Graph& graph, const NetTable& plan,
           const Batch& batch, std::int64_t samples) {
  CRun result;
  const std::vector<std::byte> input = harness_input(graph, batch, samples);
  const auto done = [&] { return !result.failure.empty() || result.difference.has_value(); };
  run_build(target, program, graph, plan, input, samples, true, result, result.seen);
  if (!done() && (target.cortex_m4 || target.optimization == "-O3"))
    run_build(target, program, graph, plan, input, samples, false, result, result.deployed);
  if (!done()) run_self_test(target, program, plan, result);
  if (!result.failure.empty()) {
    result.seen.reset();
    result.deployed.reset();
  }
  return result;
}

}  // namespace lockstep::verify
