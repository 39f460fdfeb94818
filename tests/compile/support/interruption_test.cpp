// What a signal does to a process that watches for it: each case runs in a child process of its
// own, which says what happens through a pipe.
#include "compile/support/interruption.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "compile/support/files.h"
#include "tests/support/in_child.h"
#include "tests/support/temporary_folder.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

[[noreturn]] void wait_forever() {
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("each of the three signals ends the process with one line, code 130 and every undo") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Ended ended = in_child([&] {
      block_interrupts();
      watch_interrupts();
      std::optional<UndoOnInterrupt> first, gone, second;
      {
        const InterruptHold hold;
        first.emplace(hold, [] { say("first "); });
        gone.emplace(hold, [] { say("gone "); });
        second.emplace(hold, [] {
          say("second ");
          throw 1;
        });
      }
      gone.reset();
      ::kill(::getpid(), signal);
      wait_forever();
    });
    CHECK(ended.exit_code == 130);
    CHECK(ended.text == "second first lockstep: interrupted\n");
  }
}

TEST_CASE("a signal that comes before the process watches is kept") {
  const Ended ended = in_child([] {
    block_interrupts();
    ::kill(::getpid(), SIGTERM);  // to the process, not to this thread, as raise() would
    say("kept ");
    watch_interrupts();
    wait_forever();
  });
  CHECK(ended.exit_code == 130);
  CHECK(ended.text == "kept lockstep: interrupted\n");
}

TEST_CASE("an ignored signal stays ignored, and the others still end the process") {
  const Ended ended = in_child([] {
    ::signal(SIGHUP, SIG_IGN);
    block_interrupts();
    watch_interrupts();
    ::kill(::getpid(), SIGHUP);
    say("alive ");
    ::kill(::getpid(), SIGINT);
    wait_forever();
  });
  CHECK(ended.exit_code == 130);
  CHECK(ended.text == "alive lockstep: interrupted\n");
}

TEST_CASE("nothing is undone while a hold lives") {
  const Ended ended = in_child([] {
    block_interrupts();
    watch_interrupts();
    const InterruptHold hold;
    ::kill(::getpid(), SIGINT);
    // Long enough for the other thread to act, if it did not wait.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    say("held ");
    const UndoOnInterrupt undo(hold, [] { say("undone "); });
    ::_exit(7);
  });
  CHECK(ended.exit_code == 7);
  CHECK(ended.text == "held ");
}

TEST_CASE("once the process ends by itself, a signal changes nothing") {
  const Ended ended = in_child([] {
    block_interrupts();
    watch_interrupts();
    stop_watching_interrupts();
    ::kill(::getpid(), SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    say("by itself");
    ::_exit(3);
  });
  CHECK(ended.exit_code == 3);
  CHECK(ended.text == "by itself");
}

TEST_CASE("a graceful interrupt asks first and ends the process the second time") {
  const Ended ended = in_child([] {
    block_interrupts();
    watch_interrupts();
    std::atomic<bool> requested{false};
    const GracefulInterrupt graceful(requested);
    ::kill(::getpid(), SIGINT);
    while (!requested) std::this_thread::yield();
    say("asked ");
    ::kill(::getpid(), SIGTERM);
    wait_forever();
  });
  CHECK(ended.exit_code == 130);
  CHECK(ended.text == "asked lockstep: interrupted\n");
}

TEST_CASE("without watching, signals do what they always did") {
  const Ended ended = in_child([] {
    const InterruptHold hold;
    const UndoOnInterrupt* const undo = new UndoOnInterrupt(hold, [] { say("undone "); });
    (void)undo;
    ::raise(SIGTERM);
  });
  CHECK(ended.exit_code == 128 + SIGTERM);
  CHECK(ended.text.empty());
}

TEST_CASE("an interrupt in the middle of writing leaves a whole file or none") {
  const std::string old_text(8 << 20, 'a'), new_text(8 << 20, 'b');
  for (const int milliseconds : {1, 5, 12, 20, 33, 47}) {
    const TemporaryFolder folder;
    const fs::path target = folder / "net.plan";
    const Ended ended = in_child(
        [&] {
          block_interrupts();
          watch_interrupts();
          for (;;) {
            write_file_atomically(target, old_text);
            write_file_atomically(target, new_text);
          }
        },
        [&](pid_t child) {
          while (!fs::exists(target)) std::this_thread::yield();
          std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
          ::kill(child, SIGINT);
        });
    CHECK(ended.exit_code == 130);
    CHECK(ended.text == "lockstep: interrupted\n");
    for (const auto& entry : fs::directory_iterator(folder.path()))
      CHECK(entry.path().filename() == "net.plan");
    const std::string text = read_text_file(target);
    const bool whole = text == old_text || text == new_text;
    CHECK(whole);
  }
}

}  // namespace lockstep::test
