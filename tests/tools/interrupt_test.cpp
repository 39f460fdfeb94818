// Ctrl-C and its like, really sent: each verb ends with code 130 and one line, and neither a file
// nor a child process outlives it.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>

#include <chrono>
#include <set>
#include <thread>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/files.h"
#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const fs::path kNetwork = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / "bias12";
// With ten outputs, one for each class of the synthetic data: its training would go on for long.
const fs::path kTrainedGraph =
    fs::path(LOCKSTEP_TEST_DATA).parent_path() / "docs" / "examples" / "small" / "graph.json";
const std::string kLine = "lockstep: interrupted\n";

// A network, compiled, and a folder for the temporary files of the commands.
class Workplace {
 public:
  Workplace() {
    fs::create_directory(temporaries());
    const Finished compiled = run_process(compile("net.plan", "c"));
    INFO(compiled.err);
    REQUIRE(compiled.exit_code == 0);
    const Tensor input = read_state_dict(kNetwork / "io.safetensors").at("v0.input_int");
    write_npy(folder_ / "x.npy", NpyArray<std::int32_t>{input.shape, input.int32s("input")});
    REQUIRE(::mkfifo(file("pipe").c_str(), 0600) == 0);
  }

  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  fs::path temporaries() const { return folder_ / "tmp"; }
  RunSetup setup() const { return {.temporary_folder = temporaries().string()}; }

  std::vector<std::string> compile(const std::string& plan, const std::string& c_folder) const {
    return {kLockstep,   "compile",
            "--graph",   (kNetwork / "graph.json").string(),
            "--weights", (kNetwork / "state_dict.pt").string(),
            "--out",     file(plan),
            "--emit-c",  file(c_folder),
            "--quiet"};
  }
  std::vector<std::string> verify() const {
    return {kLockstep,   "verify",
            "--graph",   (kNetwork / "graph.json").string(),
            "--weights", (kNetwork / "state_dict.pt").string(),
            "--plan",    file("net.plan"),
            "--c",       file("c"),
            "--quiet"};
  }

  // Files and folders below the folder, hidden ones too.
  std::set<std::string> contents() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      found.insert(fs::relative(entry.path(), folder_.path()).string());
    return found;
  }

  // Whether a process lives whose environment names the folder for temporary files.
  bool has_process() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::string environment;
      try {
        environment = read_text_file(entry.path() / "environ");
      } catch (const std::exception&) {
        continue;  // no process, another user's, or one that has just ended
      }
      if (environment.find("TMPDIR=" + temporaries().string()) != std::string::npos) return true;
    }
    return false;
  }
  // A killed process is gone soon, but not at once; this test fails by its time limit.
  void wait_until_no_process() const {
    while (has_process()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }

 private:
  TemporaryFolder folder_;
};

}  // namespace

TEST_CASE("verify leaves neither folders nor compilers behind, whichever signal ends it") {
  const Workplace work;
  const std::set<std::string> before = work.contents();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    BackgroundProcess verify(work.verify(), work.setup());
    REQUIRE(verify.wait_until([&] { return !fs::is_empty(work.temporaries()); }));
    verify.send(signal);
    const Finished finished = verify.wait();
    CHECK(finished.exit_code == 130);
    CHECK(finished.err == kLine);
    CHECK(finished.out.empty());
    work.wait_until_no_process();
    CHECK(work.contents() == before);
  }
}

TEST_CASE("verify can be interrupted at any moment") {
  const Workplace work;
  const std::set<std::string> before = work.contents();
  for (const int milliseconds : {0, 3, 10, 30, 60, 100, 150, 220, 300, 450, 700}) {
    BackgroundProcess verify(work.verify(), work.setup());
    REQUIRE(verify.wait_until_interruptible());
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    verify.send(SIGINT);
    const Finished finished = verify.wait();
    INFO("after ", milliseconds, " ms: ", finished.err);
    const bool was_interrupted = finished.exit_code == 130 && finished.err == kLine;
    const bool was_finished = finished.exit_code == 0 && finished.err.empty();
    const bool one_of_both = was_interrupted || was_finished;
    CHECK(one_of_both);
    work.wait_until_no_process();
    CHECK(work.contents() == before);
  }
}

TEST_CASE("an interrupted compile leaves no part of its outputs") {
  const Workplace work;
  const std::set<std::string> before = work.contents();
  // The plan comes last, and a pipe that nobody reads holds it up: the C is there by then.
  BackgroundProcess compile(work.compile("pipe", "c2"), work.setup());
  REQUIRE(compile.wait_until([&] { return fs::exists(work.file("c2/net_selftest.c")); }));
  compile.send(SIGTERM);
  const Finished finished = compile.wait();
  CHECK(finished.exit_code == 130);
  CHECK(finished.err == kLine);
  CHECK(fs::is_empty(work.file("c2")));
  fs::remove(work.file("c2"));
  CHECK(work.contents() == before);
}

TEST_CASE("compile can be interrupted at any moment") {
  const Workplace work;
  for (const int microseconds : {0, 500, 1000, 2000, 3000, 4000, 5000, 7000, 9000, 12000, 20000}) {
    fs::remove_all(work.file("new"));
    fs::remove_all(work.file("new.plan"));
    const std::set<std::string> before = work.contents();
    BackgroundProcess compile(work.compile("new.plan", "new"), work.setup());
    REQUIRE(compile.wait_until_interruptible());
    std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
    compile.send(SIGINT);
    const Finished finished = compile.wait();
    std::set<std::string> expected = before;
    INFO("after ", microseconds, " us: ", finished.err);
    if (fs::exists(work.file("new"))) expected.insert("new");
    if (finished.exit_code == 0 || fs::exists(work.file("new.plan")))
      expected.insert({"new.plan", "new/net.c", "new/net.h", "new/net_io.h", "new/net_selftest.c"});
    if (finished.exit_code != 0) {
      CHECK(finished.exit_code == 130);
      CHECK(finished.err == kLine);
    }
    CHECK(work.contents() == expected);
  }
}

TEST_CASE("an interrupted run leaves no outputs") {
  const Workplace work;
  BackgroundProcess run(
      {kLockstep, "run", "--plan", work.file("net.plan"), "--input", work.file("x.npy"), "--output",
       work.file("pipe"), "--dump-layers", work.file("layers"), "--quiet"},
      work.setup());
  REQUIRE(run.wait_until([&] { return fs::exists(work.file("layers")); }));
  run.send(SIGINT);
  const Finished finished = run.wait();
  CHECK(finished.exit_code == 130);
  CHECK(finished.err == kLine);
  CHECK(fs::is_empty(work.file("layers")));
}

TEST_CASE("bench ends at once") {
  const Workplace work;
  BackgroundProcess bench({kLockstep, "bench", "--plan", work.file("net.plan"), "--seconds", "600"},
                          work.setup());
  REQUIRE(bench.wait_until_interruptible());
  bench.send(SIGHUP);
  const Finished finished = bench.wait();
  CHECK(finished.exit_code == 130);
  CHECK(finished.err == kLine);
}

TEST_CASE("an interrupt that the caller ignores ends no verb") {
  const Workplace work;
  RunSetup setup = work.setup();
  setup.ignores_interrupts = true;
  BackgroundProcess bench(
      {kLockstep, "bench", "--plan", work.file("net.plan"), "--seconds", "1", "--quiet"}, setup);
  REQUIRE(bench.wait_until_interruptible());
  bench.send(SIGINT);
  const Finished finished = bench.wait();
  CHECK(finished.exit_code == 0);
  CHECK(finished.err.empty());
}

TEST_CASE("training that has not begun is ended at once and leaves no old state" *
          doctest::skip(!kWithTorch)) {
  const Workplace work;
  // The moment is the one when the old outputs have just gone; the data are still to be made.
  fs::create_directory(work.file("out"));
  for (const char* name : {"state.pt", "state.safetensors", "checkpoint.pt", "log.jsonl"})
    write_text(fs::path(work.file("out")) / name, "an old output");
  BackgroundProcess train({kLockstep, "train", "--graph", kTrainedGraph.string(), "--data",
                           "synthetic", "--out", work.file("out"), "--epochs", "1000", "--quiet"},
                          work.setup());
  REQUIRE(train.wait_until([&] { return !fs::exists(work.file("out/checkpoint.pt")); }));
  train.send(SIGINT);
  const Finished finished = train.wait();
  CHECK(finished.exit_code == 130);
  CHECK_FALSE(fs::exists(work.file("out/state.pt")));
  CHECK_FALSE(fs::exists(work.file("out/state.safetensors")));
}

TEST_CASE("lockstep-torch can be interrupted, too, when it is started directly" *
          doctest::skip(!kWithTorch)) {
  const Workplace work;
  const fs::path executable = fs::path(kLockstep).parent_path() / "lockstep-torch";
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    std::vector<std::string> command = work.verify();
    command.front() = executable.string();
    BackgroundProcess verify(command, work.setup());
    REQUIRE(verify.wait_until([&] { return !fs::is_empty(work.temporaries()); }));
    verify.send(signal);
    const Finished finished = verify.wait();
    CHECK(finished.exit_code == 130);
    CHECK(finished.err == kLine);
    work.wait_until_no_process();
    CHECK(fs::is_empty(work.temporaries()));
  }
}

TEST_CASE("training can be interrupted while LibTorch is still being loaded" *
          doctest::skip(!kWithTorch)) {
  const Workplace work;
  for (const int milliseconds : {0, 50, 150}) {
    BackgroundProcess train({kLockstep, "train", "--graph", kTrainedGraph.string(), "--data",
                             "synthetic", "--out", work.file("out"), "--epochs", "1000", "--quiet"},
                            work.setup());
    REQUIRE(train.wait_until_interruptible());
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    train.send(SIGINT);
    const Finished finished = train.wait();
    CHECK(finished.exit_code == 130);
    CHECK(line_count(finished.err) <= 1);
    CHECK_FALSE(fs::exists(work.file("out/state.pt")));
  }
}

}  // namespace lockstep::test
