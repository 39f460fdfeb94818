#include "verify/differential/c_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_files.h"
#include "verify/differential/harness_stream.h"
#include "verify/differential/private_folder.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kOutputSlackBytes = std::uint64_t{16} << 20;
constexpr const char* kEmulator = "qemu-system-arm";

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

// Where the instruction counter lies: beside an installed program, in the build tree, or where it
// was installed.
std::optional<fs::path> find_plugin() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {
      error ? fs::path() : program.parent_path().parent_path() / LOCKSTEP_PLUGIN_RELATIVE,
      LOCKSTEP_PLUGIN_BUILD, LOCKSTEP_PLUGIN_INSTALLED};
  for (const fs::path& candidate : candidates)
    if (!candidate.empty() && fs::is_regular_file(candidate, error)) return candidate;
  return std::nullopt;
}

bool is_identifier(std::string_view text) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && letter(text[0]) &&
         std::ranges::all_of(text, [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

std::string upper_case(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

// The first line that names an error, or else the first one.
std::string error_line(const std::string& output) {
  for (std::string_view rest = output; !rest.empty();) {
    const std::string line = first_line(rest);
    if (line.find("error") != std::string::npos || line.find("undefined") != std::string::npos)
      return line;
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return first_line(output);
}

void write_harness(const fs::path& folder) {
  for (const HarnessFile& file : harness_files()) {
    fs::create_directories((folder / file.path).parent_path());
    write_file_atomically(folder / file.path, file.text);
  }
}

// Compiles into `binary`; returns why that failed, or nothing.
std::string compile(const CTarget& target, const CProgram& program, const fs::path& folder,
                    bool observe, const fs::path& binary) {
  const fs::path source_folder = fs::absolute(program.folder);
  const fs::path harness = folder / "harness";
  std::vector<std::string> arguments = {
      "-std=c99",
      "-Wall",
      "-Wextra",
      "-Wconversion",
      "-pedantic",
      "-Werror",
      target.optimization,
      fmt::format("-DHARNESS_HEADER=\"{}.h\"", program.prefix),
      fmt::format("-DHARNESS_PREFIX={}", program.prefix),
      fmt::format("-DHARNESS_PREFIX_UPPER={}", upper_case(program.prefix)),
      fmt::format("-DHARNESS_OBSERVE={}", observe ? 1 : 0),
      "-I",
      source_folder.string(),
      "-I",
      harness.string(),
      "-include",
      (harness / "observe.h").string()};
  const auto add = [&](const fs::path& argument) { arguments.push_back(argument.string()); };
  if (target.cortex_m4) {
    for (const char* flag :
         {"-mcpu=cortex-m4", "-mthumb", "-nostdlib", "-ffunction-sections", "-isystem"})
      arguments.emplace_back(flag);
    add(harness / "freestanding");
    arguments.emplace_back("-T");
    add(harness / "cortex_m.ld");
    add(harness / "startup_cortex_m.c");
    add(harness / "io_semihosting.c");
  } else {
    add(harness / "io_host.c");
  }
  add(harness / "harness.c");
  add(source_folder / (program.prefix + ".c"));
  if (target.cortex_m4) arguments.emplace_back("-lgcc");
  arguments.emplace_back("-o");
  add(binary);

  const ChildResult result = run_child({.program = *find_program(target.compiler),
                                        .arguments = std::move(arguments),
                                        .working_folder = folder,
                                        .input = {},
                                        .output = {},
                                        .timeout = program.timeout});
  if (result.succeeded) return "";
  return fmt::format("{}.c does not compile ({}): {}", program.prefix, result.description,
                     error_line(result.error_output));
}

// Runs `binary` on input.bin; its output is in output.bin. Returns why that failed, or nothing.
std::string run(const CTarget& target, const CProgram& program, const fs::path& folder,
                const fs::path& binary, std::uint64_t output_limit, bool count) {
  ChildOptions options;
  options.working_folder = folder;
  options.timeout = program.timeout;
  options.file_bytes_limit = output_limit;
  if (target.cortex_m4) {
    options.program = *find_program(kEmulator);
    options.arguments = {"-M",
                         "mps2-an386",
                         "-display",
                         "none",
                         "-monitor",
                         "none",
                         "-serial",
                         "none",
                         "-semihosting-config",
                         "enable=on,target=native"};
    if (count) {  // by a name without the commas that would end the option
      fs::create_symlink(*find_plugin(), folder / "insn_count.so");
      options.arguments.insert(options.arguments.end(),
                               {"-plugin", "./insn_count.so,out=instructions.txt"});
    }
    options.arguments.insert(options.arguments.end(), {"-kernel", binary.string()});
  } else {
    options.program = binary;
    options.input = folder / "input.bin";
    options.output = folder / "output.bin";
  }
  const ChildResult result = run_child(options);
  if (result.succeeded) return "";
  const std::string line = first_line(result.error_output);
  return line.empty() ? result.description : fmt::format("{}: {}", result.description, line);
}

// One line per sample; the most that a sample took.
std::optional<std::uint64_t> read_instructions(const fs::path& file, std::int64_t samples) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return std::nullopt;
  const std::string text = read_text_file(file);
  std::uint64_t most = 0;
  std::int64_t lines = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::uint64_t count = 0;
    const std::from_chars_result parsed = std::from_chars(at, end, count);
    if (parsed.ec != std::errc() || parsed.ptr == end || *parsed.ptr != '\n') return std::nullopt;
    most = std::max(most, count);
    lines += 1;
    at = parsed.ptr + 1;
  }
  if (lines != samples) return std::nullopt;
  return most;
}

// Compiles and runs one build; fills `seen`, or returns why it could not.
std::string run_build(const CTarget& target, const CProgram& program, const Graph& graph,
                      std::span<const std::byte> input, std::int64_t samples, bool observe,
                      std::optional<Observations>& seen,
                      std::optional<std::uint64_t>& instructions) {
  const PrivateFolder folder;
  write_harness(folder.path() / "harness");
  write_file_atomically(folder.path() / "input.bin", input);
  const fs::path binary = folder.path() / "network";
  std::string failure = compile(target, program, folder.path(), observe, binary);
  if (!failure.empty()) return failure;
  // All tensors of all samples, however wide, fit by far.
  const std::uint64_t limit = kOutputSlackBytes + input.size() * 4096;
  failure = run(target, program, folder.path(), binary, limit, !observe);
  if (!failure.empty()) return failure;
  const fs::path output = folder.path() / "output.bin";
  if (!fs::is_regular_file(output)) return "it wrote no output";
  HarnessOutput parsed = parse_harness_output(read_file(output), graph, samples, observe);
  if (!parsed.seen) return parsed.failure;
  if (target.cortex_m4 && !observe) {
    instructions = read_instructions(folder.path() / "instructions.txt", samples);
    if (!instructions) return "the instruction counter gave no result";
  }
  seen = std::move(parsed.seen);
  return "";
}

}  // namespace

std::vector<CTarget> c_targets(const std::vector<std::string>& targets, const CProgram& program) {
  if (!is_identifier(program.prefix))
    throw InputError(fmt::format("C prefix '{}' is no C identifier", program.prefix));
  for (const char* extension : {".c", ".h"})
    read_file(program.folder / (program.prefix + extension));  // InputError names the missing file
  std::vector<CTarget> result;
  for (const std::string& target : targets) {
    if (target == "host") {
      for (const char* compiler : {"gcc", "clang"}) {
        require_program(target, compiler);
        for (const char* optimization : {"-O0", "-O3"})
          result.push_back(
              {fmt::format("C {} {}", compiler, optimization), compiler, optimization, false});
      }
    } else if (target == "cortex-m4") {
      require_program(target, "arm-none-eabi-gcc");
      require_program(target, kEmulator);
      if (!find_plugin())
        throw InputError(fmt::format(
            "target 'cortex-m4': the instruction counter {} is missing; build or install "
            "lockstep again",
            LOCKSTEP_PLUGIN_INSTALLED));
      result.push_back({"C cortex-m4 (qemu)", "arm-none-eabi-gcc", "-O3", true});
    } else {
      throw InputError(fmt::format("target '{}' is unknown; allowed: host, cortex-m4", target));
    }
  }
  return result;
}

CRun run_c(const CTarget& target, const CProgram& program, const Graph& graph, const Batch& batch,
           std::int64_t samples) {
  CRun result;
  const std::vector<std::byte> input = harness_input(graph, batch, samples);
  result.failure = run_build(target, program, graph, input, samples, true, result.seen,
                             result.instructions_per_sample);
  if (result.failure.empty() && (target.cortex_m4 || target.optimization == "-O3"))
    result.failure = run_build(target, program, graph, input, samples, false, result.deployed,
                               result.instructions_per_sample);
  if (!result.failure.empty()) {
    result.seen.reset();
    result.deployed.reset();
  }
  return result;
}

}  // namespace lockstep::verify
