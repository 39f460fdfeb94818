// Runs a program as a child process: no shell, a working folder, files for its streams, a time
// limit and a limit on what it may write. It dies with the thread that started it, and when the
// process is interrupted all that it has started dies, too.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::verify {

// The absolute path of `program` in $PATH; empty when it is not there.
std::optional<std::filesystem::path> find_program(const std::string& program);

struct ChildOptions {
  std::filesystem::path program;         // absolute
  std::vector<std::string> arguments;    // without the program's own name
  std::filesystem::path working_folder;  // also its TMPDIR
  std::filesystem::path input, output;   // standard streams; empty: /dev/null
  std::chrono::milliseconds timeout{0};
  std::uint64_t file_bytes_limit = std::uint64_t{1} << 32;  // of any one file that it writes
};

struct ChildResult {
  bool succeeded = false;  // it ended by itself, with exit code 0
  std::string
      description;  // why not: "exit code 3", "killed by signal 11 (Segmentation fault)", ...
  std::optional<int> exit_code;  // when it ended by itself
  std::string error_output;      // the first 4 KiB of standard error
};

// Never throws for what the child does; InputError when no process can be started or watched. In no
// case does one stay behind.
ChildResult run_child(const ChildOptions& options);

std::string first_line(std::string_view text);

// Of a compiler's messages: the first line that names an error, or else the first one.
std::string error_line(const std::string& output);

}  // namespace lockstep::verify
