// A set of outputs is there as a whole or not at all, after an error, after an interrupt, and
// through symbolic links.
#include "tools/support/outputs.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>

#include "tests/support/in_child.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using cli::Outputs;

void write(const fs::path& path) { std::ofstream(path) << "content"; }

std::ptrdiff_t count_files(const fs::path& folder) {
  return std::distance(fs::directory_iterator(folder), fs::directory_iterator());
}

bool is_pending(int signal) {
  sigset_t pending;
  return ::sigpending(&pending) == 0 && sigismember(&pending, signal) == 1;
}

}  // namespace

TEST_CASE("outputs stay once they are kept, and go with old ones otherwise") {
  const TemporaryFolder folder;
  write(folder / "old");
  {
    Outputs outputs({folder / "input"});
    outputs.claim(folder / "old");
    CHECK_FALSE(fs::exists(folder / "old"));
    outputs.claim(folder / "never written");
    write(folder / "old");
  }
  CHECK(count_files(folder.path()) == 0);
  {
    Outputs outputs({});
    outputs.claim(folder / "new");
    write(folder / "new");
    outputs.keep();
  }
  CHECK(fs::exists(folder / "new"));
}

TEST_CASE("an output behind links goes, and the links stay") {
  const TemporaryFolder folder;
  fs::create_symlink("real", folder / "link");
  fs::create_symlink(folder / "link", folder / "link to link");
  {
    Outputs outputs({});
    outputs.claim(folder / "link to link");
    write(folder / "real");
  }
  CHECK_FALSE(fs::exists(folder / "real"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(fs::is_symlink(folder / "link to link"));
}

TEST_CASE("a device stays") {
  const TemporaryFolder folder;
  fs::create_symlink("/dev/null", folder / "link");
  {
    Outputs outputs({});
    outputs.claim("/dev/stdout");
    outputs.claim(folder / "link");
  }
  CHECK(fs::is_symlink(fs::symlink_status("/dev/stdout")));
  CHECK(fs::exists("/dev/null"));
  CHECK(fs::is_symlink(folder / "link"));
}

TEST_CASE("one file is no two outputs, and no input is an output, whatever their names") {
  const TemporaryFolder folder;
  write(folder / "input");
  fs::create_symlink("input", folder / "link to input");
  fs::create_symlink("new", folder / "link to new");
  Outputs outputs({folder / "input"});
  for (const fs::path& input :
       {folder / "input", folder / "link to input", folder.path() / "." / "input"})
    CHECK(contains(input_error_of([&] { outputs.claim(input); }), "is an input"));
  CHECK(fs::exists(folder / "input"));

  outputs.claim(folder / "link to new");
  for (const fs::path& again :
       {folder / "new", folder / "link to new", folder.path() / "." / "new"})
    CHECK(contains(input_error_of([&] { outputs.claim(again); }), "two outputs"));
}

TEST_CASE("an interrupt while outputs are kept leaves all of them or none") {
  constexpr int kFiles = 50;
  for (int round = 0; round < 50; ++round) {
    const TemporaryFolder folder;
    const Ended ended = in_child([&] {
      block_interrupts();
      watch_interrupts();
      Outputs outputs({});
      for (int i = 0; i < kFiles; ++i) {
        outputs.claim(folder / std::to_string(i));
        write(folder / std::to_string(i));
      }
      // The interrupt has arrived and waits for its turn when keep() begins, beside a thread that
      // takes turns, too: whatever keep() does step by step is likely to be cut.
      std::thread([] {
        for (;;) const InterruptHold hold;
      }).detach();
      {
        const InterruptHold hold;
        ::kill(::getpid(), SIGINT);
        while (is_pending(SIGINT)) std::this_thread::yield();
      }
      outputs.keep();
      stop_watching_interrupts();
      ::_exit(0);
    });
    INFO("round ", round, ": ", ended.text);
    const std::ptrdiff_t left = count_files(folder.path());
    if (ended.exit_code == 0) {
      CHECK(left == kFiles);
    } else {
      CHECK(ended.exit_code == kExitInterrupted);
      const bool all_or_none = left == kFiles || left == 0;
      INFO(left, " of ", kFiles, " files");
      CHECK(all_or_none);
    }
  }
}

}  // namespace lockstep::test
