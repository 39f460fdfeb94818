#include "tests/end_to_end/process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <thread>

namespace lockstep::test {
namespace fs = std::filesystem;

std::string lockstep_executable() { return LOCKSTEP_EXECUTABLE; }
const bool kWithTorch = LOCKSTEP_TEST_WITH_TORCH;

namespace {

// In the child: only calls that are safe between fork and exec.
void redirect(const char* path, int flags, int stream) {
  const int file = ::open(path, flags, 0600);
  if (file < 0 || ::dup2(file, stream) < 0) ::_exit(126);
}

}  // namespace

BackgroundProcess::BackgroundProcess(const std::vector<std::string>& arguments,
                                     const RunSetup& setup)
    : captured_(setup.standard_output.empty()) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const std::string out = captured_ ? (folder_ / "out").string() : setup.standard_output;
  const std::string err = (folder_ / "err").string();
  std::vector<std::string> environment = setup.environment;
  if (!setup.temporary_folder.empty()) environment.push_back("TMPDIR=" + setup.temporary_folder);
  const std::size_t own = environment.size();
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view name =
        std::string_view(*entry).substr(0, std::string_view(*entry).find('=') + 1);
    const auto is_set = [&](const std::string& other) { return other.starts_with(name); };
    if (std::none_of(environment.begin(), environment.begin() + static_cast<std::ptrdiff_t>(own),
                     is_set))
      environment.emplace_back(*entry);
  }
  std::vector<char*> envp;
  for (std::string& entry : environment) envp.push_back(entry.data());
  envp.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category());
  if (pid_ == 0) {
    redirect("/dev/null", O_RDONLY, STDIN_FILENO);
    redirect(out.c_str(), O_WRONLY | (captured_ ? O_CREAT : 0), STDOUT_FILENO);
    redirect(err.c_str(), O_WRONLY | O_CREAT, STDERR_FILENO);
    // Whatever the shell that runs the tests chose.
    ::signal(SIGINT, setup.ignores_interrupts ? SIG_IGN : SIG_DFL);
    // Out of the bounding set, the right to ignore permissions is not there after exec.
    if (setup.without_root_rights && ::geteuid() == 0 &&
        ::prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0)
      ::_exit(126);
    ::execve(argv.front(), argv.data(), envp.data());
    ::_exit(127);
  }
}

BackgroundProcess::~BackgroundProcess() {
  if (finished_) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void BackgroundProcess::take_status(int status) {
  finished_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool BackgroundProcess::is_running() {
  int status = 0;
  if (!finished_ && ::waitpid(pid_, &status, WNOHANG) == pid_) take_status(status);
  return !finished_;
}

void BackgroundProcess::send(int signal) { ::kill(pid_, signal); }

std::string BackgroundProcess::sleeping_threads() const {
  const fs::path threads = "/proc/" + std::to_string(pid_) + "/task";
  std::string all;
  std::error_code error;  // threads and the process may end meanwhile
  for (fs::directory_iterator thread(threads, error), end; !error && thread != end;
       thread.increment(error)) {
    std::ifstream status(thread->path() / "status");
    bool sleeps = false;
    for (std::string line; std::getline(status, line);) {
      if (line.starts_with("State:")) sleeps = line.find("S (sleeping)") != std::string::npos;
      if (line.starts_with("Pid:") || line.find("ctxt_switches:") != std::string::npos)
        all += line + "\n";
    }
    if (!sleeps) return {};
  }
  return error ? std::string() : all;
}

bool BackgroundProcess::wait_until(const std::function<bool()>& holds) {
  for (;;) {
    const bool running = is_running();
    if (holds()) return true;
    if (!running) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

bool BackgroundProcess::wait_for_text(const std::string& text) {
  return wait_until([&] {
    for (const char* stream : {"out", "err"})
      if (fs::exists(folder_ / stream) &&
          read_text(folder_ / stream).find(text) != std::string::npos)
        return true;
    return false;
  });
}

bool BackgroundProcess::wait_until_interruptible() {
  return wait_until([&] {
    const std::string status = read_text("/proc/" + std::to_string(pid_) + "/status");
    const std::size_t at = status.find("SigBlk:");
    return at != std::string::npos &&
           (std::stoull(status.substr(at + 7), nullptr, 16) >> (SIGTERM - 1) & 1) != 0;
  });
}

Finished BackgroundProcess::wait() {
  int status = 0;
  while (!finished_) {
    if (::waitpid(pid_, &status, 0) == pid_)
      take_status(status);
    else if (errno != EINTR)
      throw std::system_error(errno, std::generic_category());
  }
  return {.exit_code = exit_code_,
          .out = captured_ ? read_text(folder_ / "out") : std::string(),
          .err = read_text(folder_ / "err")};
}

Finished run_process(const std::vector<std::string>& arguments, const RunSetup& setup) {
  return BackgroundProcess(arguments, setup).wait();
}

std::string read_text(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_text(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text) || !file.flush()) throw std::runtime_error("cannot write " + path.string());
}

std::size_t line_count(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace lockstep::test
