#include "verify/differential/c_build.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "compile/support/files.h"
#include "verify/differential/child_process.h"
#include "verify/differential/harness_files.h"

namespace lockstep::verify {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCounter = "insn_count.so";

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

// Folders are made one by one, so that none comes back after an interrupt has removed the one
// above.
void write_harness(const fs::path& folder) {
  fs::create_directory(folder);
  for (const HarnessFile& file : harness_files()) {
    fs::create_directory((folder / file.path).parent_path());
    write_file_atomically(folder / file.path, file.text);
  }
}

std::string compile(const CTarget& target, const CProgram& program, CBuildKind kind,
                    const fs::path& folder, const fs::path& binary) {
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
      fmt::format("-DHARNESS_OBSERVE={}",
                  kind == CBuildKind::kObserved || kind == CBuildKind::kProbed ? 1 : 0),
      fmt::format("-DHARNESS_PROBE={}", kind == CBuildKind::kProbed ? 1 : 0),
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
  if (kind == CBuildKind::kSelfTest) {
    add(harness / "self_test.c");
    add(source_folder / (program.prefix + "_selftest.c"));
  } else {
    add(harness / "harness.c");
  }
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
  const char* const file = kind == CBuildKind::kSelfTest ? "_selftest.c" : ".c";
  return fmt::format("{}{} does not compile ({}): {}", program.prefix, file, result.description,
                     error_line(result.error_output));
}

std::string run_network(const CTarget& target, const CProgram& program, const fs::path& folder,
                        const fs::path& binary, std::uint64_t output_limit) {
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
    // By a name without the commas that would end the option.
    if (fs::exists(folder / kCounter))
      options.arguments.insert(options.arguments.end(),
                               {"-plugin", fmt::format("./{},out=instructions.txt", kCounter)});
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

}  // namespace

std::optional<fs::path> find_instruction_counter() {
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  const fs::path candidates[] = {
      error ? fs::path() : program.parent_path().parent_path() / LOCKSTEP_PLUGIN_RELATIVE,
      LOCKSTEP_PLUGIN_BUILD, LOCKSTEP_PLUGIN_INSTALLED};
  for (const fs::path& candidate : candidates)
    if (!candidate.empty() && fs::is_regular_file(candidate, error)) return candidate;
  return std::nullopt;
}

CBuild::CBuild(const CTarget& target, const CProgram& program, CBuildKind kind)
    : target_(target), program_(program) {
  write_harness(folder_.path() / "harness");
  failure_ = compile(target, program, kind, folder_.path(), folder_.path() / "network");
  if (target.cortex_m4 && kind == CBuildKind::kDeployed)
    fs::create_symlink(*find_instruction_counter(), folder_.path() / kCounter);
}

CBuild::Output CBuild::run(std::span<const std::byte> input, std::uint64_t output_limit) {
  if (!failure_.empty()) return {failure_, {}};
  const fs::path output = folder_.path() / "output.bin";
  fs::remove(output);
  write_file_atomically(folder_.path() / "input.bin", input);
  const std::string failure =
      run_network(target_, program_, folder_.path(), folder_.path() / "network", output_limit);
  if (!failure.empty()) return {failure, {}};
  if (!fs::is_regular_file(output)) return {"it wrote no output", {}};
  return {"", read_file(output)};
}

std::optional<std::uint64_t> CBuild::instructions(std::int64_t samples) const {
  return read_instructions(folder_.path() / "instructions.txt", samples);
}

}  // namespace lockstep::verify
