// A network's whole life on generated data, through the command line: train, compile, verify, run.
// And what Ctrl-C leaves: a checkpoint from which training goes on as if nothing had happened.
#include <doctest/doctest.h>
#include <signal.h>

#include <nlohmann/json.hpp>

#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const std::string kLockstep = LOCKSTEP_EXECUTABLE;

// The network of the guide's tour: quantized and pruned everywhere, and trained in a second or two.
const fs::path kGraph =
    fs::path(LOCKSTEP_TEST_DATA).parent_path() / "docs" / "examples" / "small" / "graph.json";

struct Project {
  Project() { fs::copy_file(kGraph, folder / "graph.json"); }
  std::string file(const std::string& name) const { return (folder / name).string(); }
  std::vector<std::string> train(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {kLockstep,  "train",     "--graph",   file("graph.json"),
                                          "--data",   "synthetic", "--out",     file(out),
                                          "--epochs", "3",         "--threads", "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  TemporaryFolder folder;
};

}  // namespace

TEST_CASE("a network is trained, compiled, verified with its C, run and measured") {
  const Project project;
  const Finished train = run_process(project.train("out", {"--json"}));
  INFO(train.err);
  REQUIRE(train.exit_code == 0);
  const auto result = nlohmann::json::parse(train.out);
  CHECK(result.at("interrupted") == false);
  CHECK(result.at("test_accuracy").get<double>() > 0.5);  // of ten classes
  CHECK(train.err.find("conv") != std::string::npos);     // the log names layers

  std::string plans[2];
  const char* const states[] = {"out/state.pt", "out/state.safetensors"};
  for (int i = 0; i < 2; ++i) {
    const Finished compile =
        run_process({kLockstep, "compile", "--graph", project.file("graph.json"), "--weights",
                     project.file(states[i]), "--out", project.file("net.plan"), "--emit-c",
                     project.file("c")});
    INFO(compile.err);
    REQUIRE(compile.exit_code == 0);
    plans[i] = read_text(project.file("net.plan"));
  }
  CHECK(plans[0] == plans[1]);

  const Finished verify = run_process(
      {kLockstep, "verify", "--graph", project.file("graph.json"), "--weights",
       project.file("out/state.pt"), "--plan", project.file("net.plan"), "--c", project.file("c"),
       "--data", "synthetic", "--max-images", "200", "--accept", "tested", "--json"});
  INFO(verify.out, verify.err);
  REQUIRE(verify.exit_code == 0);
  const auto report = nlohmann::json::parse(verify.out);
  CHECK(report.at("accepted_as_tested") == true);
  CHECK(report.at("accuracy").at("images") == 200);
  CHECK(report.at("accuracy").at("differing_predictions") == 0);
  CHECK(report.at("accuracy").at("float_correct") == report.at("accuracy").at("integer_correct"));
  CHECK(report.at("accuracy").at("integer").get<double>() > 0.5);

  write_npy(project.folder / "x.npy", NpyArray<float>{{1, 12, 12}, std::vector<float>(144, 0.25f)});
  const Finished run = run_process({kLockstep, "run", "--plan", project.file("net.plan"), "--input",
                                    project.file("x.npy"), "--output", project.file("y.npy")});
  INFO(run.err);
  REQUIRE(run.exit_code == 0);
  const AnyNpyArray y = read_npy(project.folder / "y.npy");
  CHECK(std::get<NpyArray<std::int64_t>>(y).shape == std::vector<std::int64_t>{1, 10});

  const Finished bench = run_process(
      {kLockstep, "bench", "--plan", project.file("net.plan"), "--seconds", "0.05", "--json"});
  INFO(bench.err);
  REQUIRE(bench.exit_code == 0);
  CHECK(nlohmann::json::parse(bench.out).at("median_us").get<double>() > 0.0);

  const Finished inspect =
      run_process({kLockstep, "inspect", project.file("out/state.safetensors"), "--json"});
  REQUIRE(inspect.exit_code == 0);
  const auto state = nlohmann::json::parse(inspect.out);
  // QSPARSE prunes one element less than the sparsity says: of 54 weights 26, of 600 codes 299.
  CHECK(state.at("pruned_weights").at("pruned") == 26);
  CHECK(state.at("pruned_weights").at("elements") == 54);
  CHECK(state.at("pruned_activations").at("pruned") == 299);
  CHECK(state.at("pruned_activations").at("elements") == 600);
}

TEST_CASE("after Ctrl-C training exits 130 and goes on from its checkpoint to the same bits") {
  const Project project;
  const Finished uninterrupted = run_process(project.train("whole"));
  INFO(uninterrupted.err);
  REQUIRE(uninterrupted.exit_code == 0);

  BackgroundProcess training(project.train("parts"));
  REQUIRE(training.wait_for_text("loss"));
  training.send(SIGINT);
  const Finished interrupted = training.wait();
  INFO(interrupted.err);
  REQUIRE(interrupted.exit_code == 130);
  CHECK(fs::exists(project.file("parts/checkpoint.pt")));
  CHECK_FALSE(fs::exists(project.file("parts/state.pt")));
  CHECK_FALSE(fs::exists(project.file("parts/state.safetensors")));

  const Finished resumed =
      run_process(project.train("parts", {"--resume", project.file("parts/checkpoint.pt")}));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  CHECK(read_text(project.file("parts/state.pt")) == read_text(project.file("whole/state.pt")));
  CHECK(read_text(project.file("parts/state.safetensors")) ==
        read_text(project.file("whole/state.safetensors")));
}

TEST_CASE("an interrupt that the caller has ignored does not end training") {
  const Project project;
  BackgroundProcess training(project.train("out"),
                             {.standard_output = {}, .ignores_interrupts = true});
  REQUIRE(training.wait_for_text("loss"));
  training.send(SIGINT);
  const Finished finished = training.wait();
  INFO(finished.err);
  CHECK(finished.exit_code == 0);
  CHECK(fs::exists(project.file("out/state.pt")));
}

TEST_CASE("training on bad data or into a bad folder is one line") {
  const Project project;
  const auto check = [&](std::vector<std::string> arguments, const char* word) {
    const Finished finished = run_process(arguments);
    INFO(finished.err);
    CHECK(finished.exit_code == 2);
    CHECK(line_count(finished.err) == 1);
    CHECK(finished.err.starts_with("lockstep: error: "));
    CHECK(finished.err.find(word) != std::string::npos);
  };
  const auto with_data = [&](const std::string& data) {
    auto arguments = project.train("out");
    arguments[5] = data;
    return arguments;
  };
  check(with_data("fashion"), "fashion");
  check(with_data("idx:" + project.file("nowhere")), "nowhere");
  check(with_data("npy:" + project.file("x.npy") + "," + project.file("y.npy")), "x.npy");
  check(project.train("out", {"--optimizer", "magic"}), "magic");
  check(project.train("out", {"--batch-size", "0"}), "batch");
  check(project.train("out", {"--resume", project.file("no.pt")}), "no.pt");
  write_text(project.folder / "a_file", "not a folder");
  check(project.train("a_file"), "a_file");
  write_text(project.folder / "graph.json", "{");
  check(project.train("out"), "graph.json");
}

}  // namespace lockstep::test
