// What SIGINT (Ctrl-C), SIGTERM and SIGHUP do to a process: one line on standard error, exit code
// 130, and nothing left behind.
//
// A signal handler may do next to nothing, so there is none: the signals are blocked in every
// thread, and one thread waits for them. Whoever makes something that must not outlive the process
// (a temporary file, a child process, one file of a set) registers how to undo it. Without
// watch_interrupts(), as in a program that uses the libraries, registering has no effect and
// signals do what that program chose.
#pragma once

#include <atomic>
#include <functional>
#include <list>
#include <mutex>

namespace lockstep {

inline constexpr int kExitInterrupted = 130;

// Blocks the three signals, but for those that the caller has this process ignore (nohup): they
// stay ignored. To be called before any thread starts, since threads and exec inherit it; where a
// library's constructor starts one, before main. Needs nothing that a constructor sets up. A signal
// that comes before watch_interrupts() waits for it.
void block_interrupts();

// Starts the thread that waits for the signals which block_interrupts() has blocked. One that comes
// runs every registered undo, the newest first, and ends the process with kExitInterrupted.
void watch_interrupts();

// From here on the process ends by itself and no signal changes how. Does not return when one
// already has. To be called once, before the last message or the exit of main.
void stop_watching_interrupts();

// No interrupt ends the process while a hold lives: for the few calls between making something and
// registering its undo. Holds do not nest, and a thread that has one destroys no UndoOnInterrupt.
class InterruptHold {
 public:
  InterruptHold();

 private:
  std::unique_lock<std::mutex> lock_;
};

// Registers `undo`, until it goes out of scope. `undo` runs in another thread, while a hold lives,
// and whatever it throws is dropped; undoing twice, or what is already gone, must do no harm.
class UndoOnInterrupt {
 public:
  UndoOnInterrupt(const InterruptHold&, std::function<void()> undo);
  ~UndoOnInterrupt();
  UndoOnInterrupt(const UndoOnInterrupt&) = delete;
  UndoOnInterrupt& operator=(const UndoOnInterrupt&) = delete;

 private:
  std::list<std::function<void()>>::iterator entry_;
};

// While one lives, the first signal only sets `requested`, for work that then comes to a good end
// by itself; a second one ends the process as above. At most one lives at a time.
class GracefulInterrupt {
 public:
  explicit GracefulInterrupt(std::atomic<bool>& requested);
  ~GracefulInterrupt();
  GracefulInterrupt(const GracefulInterrupt&) = delete;
  GracefulInterrupt& operator=(const GracefulInterrupt&) = delete;
};

// Undoes the blocking in a child process between fork and exec; async-signal-safe.
void unblock_interrupts() noexcept;

}  // namespace lockstep
