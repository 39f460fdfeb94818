#include "tools/project/project.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "compile/support/error.h"
#include "tools/project/template_files.h"
#include "verify/differential/harness_files.h"
#include "verify/differential/targets.h"

namespace lockstep::cli {
namespace {

using Marks = std::vector<std::pair<std::string, std::string>>;  // what stands for what

// Of the harness that runs C on emulated cores: what any program there needs.
constexpr std::string_view kBoardFiles[] = {"bare.c", "bare.h", "semihosting.h",
                                            "freestanding/stdint.h", "freestanding/string.h"};
constexpr std::string_view kFirmwareCore = "cortex-m4";  // of C for any core

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

// Names and files that begin with net_, net. or NET_ get the prefix; the templates are written for
// "net".
std::string with_prefix(std::string_view text, const std::string& prefix) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view rest = text.substr(i);
    const bool begins = i == 0 || !is_word(text[i - 1]);
    const bool is_lower = rest.starts_with("net_") || rest.starts_with("net.");
    if (begins && (is_lower || rest.starts_with("NET_"))) {
      result += is_lower ? prefix : upper(prefix);
      i += 2;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string filled(std::string text, const Marks& marks) {
  for (const auto& [mark, with] : marks) replace_all(text, "@" + mark + "@", with);
  return text;
}

const verify::EmulatedTarget& firmware_core(std::string_view style, const std::string& target) {
  const verify::EmulatedTarget* const core =
      verify::find_emulated_target(target == "generic" ? kFirmwareCore : target);
  if (core == nullptr || !core->memory)
    throw InputError(
        fmt::format("--project {}: makes firmware for a core without an operating system, and {} "
                    "is none; take the C alone, or another --target",
                    style, target));
  return *core;
}

Marks firmware_marks(const verify::EmulatedTarget& core) {
  std::string size(core.compiler);
  size.replace(size.rfind("gcc"), 3, "size");
  return {{"core", std::string(core.name)},
          {"processor", std::string(core.processor)},
          {"compiler", std::string(core.compiler)},
          {"size", size},
          {"core_flags", fmt::format("{}", fmt::join(core.flags, " "))},
          {"emulator", std::string(core.emulator)},
          {"machine", std::string(core.machine.at(1))},
          {"machine_flags", fmt::format("{}", fmt::join(core.machine, " "))},
          {"startup", std::string(core.startup)}};
}

std::string_view harness_text(std::string_view path) {
  const auto files = verify::harness_files();
  const auto found = std::ranges::find(files, path, &verify::HarnessFile::path);
  LOCKSTEP_ASSERT(found != files.end());
  return found->text;
}

// The harness's script with the numbers that it is given on the command line.
std::string linker_script(const verify::EmulatedTarget& core) {
  std::string text(harness_text("bare.ld"));
  text.erase(0, text.find("ENTRY("));
  const verify::MemoryMap& memory = *core.memory;
  for (const auto& [name, number] : {std::pair{"VECTORS_AT", memory.vectors},
                                     {"CODE_AT", memory.code},
                                     {"CODE_BYTES", memory.code_bytes},
                                     {"RAM_AT", memory.ram},
                                     {"RAM_BYTES", memory.ram_bytes}})
    replace_all(text, name, fmt::format("{:#010x}", number));
  return fmt::format("/* Memory of QEMU's {} with a {}. */\n{}", core.machine.at(1), core.processor,
                     text);
}

void add_templates(std::vector<ProjectFile>& files, std::string_view style,
                   const std::string& prefix, const Marks& marks) {
  const std::string folder = std::string(style) + "/";
  for (const TemplateFile& file : template_files())
    if (file.path.starts_with(folder))
      files.push_back({std::string(file.path.substr(folder.size())),
                       filled(with_prefix(file.text, prefix), marks)});
}

}  // namespace

std::vector<std::string> project_styles() { return {"make", "cmake", "zephyr", "arduino"}; }

std::vector<ProjectFile> project_files(std::string_view style, const std::string& prefix,
                                       const std::string& target) {
  Marks marks = {{"net", prefix}, {"NET", upper(prefix)}, {"optimization", "-O3"}};
  std::vector<ProjectFile> files;
  const bool is_firmware = style == "make" || style == "cmake";
  if (is_firmware) {
    const verify::EmulatedTarget& core = firmware_core(style, target);
    const Marks more = firmware_marks(core);
    marks.insert(marks.end(), more.begin(), more.end());
    files.push_back({"board/linker.ld", linker_script(core)});
    for (const std::string_view file : kBoardFiles)
      files.push_back({fmt::format("board/{}", file), std::string(harness_text(file))});
    files.push_back(
        {fmt::format("board/{}", core.startup), std::string(harness_text(core.startup))});
    add_templates(files, "firmware", prefix, marks);
  }
  add_templates(files, style, prefix, marks);
  return files;
}

}  // namespace lockstep::cli
