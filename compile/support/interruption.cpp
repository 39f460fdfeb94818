#include "compile/support/interruption.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <string_view>
#include <thread>

#include "compile/support/error.h"

namespace lockstep {
namespace {

struct Registry {
  std::mutex mutex;
  std::list<std::function<void()>> undos;
  std::atomic<bool>* requested = nullptr;
};

// Never destroyed: the waiting thread may outlive every static object.
Registry& registry() {
  static Registry& instance = *new Registry;
  return instance;
}

// The signals that end this process, which are all but the ignored ones.
sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler != SIG_IGN)
      sigaddset(&signals, signal);
  }
  return signals;
}

void say(std::string_view text) {
  // There is nobody left to tell when it cannot be written.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

// With the registry locked, and for good: whatever the other threads still want to register, print
// or return waits until the process is gone.
[[noreturn]] void end_process(Registry& all) {
  while (!all.undos.empty()) {
    try {
      all.undos.back()();
    } catch (...) {
    }
    all.undos.pop_back();
  }
  if (::isatty(STDERR_FILENO) != 0) say("\r\x1b[K");  // over a line of progress
  say("lockstep: interrupted\n");
  ::_exit(kExitInterrupted);
}

[[noreturn]] void wait_for_signals(sigset_t signals) {
  for (;;) {
    int signal = 0;
    if (::sigwait(&signals, &signal) != 0) continue;
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    if (all.requested == nullptr || all.requested->exchange(true)) end_process(all);
  }
}

}  // namespace

void block_interrupts() {
  const sigset_t signals = ending_signals();
  LOCKSTEP_ASSERT(::pthread_sigmask(SIG_BLOCK, &signals, nullptr) == 0);
}

void watch_interrupts() { std::thread(wait_for_signals, ending_signals()).detach(); }

void stop_watching_interrupts() { registry().mutex.lock(); }

InterruptHold::InterruptHold() : lock_(registry().mutex) {}

UndoOnInterrupt::UndoOnInterrupt(const InterruptHold&, std::function<void()> undo)
    : entry_(registry().undos.insert(registry().undos.end(), std::move(undo))) {}

UndoOnInterrupt::~UndoOnInterrupt() {
  const InterruptHold hold;
  registry().undos.erase(entry_);
}

GracefulInterrupt::GracefulInterrupt(std::atomic<bool>& requested) {
  const InterruptHold hold;
  LOCKSTEP_ASSERT(registry().requested == nullptr);
  registry().requested = &requested;
}

GracefulInterrupt::~GracefulInterrupt() {
  const InterruptHold hold;
  registry().requested = nullptr;
}

void unblock_interrupts() noexcept {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace lockstep
