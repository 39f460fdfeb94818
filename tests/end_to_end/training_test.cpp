// A network's whole life on generated data, through the command line: train, compile, verify, run.
// And what Ctrl-C leaves: a checkpoint from which training goes on as if nothing had happened.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

// The network of the guide's tour: quantized and pruned everywhere, and trained in a second or two.
const fs::path kGraph =
    fs::path(LOCKSTEP_TEST_DATA).parent_path() / "docs" / "examples" / "small" / "graph.json";

struct Project {
  Project() { fs::copy_file(kGraph, folder / "graph.json"); }
  std::string file(const std::string& name) const { return (folder / name).string(); }
  std::vector<std::string> train(const std::string& out, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {kLockstep,   "train",     "--graph", file("graph.json"),
                                          "--data",    "synthetic", "--out",   file(out),
                                          "--threads", "1"};
    if (std::ranges::find(more, "--recipe") == more.end())
      more.insert(more.end(), {"--epochs", "3"});
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
  CHECK(report.at("proof").at("outcome") == "proved");
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

TEST_CASE("training on from a state warns of schedules that its counters do not let finish") {
  const Project project;
  const std::string state = project.file("out/state.pt");
  write_text(project.file("recipe.json"),
             R"({"format": "lockstep-recipe", "version": 1, "epochs": 1})");
  const auto train = [&](const std::string& out, std::vector<std::string> more) {
    more.insert(more.end(), {"--recipe", project.file("recipe.json")});
    return run_process(project.train(out, more));
  };
  const Finished first = train("out", {});  // 47 steps; two layers wait for step 50
  REQUIRE(first.exit_code == 0);
  CHECK(first.err.find("warning: layer 'logits': timeout = 50, but training has 47 steps: it will "
                       "not be quantized") != std::string::npos);

  const Finished second = train("second", {"--state", state});
  INFO(second.err);
  REQUIRE(second.exit_code == 0);
  CHECK(second.err.find("warning: layer") == std::string::npos);
  CHECK(second.err.find("[Quantize @ logits] decimal = ") != std::string::npos);
  CHECK(second.err.find("[Quantize @ conv") != std::string::npos);

  auto graph = nlohmann::json::parse(read_text(project.file("graph.json")));
  for (auto& node : graph["nodes"]) {
    if (node["name"] == "conv") node["wrap"][0]["start"] = 90;
    if (node["name"] == "conv_prune") node["attrs"]["start"] = 10;
    if (node["name"] == "conv_quantize") node["attrs"]["timeout"] = 46;
    if (node["name"] == "logits") node["attrs"]["timeout"] = 94;
  }
  write_text(project.file("graph.json"), graph.dump());
  const Finished third = train("third", {"--state", state});
  REQUIRE(third.exit_code == 0);
  const std::string range = "but training takes it from step 47 to 94";
  for (const std::string& warning :
       {"layer 'conv_quantize': timeout = 46, " + range + ": it will not be quantized",
        "layer 'logits': timeout = 94, " + range + ": it will not be quantized",
        "layer 'conv.prune': its pruning ends at step 120, " + range,
        "layer 'conv_prune': its pruning ended at step 40, " + range +
            ": it stays at a sparsity"}) {
    CAPTURE(warning);
    CHECK(third.err.find("warning: " + warning) != std::string::npos);
  }

  CHECK(run_process(project.train("x", {"--state", state, "--weights", state})).exit_code == 2);
  CHECK(run_process(project.train("x", {"--state", state, "--resume", state})).exit_code == 2);
  const Finished inside = run_process(project.train("out", {"--state", state}));
  CHECK(inside.exit_code == 2);
  CHECK(inside.err.find("this state lies in the output folder") != std::string::npos);
  CHECK(fs::exists(state));
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

TEST_CASE("training killed at several steps goes on from its last checkpoint to the same bits") {
  const Project project;
  write_text(project.folder / "recipe.json", R"({"format": "lockstep-recipe", "version": 1,
    "epochs": 6, "seed": 4, "label_smoothing": 0.05,
    "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": true},
    "schedule": {"type": "one_cycle"},
    "augmentation": {"flip": 0.5, "shift": 1}})");
  const std::vector<std::string> options = {"--recipe", project.file("recipe.json"),
                                            "--checkpoint-every", "7"};
  const Finished uninterrupted = run_process(project.train("whole", options));
  INFO(uninterrupted.err);
  REQUIRE(uninterrupted.exit_code == 0);

  const std::string checkpoint = project.file("parts/checkpoint.pt");
  bool is_first = true;
  // An epoch has 47 steps; layers collect data, prune and quantize in the second one.
  for (const char* const reached : {"epoch 1/6  step 20/", "epoch 2/6  step 4/",
                                    "epoch 2/6  step 24/", "epoch 4/6  step 12/"}) {
    CAPTURE(reached);
    std::vector<std::string> arguments = options;
    if (!is_first) arguments.insert(arguments.end(), {"--resume", checkpoint});
    is_first = false;
    BackgroundProcess training(project.train("parts", arguments));
    REQUIRE(training.wait_for_text(reached));
    training.send(SIGKILL);
    CHECK(training.wait().exit_code == 128 + SIGKILL);
    REQUIRE(fs::exists(checkpoint));
    CHECK_FALSE(fs::exists(project.file("parts/state.pt")));
  }
  std::vector<std::string> arguments = options;
  arguments.insert(arguments.end(), {"--resume", checkpoint});
  const Finished resumed = run_process(project.train("parts", arguments));
  INFO(resumed.err);
  REQUIRE(resumed.exit_code == 0);
  for (const char* const file :
       {"state.pt", "state.safetensors", "checkpoint.pt", "log.jsonl", "recipe.json"}) {
    CAPTURE(file);
    CHECK(read_text(project.file("parts/" + std::string(file))) ==
          read_text(project.file("whole/" + std::string(file))));
  }
}

TEST_CASE("two trainings do not write to one folder") {
  const Project project;
  BackgroundProcess first(project.train("out"));
  REQUIRE(first.wait_for_text("loss"));
  first.send(SIGSTOP);  // so that it does not finish before the second one starts
  const Finished second = run_process(project.train("out"));
  first.send(SIGCONT);
  CHECK(second.exit_code == 2);
  CHECK(line_count(second.err) == 1);
  CHECK(second.err.find("another training is writing to this folder") != std::string::npos);
  const Finished finished = first.wait();
  INFO(finished.err);
  CHECK(finished.exit_code == 0);
}

TEST_CASE("options of the command line win over the recipe, and the used recipe is written") {
  const Project project;
  write_text(project.folder / "recipe.json", R"({"format": "lockstep-recipe", "version": 1,
    "epochs": 5, "batch_size": 100, "optimizer": {"type": "sgd", "lr": 0.05, "momentum": 0.9}})");
  const auto used = [&](std::vector<std::string> options) {
    options.insert(options.begin(), {"--recipe", project.file("recipe.json"), "--epochs", "1"});
    const Finished train = run_process(project.train("out", options));
    INFO(train.err);
    REQUIRE(train.exit_code == 0);
    CHECK(train.err.find("1 epoch of ") != std::string::npos);
    return nlohmann::json::parse(read_text(project.file("out/recipe.json")));
  };
  const auto tuned = used({"--lr", "0.02", "--seed", "7"});
  CHECK(tuned.at("epochs") == 1);
  CHECK(tuned.at("batch_size") == 100);
  CHECK(tuned.at("seed") == 7);
  CHECK(tuned.at("optimizer").at("lr") == 0.02);
  CHECK(tuned.at("optimizer").at("momentum") == 0.9);
  const auto other = used({"--optimizer", "adadelta"});
  CHECK(other.at("optimizer").at("type") == "adadelta");
  CHECK(other.at("optimizer").at("lr") == 1.0);
}

TEST_CASE("a network trained in float is calibrated, compiled and verified") {
  const Project project;
  std::string graph = read_text(project.file("graph.json"));
  for (const auto& [from, to] : {std::pair{"\"repetition\": 3", "\"repetition\": 0"},
                                 {"\"timeout\": 40", "\"timeout\": -1"},
                                 {"\"timeout\": 50", "\"timeout\": -1"}})
    for (std::size_t at = graph.find(from); at != std::string::npos; at = graph.find(from))
      graph.replace(at, std::string(from).size(), to);
  const std::string trained_graph = read_text(project.file("graph.json"));
  write_text(project.folder / "graph.json", graph);
  const Finished train = run_process(project.train("float"));
  INFO(train.err);
  REQUIRE(train.exit_code == 0);
  write_text(project.folder / "graph.json", trained_graph);

  const std::vector<std::string> calibrate = {kLockstep,      "train",
                                              "--graph",      project.file("graph.json"),
                                              "--data",       "synthetic",
                                              "--out",        project.file("out"),
                                              "--weights",    project.file("float/state.pt"),
                                              "--calibrate",  "300",
                                              "--no-pruning", "--json"};
  const Finished calibrated = run_process(calibrate);
  INFO(calibrated.err);
  REQUIRE(calibrated.exit_code == 0);
  const auto result = nlohmann::json::parse(calibrated.out);
  CHECK(result.at("float_accuracy").get<double>() > 0.5);  // of ten classes
  CHECK(result.at("test_accuracy").get<double>() >
        result.at("float_accuracy").get<double>() - 0.02);
  const Finished compile =
      run_process({kLockstep, "compile", "--graph", project.file("graph.json"), "--weights",
                   project.file("out/state.pt"), "--out", project.file("net.plan")});
  INFO(compile.err);
  REQUIRE(compile.exit_code == 0);
  const Finished verify =
      run_process({kLockstep, "verify", "--graph", project.file("graph.json"), "--weights",
                   project.file("out/state.pt"), "--plan", project.file("net.plan"), "--data",
                   "synthetic", "--accept", "tested", "--json"});
  INFO(verify.out, verify.err);
  REQUIRE(verify.exit_code == 0);
  const auto accuracy = nlohmann::json::parse(verify.out).at("accuracy");
  CHECK(accuracy.at("differing_predictions") == 0);
  CHECK(accuracy.at("float").get<double>() == result.at("test_accuracy").get<double>());

  const auto refused = [&](std::vector<std::string> arguments, const char* word) {
    const Finished finished = run_process(arguments);
    INFO(finished.err);
    CHECK(finished.exit_code == 2);
    CHECK(line_count(finished.err) == 1);
    CHECK(finished.err.find(word) != std::string::npos);
  };
  auto with_epochs = calibrate;
  with_epochs.insert(with_epochs.end(), {"--epochs", "3"});
  refused(with_epochs, "--epochs");
  auto without_weights = calibrate;
  without_weights.erase(std::ranges::find(without_weights, "--weights"),
                        std::ranges::find(without_weights, "--calibrate"));
  refused(without_weights, "--weights");
  refused(project.train("out", {"--weights", project.file("nothing.pt")}), "nothing.pt");
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
  check(project.train("out", {"--batch-size", "0"}), "--batch-size 0: must");
  check(project.train("out", {"--lr", "inf"}), "--lr inf: must be a number above 0");
  check(project.train("out", {"--seed", "18446744073709551616"}), "--seed 18446744073709551616");
  check(project.train("out", {"--recipe", project.file("none.json")}), "none.json");
  check(project.train("out", {"--checkpoint-every", "-3"}), "--checkpoint-every -3: must");
  check(project.train("out", {"--resume", project.file("no.pt")}), "no.pt");
  write_text(project.folder / "a_file", "not a folder");
  check(project.train("a_file"), "a_file");
  write_text(project.folder / "graph.json", "{");
  check(project.train("out"), "graph.json");
}

}  // namespace lockstep::test
