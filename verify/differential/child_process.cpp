#include "verify/differential/child_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/interruption.h"

namespace lockstep::verify {
namespace {

constexpr int kCannotExecute = 127;
constexpr std::size_t kErrorOutputBytes = 4096;

// Everything that the child needs between fork and execve, where only async-signal-safe calls are
// allowed.
struct Prepared {
  std::vector<std::string> words, environment;
  std::vector<char*> argv, envp;
  std::string folder, input, output, errors;
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

Prepared prepare(const ChildOptions& options, const std::filesystem::path& errors) {
  Prepared prepared;
  prepared.words = {options.program.string()};
  prepared.words.insert(prepared.words.end(), options.arguments.begin(), options.arguments.end());
  const char* path = std::getenv("PATH");
  prepared.environment = {fmt::format("PATH={}", path == nullptr ? "/usr/bin:/bin" : path),
                          "LC_ALL=C", fmt::format("TMPDIR={}", options.working_folder.string())};
  prepared.argv = pointers(prepared.words);
  prepared.envp = pointers(prepared.environment);
  prepared.folder = options.working_folder.string();
  prepared.input = options.input.empty() ? "/dev/null" : options.input.string();
  prepared.output = options.output.empty() ? "/dev/null" : options.output.string();
  prepared.errors = errors.string();
  return prepared;
}

bool redirect(const char* file, int flags, int descriptor) {
  const int opened = open(file, flags | O_CLOEXEC, 0600);
  return opened >= 0 && dup2(opened, descriptor) >= 0;
}

[[noreturn]] void become(const Prepared& prepared, const ChildOptions& options, pid_t parent) {
  setpgid(0, 0);
  unblock_interrupts();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotExecute);  // it died before the line above
  const rlimit files = {options.file_bytes_limit, options.file_bytes_limit};
  const rlimit no_core_dump = {0, 0};
  const int create = O_WRONLY | O_CREAT | O_TRUNC;
  if (setrlimit(RLIMIT_FSIZE, &files) == 0 && setrlimit(RLIMIT_CORE, &no_core_dump) == 0 &&
      chdir(prepared.folder.c_str()) == 0 &&
      redirect(prepared.input.c_str(), O_RDONLY, STDIN_FILENO) &&
      redirect(prepared.output.c_str(), create, STDOUT_FILENO) &&
      redirect(prepared.errors.c_str(), create, STDERR_FILENO))
    execve(prepared.argv[0], prepared.argv.data(), prepared.envp.data());
  _exit(kCannotExecute);
}

// A child that runs in a process group of its own. However the scope of this object is left, the
// child and all that it started is killed, and the child's number is given back.
class RunningChild {
 public:
  RunningChild(const Prepared& prepared, const ChildOptions& options) {
    const pid_t parent = getpid();
    const InterruptHold hold;
    child_ = fork();
    if (child_ < 0)
      throw InputError(fmt::format("cannot start a process: {}", std::strerror(errno)));
    if (child_ == 0) become(prepared, options, parent);
    setpgid(child_, child_);  // in both, because either may run first
    undo_.emplace(hold, [child = child_] { kill(-child, SIGKILL); });
  }
  ~RunningChild() { end(); }
  RunningChild(const RunningChild&) = delete;
  RunningChild& operator=(const RunningChild&) = delete;

  // Waits until the child ends or the time is over; true in time.
  bool wait(std::chrono::milliseconds timeout) const {
    // By number: glibc 2.36 declares pidfd_open without extern "C".
    const int handle = static_cast<int>(syscall(SYS_pidfd_open, child_, 0));
    if (handle < 0)
      throw InputError(fmt::format("cannot watch a child process: {}", std::strerror(errno)));
    const auto end = std::chrono::steady_clock::now() + timeout;
    int ready = 0;
    do {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          end - std::chrono::steady_clock::now());
      pollfd request = {handle, POLLIN, 0};
      ready =
          poll(&request, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 0, 1 << 30)));
    } while (ready < 0 && errno == EINTR);
    close(handle);
    return ready > 0;
  }

  // Kills what still runs; the child's status as waitpid has it.
  int end() {
    if (child_ < 0) return status_;
    kill(-child_, SIGKILL);  // whatever it started and left behind, too
    undo_.reset();           // before the number can be another process's
    while (waitpid(child_, &status_, 0) < 0 && errno == EINTR) {
    }
    child_ = -1;
    return status_;
  }

 private:
  pid_t child_ = -1;
  int status_ = 0;
  std::optional<UndoOnInterrupt> undo_;
};

std::string first_bytes(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(kErrorOutputBytes, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return text;
}

}  // namespace

std::optional<std::filesystem::path> find_program(const std::string& program) {
  const char* variable = std::getenv("PATH");
  std::string_view rest = variable == nullptr ? "/usr/bin:/bin" : variable;
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    const std::filesystem::path candidate = std::filesystem::path(folder) / program;
    std::error_code ignored;
    if (candidate.is_absolute() && std::filesystem::is_regular_file(candidate, ignored) &&
        access(candidate.c_str(), X_OK) == 0)
      return candidate;
  }
  return std::nullopt;
}

ChildResult run_child(const ChildOptions& options) {
  const std::filesystem::path errors = options.working_folder / "stderr.txt";
  const Prepared prepared = prepare(options, errors);
  RunningChild child(prepared, options);
  const bool in_time = child.wait(options.timeout);
  const int status = child.end();

  ChildResult result;
  result.error_output = first_bytes(errors);
  if (!in_time) {
    result.description = fmt::format("no result after {:.1f} seconds",
                                     static_cast<double>(options.timeout.count()) / 1000);
  } else if (WIFSIGNALED(status)) {
    const char* name = sigdescr_np(WTERMSIG(status));
    result.description = fmt::format("killed by signal {} ({})", WTERMSIG(status),
                                     name == nullptr ? "unknown" : name);
  } else {
    result.exit_code = WEXITSTATUS(status);
    result.succeeded = result.exit_code == 0;
    if (!result.succeeded) result.description = fmt::format("exit code {}", *result.exit_code);
  }
  return result;
}

std::string first_line(std::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string error_line(const std::string& output) {
  for (std::string_view rest = output; !rest.empty();) {
    const std::string line = first_line(rest);
    for (const char* const word : {"error", "Error:", "undefined"})
      if (line.find(word) != std::string::npos) return line;
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return first_line(output);
}

}  // namespace lockstep::verify
