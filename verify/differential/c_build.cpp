#include "verify/differential/c_build.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "verify/differential/child_process.h"
#include "verify/differential/instruction_counter.h"
#include "verify/differential/stack_bound.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCounter = "insn_count.so";
constexpr const char* kCounts = "instructions.txt";
constexpr const char* kObject = "network.o";
constexpr const char* kCallGraph = "network.ci";  // GCC names it after the object
constexpr const char* kNetwork = "network";
constexpr const char* kSelfTest = "self_test";
constexpr const char* kPlan = "plan.bin";  // harness/plan.S says so, too
constexpr const char* kPlanObject = "plan.o";
constexpr int kRuntimeFailed = 16;  // and more: the runtime's status (harness/harness.h)

// What the harness means by its exit codes (harness/harness.h).
struct ExitCode {
  int code;
  const char* meaning;
};
constexpr ExitCode kExitCodes[] = {{2, "it did not read its input as it was given"},
                                   {3, "it wrote outside its arena"},
                                   {4, "its input or output failed"},
                                   {5, "the core faulted"},
                                   {6, "its stack is too small"}};

std::string upper_case(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

const char* observed(CBuildKind kind) {
  switch (kind) {
    case CBuildKind::kObserved:
    case CBuildKind::kProbed:
      return "HARNESS_OBSERVE_ALL";
    case CBuildKind::kMarked:
      return "HARNESS_OBSERVE_MARKS";
    case CBuildKind::kDeployed:
      break;
  }
  return "HARNESS_OBSERVE_OUTPUTS";
}

std::vector<std::string> c_flags(const CProgram& program) {
  return {"-DHARNESS_NETWORK=\"network_c.h\"",
          fmt::format("-DHARNESS_HEADER=\"{}.h\"", program.prefix),
          fmt::format("-DHARNESS_PREFIX={}", program.prefix),
          fmt::format("-DHARNESS_PREFIX_UPPER={}", upper_case(program.prefix)),
          "-I",
          fs::absolute(program.folder).string()};
}

// The symbols of the kernels that a plan needs.
std::set<std::string> kernel_symbols(const OpenPlan& plan) {
  std::set<std::string> symbols;
  for (std::uint32_t op = 0; op < intrt_op_count(plan.get()); ++op)
    symbols.insert(fmt::format("intrt_kernel_{}", intrt_op_kernel(plan.get(), op)));
  return symbols;
}

std::vector<std::string> plan_flags(const CTarget& target, const OpenPlan& plan) {
  std::vector<std::string> flags = target.runtime->include_flags();
  flags.emplace_back("-DHARNESS_NETWORK=\"network_plan.h\"");
  flags.push_back(fmt::format("-DHARNESS_ARENA_BYTES={}u", intrt_arena_bytes(plan.get())));
  flags.push_back(fmt::format("-DHARNESS_KERNELS=&{}", fmt::join(kernel_symbols(plan), ",&")));
  return flags;
}

// What every compilation of a build is given.
std::vector<std::string> build_flags(const CTarget& target, const CProgram& program,
                                     CBuildKind kind) {
  std::vector<std::string> flags = target.harness->compiler_flags();
  const std::vector<std::string> network =
      program.plan != nullptr ? plan_flags(target, *program.plan) : c_flags(program);
  flags.insert(flags.end(), network.begin(), network.end());
  flags.push_back(fmt::format("-DHARNESS_OBSERVE={}", observed(kind)));
  flags.push_back(fmt::format("-DHARNESS_PROBE={}", kind == CBuildKind::kProbed ? 1 : 0));
  flags.push_back(fmt::format("-DHARNESS_MEASURED={}", target.emulated != nullptr ? 1 : 0));
  return flags;
}

std::vector<std::string> linker_flags(const CTarget& target, const fs::path& harness) {
  if (target.emulated == nullptr) return {};
  if (!target.emulated->memory) return {"-static"};
  const MemoryMap& memory = *target.emulated->memory;
  return {"-T", (harness / "bare.ld").string(),
          fmt::format("-Wl,--defsym=VECTORS_AT={},--defsym=CODE_AT={},--defsym=CODE_BYTES={},"
                      "--defsym=RAM_AT={},--defsym=RAM_BYTES={}",
                      memory.vectors, memory.code, memory.code_bytes, memory.ram, memory.ram_bytes),
          "-lgcc"};
}

std::string with_reason(const std::string& description, const std::string& line) {
  return line.empty() ? description : fmt::format("{}: {}", description, line);
}

// One line per region, as plugin/insn_count.c writes them; nothing unless it is all well-formed.
std::optional<std::vector<ExecutionCounts>> parse_counts(const std::string& text) {
  std::vector<ExecutionCounts> regions;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::array<std::uint64_t, 6> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      const std::from_chars_result parsed = std::from_chars(at, end, numbers[i]);
      const char separator = i + 1 == numbers.size() ? '\n' : ' ';
      if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != separator)
        return std::nullopt;
      at = parsed.ptr + 1;
    }
    regions.push_back({.instructions = numbers[0],
                       .reads = numbers[1],
                       .writes = numbers[2],
                       .multiplications = numbers[3],
                       .branches = numbers[4],
                       .vector_instructions = numbers[5]});
  }
  return regions;
}

}  // namespace

CBuild::CBuild(const CTarget& target, const CProgram& program, CBuildKind kind)
    : target_(target), program_(program), kind_(kind) {
  LOCKSTEP_ASSERT(kind != CBuildKind::kMarked || target.emulated != nullptr);
  LOCKSTEP_ASSERT((program.plan != nullptr) == (target.runtime != nullptr));
  failure_ = target.harness->prepare(target, program.timeout);
  if (!failure_.empty()) return;
  failure_ = compile_network();
  if (!failure_.empty()) return;
  failure_ = link(kNetwork, {"harness.c"});
  if (!failure_.empty())
    failure_ =
        fmt::format("{} does not link with the harness ({})",
                    program.plan != nullptr ? "the runtime" : program.prefix + ".c", failure_);
  if (is_counted()) fs::create_symlink(*find_instruction_counter(), folder_.path() / kCounter);
}

const char* CBuild::subject() const {
  return program_.plan != nullptr ? "the runtime on the core" : "the C";
}

bool CBuild::is_counted() const {
  return target_.emulated != nullptr &&
         (kind_ == CBuildKind::kDeployed || kind_ == CBuildKind::kMarked);
}

ChildResult CBuild::run_compiler(std::vector<std::string> arguments) const {
  return run_child({.program = *find_program(target_.compiler),
                    .arguments = std::move(arguments),
                    .working_folder = folder_.path(),
                    .input = {},
                    .output = {},
                    .timeout = program_.timeout});
}

std::string CBuild::compile_network() {
  return program_.plan != nullptr ? link_runtime() : compile_c();
}

std::string CBuild::compile_c() {
  std::vector<std::string> arguments = build_flags(target_, program_, kind_);
  if (target_.emulated != nullptr) arguments.emplace_back("-fcallgraph-info=su");
  arguments.insert(
      arguments.end(),
      {"-include", (target_.harness->folder() / "observe.h").string(), "-c",
       (fs::absolute(program_.folder) / (program_.prefix + ".c")).string(), "-o", kObject});
  const ChildResult result = run_compiler(std::move(arguments));
  if (result.succeeded) return "";
  return fmt::format("{}.c does not compile ({}): {}", program_.prefix, result.description,
                     error_line(result.error_output));
}

// The plan's bytes, and of the runtime what is reached from its interface and the plan's kernels,
// as one object file: what a device's linker would keep.
std::string CBuild::link_runtime() {
  const std::string& failure = target_.runtime->prepare(program_.timeout);
  if (!failure.empty()) return failure;
  const OpenPlan& plan = *program_.plan;
  write_file_atomically(folder_.path() / kPlan, plan.content());
  std::vector<std::string> arguments(target_.emulated->flags.begin(),
                                     target_.emulated->flags.end());
  arguments.insert(arguments.end(),
                   {"-c", (target_.harness->folder() / "plan.S").string(), "-o", kPlanObject});
  ChildResult result = run_compiler(std::move(arguments));
  if (!result.succeeded)
    return fmt::format("the plan's bytes do not assemble ({}): {}", result.description,
                       error_line(result.error_output));

  arguments.assign(target_.emulated->flags.begin(), target_.emulated->flags.end());
  arguments.insert(arguments.end(), {"-r", "-nostdlib", "-Wl,--gc-sections"});
  for (const char* const symbol :
       {"harness_plan", "intrt_open_with", "intrt_run", "intrt_arena_bytes", "intrt_tensor_count",
        "intrt_input_count", "intrt_output_count", "intrt_input", "intrt_output",
        "intrt_tensor_info", "intrt_tensor_data"})
    arguments.push_back(fmt::format("-Wl,-u,{}", symbol));
  for (const std::string& symbol : kernel_symbols(plan))
    arguments.push_back(fmt::format("-Wl,-u,{}", symbol));
  for (const std::string& object : target_.runtime->objects()) arguments.push_back(object);
  arguments.insert(arguments.end(), {kPlanObject, "-o", kObject});
  result = run_compiler(std::move(arguments));
  if (result.succeeded) return "";
  return fmt::format("the runtime does not link ({}): {}", result.description,
                     error_line(result.error_output));
}

// `sources`: of the harness, or absolute.
std::string CBuild::link(const char* binary, const std::vector<std::string>& sources) {
  const fs::path harness = target_.harness->folder();
  std::vector<std::string> arguments = build_flags(target_, program_, kind_);
  for (const std::string& source : sources) arguments.push_back((harness / source).string());
  for (const std::string& object : target_.harness->objects()) arguments.push_back(object);
  arguments.emplace_back(kObject);
  const std::vector<std::string> flags = linker_flags(target_, harness);
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  arguments.insert(arguments.end(), {"-o", binary});
  const ChildResult result = run_compiler(std::move(arguments));
  if (result.succeeded) return "";
  return with_reason(result.description, error_line(result.error_output));
}

std::string CBuild::run_binary(const char* binary, std::uint64_t output_limit) {
  const fs::path folder = folder_.path();
  ChildOptions options;
  options.working_folder = folder;
  options.timeout = program_.timeout;
  options.file_bytes_limit = output_limit;
  const auto add = [&](std::initializer_list<std::string_view> arguments) {
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  };
  if (const EmulatedTarget* const emulated = target_.emulated) {
    options.program = *find_program(std::string(emulated->emulator));
    for (const std::string_view argument : emulated->machine) add({argument});
    if (emulated->memory)
      add({"-display", "none", "-monitor", "none", "-serial", "none", "-semihosting-config",
           "enable=on,target=native"});
    // By a name without the commas that would end the option.
    if (is_counted()) add({"-plugin", fmt::format("./{},out={}", kCounter, kCounts)});
    if (emulated->memory) add({"-kernel"});
    add({(folder / binary).string()});
  } else {
    options.program = folder / binary;
  }
  if (target_.emulated == nullptr || !target_.emulated->memory) {
    options.input = folder / "input.bin";
    options.output = folder / "output.bin";
  }
  const ChildResult result = run_child(options);
  if (result.succeeded) return "";
  const std::string line = first_line(result.error_output);
  if (program_.plan != nullptr && line.empty() && result.exit_code >= kRuntimeFailed) {
    const auto status = static_cast<intrt_status>(*result.exit_code - kRuntimeFailed);
    return with_reason(result.description,
                       fmt::format("the runtime says: {}", intrt_status_text(status)));
  }
  const auto* const known = std::ranges::find_if(
      kExitCodes, [&](const ExitCode& exit) { return result.exit_code == exit.code; });
  if (line.empty() && known != std::end(kExitCodes))
    return with_reason(result.description, known->meaning);
  return with_reason(result.description, line);
}

CBuild::Output CBuild::read_output(const std::string& failure) const {
  if (!failure.empty()) return {failure, {}};
  const fs::path output = folder_.path() / "output.bin";
  if (!fs::is_regular_file(output)) return {"it wrote no output", {}};
  return {"", read_file(output)};
}

CBuild::Output CBuild::run(std::span<const std::byte> input, std::uint64_t output_limit) {
  if (!failure_.empty()) return {failure_, {}};
  for (const char* const file : {"output.bin", kCounts}) fs::remove(folder_.path() / file);
  write_file_atomically(folder_.path() / "input.bin", input);
  return read_output(run_binary(kNetwork, output_limit));
}

CBuild::Output CBuild::run_self_test() {
  if (!failure_.empty()) return {failure_, {}};
  const std::string file = program_.prefix + "_selftest.c";
  const std::string failure =
      link(kSelfTest, {"self_test.c", (fs::absolute(program_.folder) / file).string()});
  if (!failure.empty()) return {fmt::format("{} does not compile ({})", file, failure), {}};
  fs::remove(folder_.path() / "output.bin");
  write_file_atomically(folder_.path() / "input.bin", std::span<const std::byte>());
  return read_output(run_binary(kSelfTest, kOutputSlackBytes));
}

// All regions of the last run: of a plan, first its opening.
std::optional<std::vector<ExecutionCounts>> CBuild::all_counts() const {
  const fs::path file = folder_.path() / kCounts;
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  return parse_counts(read_text_file(file));
}

std::optional<std::vector<ExecutionCounts>> CBuild::counts(std::int64_t regions) const {
  std::optional<std::vector<ExecutionCounts>> counts = all_counts();
  const std::ptrdiff_t opening = program_.plan != nullptr ? 1 : 0;
  if (!counts || std::ssize(*counts) != regions + opening) return std::nullopt;
  counts->erase(counts->begin(), counts->begin() + opening);
  return counts;
}

ExecutionCounts CBuild::opening() const {
  const std::optional<std::vector<ExecutionCounts>> counts = all_counts();
  return program_.plan != nullptr && counts && !counts->empty() ? counts->front()
                                                                : ExecutionCounts{};
}

std::optional<ObjectSizes> CBuild::sizes() const {
  const fs::path object = folder_.path() / kObject;
  std::error_code error;
  if (!fs::is_regular_file(object, error)) return std::nullopt;
  return object_sizes(read_file(object));
}

std::vector<Symbol> CBuild::symbols() const {
  const fs::path object = folder_.path() / kObject;
  std::error_code error;
  if (!fs::is_regular_file(object, error)) return {};
  return object_symbols(read_file(object));
}

std::string CBuild::call_graph() const {
  const fs::path call_graph = folder_.path() / kCallGraph;
  std::error_code error;
  return fs::is_regular_file(call_graph, error) ? read_text_file(call_graph) : "";
}

std::map<std::string, std::uint64_t, std::less<>> CBuild::stack_bounds() const {
  return verify::stack_bounds(call_graph());
}

std::optional<std::uint64_t> CBuild::stack_bound_bytes() const {
  return stack_bound(call_graph(), program_.prefix + "_run");
}

}  // namespace lockstep::verify
