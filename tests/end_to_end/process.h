// Runs the real executables, as a person at a shell would, and looks at what they print, return and
// leave behind.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace lockstep::test {

// The executable `lockstep` of this build, and whether that has LibTorch. Not macros: objects of
// tests are then the same in all builds, and compiled once.
std::string lockstep_executable();
inline const std::string kLockstep = lockstep_executable();
extern const bool kWithTorch;

struct RunSetup {
  std::string standard_output{};  // where it goes, for example "/dev/full"; empty: it is captured
  bool without_root_rights = false;  // root may write anywhere; a process with this set may not
  bool ignores_interrupts = false;   // SIGINT, as for a script's background job
  std::string temporary_folder{};    // its TMPDIR; empty: this process's
  std::vector<std::string> environment{};  // NAME=VALUE, beside or instead of this process's
};

struct Finished {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string out, err;
};

// Runs `arguments` (the executable first) to its end.
Finished run_process(const std::vector<std::string>& arguments, const RunSetup& setup = {});

// A process that goes on while the test does something; killed by the destructor if still there.
class BackgroundProcess {
 public:
  explicit BackgroundProcess(const std::vector<std::string>& arguments, const RunSetup& setup = {});
  ~BackgroundProcess();
  BackgroundProcess(const BackgroundProcess&) = delete;
  BackgroundProcess& operator=(const BackgroundProcess&) = delete;
  bool is_running();
  void send(int signal);
  // Waits until the process blocks the signals that end it (SIGTERM tells), so that it answers to
  // them as it promises; false when it ends without.
  bool wait_until_interruptible();
  // Its threads, when all of them sleep, and how often each has run; else empty. Where two calls
  // give the same, nothing has run in between.
  std::string sleeping_threads() const;
  // Waits until `holds` does; false when the process ends before.
  bool wait_until(const std::function<bool()>& holds);
  // Waits until `text` has been printed to standard output or error; false when the process ends
  // without printing it.
  bool wait_for_text(const std::string& text);
  Finished wait();

 private:
  void take_status(int status);

  TemporaryFolder folder_;
  int pid_ = -1;
  bool finished_ = false, captured_ = true;
  int exit_code_ = -1;
};

std::string read_text(const std::filesystem::path& path);
void write_text(const std::filesystem::path& path, const std::string& text);
std::size_t line_count(const std::string& text);

}  // namespace lockstep::test
