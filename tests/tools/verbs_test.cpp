// What the verbs print and write when all is well.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/files.h"
#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kNetwork = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / "bias12";

std::string out_of(const std::vector<std::string>& command) {
  const Finished finished = run_process(command);
  INFO(finished.err);
  REQUIRE(finished.exit_code == 0);
  return finished.out;
}

// The recorded network bias12, compiled.
struct Compiled {
  Compiled() {
    report = Json::parse(
        out_of({kLockstep, "compile", "--graph", (kNetwork / "graph.json").string(), "--weights",
                (kNetwork / "state_dict.pt").string(), "--out", plan(), "--json", "--quiet"}));
    const StateDict io = read_state_dict(kNetwork / "io.safetensors");
    codes = {io.at("v0.input_int").shape, io.at("v0.input_int").int32s("input")};
  }
  std::string plan() const { return (folder / "net.plan").string(); }
  // The output codes for one kind of input array.
  template <typename T>
  std::vector<std::int64_t> run(const NpyArray<T>& input, const std::string& name = "") const {
    write_npy(folder / "x.npy", input);
    out_of({kLockstep, "run", "--plan", plan(), "--input", name + (folder / "x.npy").string(),
            "--output", (folder / "y.npy").string(), "--kernels", "scalar"});
    return std::get<NpyArray<std::int64_t>>(read_npy(folder / "y.npy")).values;
  }
  TemporaryFolder folder;
  Json report;
  NpyArray<std::int32_t> codes;
};

const Json& entry(const Json& entries, const std::string& name) {
  for (const Json& candidate : entries)
    if (candidate.at("name") == name) return candidate;
  FAIL("no entry ", name);
  return entries;
}

}  // namespace

TEST_CASE("help names every verb, and every verb has its own help") {
  const std::string help = out_of({kLockstep, "--help"});
  for (const char* verb : {"convert", "train", "compile", "verify", "run", "inspect", "bench"}) {
    INFO(verb);
    CHECK(help.find(verb) != std::string::npos);
    if (std::string(verb) == "train" && !kWithTorch) continue;
    CHECK(out_of({kLockstep, verb, "--help"}).find("--json") != std::string::npos);
  }
  CHECK(out_of({kLockstep, "--version"}).starts_with("lockstep "));
}

TEST_CASE("training without LibTorch is refused in one line" * doctest::skip(kWithTorch)) {
  const Finished train =
      run_process({kLockstep, "train", "--graph", "g.json", "--data", "synthetic"});
  CHECK(train.exit_code == 2);
  CHECK(line_count(train.err) == 1);
  CHECK(train.err.find("no") != std::string::npos);
  CHECK(train.err.find("LibTorch") != std::string::npos);
}

TEST_CASE("codes, real numbers, a named input and one sample without batch give the same outputs") {
  const Compiled net;
  const std::vector<std::int64_t> expected = net.run(net.codes);
  CHECK(expected.size() == 3 * 4);
  CHECK(net.run(net.codes, "input=") == expected);

  // The input has 8 bits and decimal 7. A fraction of a step is dropped toward zero, so it changes
  // nothing when it points away from zero.
  NpyArray<float> numbers{net.codes.shape, {}};
  for (const std::int32_t code : net.codes.values)
    numbers.values.push_back(std::ldexp(static_cast<float>(code) + (code == 0  ? 0.0f
                                                                    : code > 0 ? 0.75f
                                                                               : -0.75f),
                                        -7));
  CHECK(net.run(numbers) == expected);

  const NpyArray<std::int32_t> first{{1, 12, 12},
                                     {net.codes.values.begin(), net.codes.values.begin() + 144}};
  CHECK(net.run(first) == std::vector<std::int64_t>(expected.begin(), expected.begin() + 4));
}

TEST_CASE("real numbers beyond the input's range are clamped") {
  const Compiled net;
  const NpyArray<float> beyond{{1, 12, 12}, std::vector<float>(144, 3.5f)};
  const NpyArray<std::int32_t> largest{{1, 12, 12}, std::vector<std::int32_t>(144, 127)};
  CHECK(net.run(beyond) == net.run(largest));
}

// bias12 fed with raw bytes: (b / 128 - 1) has code b - 128 on the input's grid.
struct RawCompiled {
  RawCompiled() {
    Json graph = Json::parse(read_text_file(kNetwork / "graph.json"));
    graph["inputs"][0]["raw"] = {{"scale", 0.0078125}, {"mean", 1}};
    write_file_atomically(folder / "graph.json", graph.dump());
    out_of({kLockstep, "compile", "--graph", graph_file(), "--weights", weights(), "--out", plan(),
            "--emit-c", (folder / "c").string(), "--quiet"});
  }
  std::string graph_file() const { return (folder / "graph.json").string(); }
  std::string weights() const { return (kNetwork / "state_dict.pt").string(); }
  std::string plan() const { return (folder / "raw.plan").string(); }
  TemporaryFolder folder;
};

// A .npy file of unsigned bytes, as numpy.save writes it.
void write_bytes(const fs::path& path, const std::string& shape, const std::string& bytes) {
  std::string header = "{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + ", }";
  header.resize(118 - 1, ' ');
  header += '\n';
  write_file_atomically(
      path, std::string("\x93NUMPY\x01\x00", 8) + std::string("\x76\x00", 2) + header + bytes);
}

TEST_CASE("raw bytes go straight in and give what their codes give") {
  const Compiled net;
  const RawCompiled raw;
  std::string bytes;
  for (const std::int32_t code : net.codes.values) bytes += static_cast<char>(code + 128);
  write_bytes(raw.folder / "x.npy", "(3, 1, 12, 12)", bytes);
  out_of({kLockstep, "run", "--plan", raw.plan(), "--input", (raw.folder / "x.npy").string(),
          "--output", (raw.folder / "y.npy").string(), "--dump-layers",
          (raw.folder / "layers").string()});
  const auto values = [&](const std::string& file) {
    return std::get<NpyArray<std::int64_t>>(read_npy(raw.folder / file)).values;
  };
  CHECK(values("y.npy") == net.run(net.codes));
  // What is named after the input are its codes.
  CHECK(values("layers/input.npy") ==
        std::vector<std::int64_t>(net.codes.values.begin(), net.codes.values.end()));

  const auto refusal = [&](const auto& array) {
    write_npy(raw.folder / "bad.npy", array);
    return run_process({kLockstep, "run", "--plan", raw.plan(), "--input",
                        (raw.folder / "bad.npy").string(), "--output",
                        (raw.folder / "z.npy").string()})
        .err;
  };
  CHECK(refusal(net.codes).find("input 'input' takes bytes from 0 to 255") != std::string::npos);
  CHECK(refusal(NpyArray<float>{{1, 12, 12}, std::vector<float>(144, 0.5f)})
            .find("element type float32, but input 'input' takes raw bytes") != std::string::npos);
  CHECK(out_of({kLockstep, "bench", "--plan", raw.plan(), "--seconds", "0.01"}).find("median") !=
        std::string::npos);
}

TEST_CASE("verify --explain shows one value, and says what there is where there is none") {
  const Compiled net;
  std::vector<std::string> command = {kLockstep,   "verify",
                                      "--graph",   (kNetwork / "graph.json").string(),
                                      "--weights", (kNetwork / "state_dict.pt").string(),
                                      "--plan",    net.plan(),
                                      "--sample",  "3",
                                      "--explain", "q1,2,3,4"};
  const std::string text = out_of(command);
  CHECK(text.starts_with("q1[2, 3, 4] of sample 3 ("));
  CHECK((text.find("float (LibTorch)") != std::string::npos) == kWithTorch);
  CHECK(text.find("the run holds") != std::string::npos);
  std::vector<std::string> with_json = command;
  with_json.emplace_back("--json");
  CHECK(text.starts_with(Json::parse(out_of(with_json)).at("explanation").get<std::string>()));

  for (const auto& [place, part] :
       std::vector<std::pair<std::string, std::string>>{{"q9,0,0,0", "'q9'"},
                                                        {"q1,6,0,0", "0 to 5"},
                                                        {"q1,0,0", "LAYER,CHANNEL,Y,X"},
                                                        {"q1,0,0,x", "LAYER,CHANNEL,Y,X"},
                                                        {",0,0,0", "LAYER,CHANNEL,Y,X"}}) {
    command.back() = place;
    const Finished finished = run_process(command);
    CHECK(finished.exit_code == 2);
    CHECK(line_count(finished.err) == 1);
    CHECK_MESSAGE(finished.err.find(part) != std::string::npos, finished.err);
  }

  // It verifies nothing, and so does nothing of what goes with that.
  command.back() = "q1,2,3,4";
  const std::string file = (net.folder / "written").string();
  for (const std::vector<std::string>& more : std::vector<std::vector<std::string>>{
           {"--junit", file}, {"--certificate", file}, {"--c", file}, {"--self-test"}}) {
    std::vector<std::string> both = command;
    both.insert(both.end(), more.begin(), more.end());
    const Finished finished = run_process(both);
    CHECK(finished.exit_code == 2);
    CHECK_MESSAGE(finished.err.find(more[0]) != std::string::npos, finished.err);
  }
}

TEST_CASE("verify runs plan and C on raw bytes, those of a data set included") {
  const RawCompiled raw;
  write_bytes(raw.folder / "x.npy", "(12, 1, 12, 12)", std::string(12 * 144, '\xc8'));
  write_npy(raw.folder / "y.npy", NpyArray<std::int32_t>{{12}, std::vector<std::int32_t>(12, 1)});
  const Json report = Json::parse(
      out_of({kLockstep, "verify", "--graph", raw.graph_file(), "--weights", raw.weights(),
              "--plan", raw.plan(), "--c", (raw.folder / "c").string(), "--data",
              "npy:" + (raw.folder / "x.npy").string() + "," + (raw.folder / "y.npy").string(),
              "--random", "4", "--accept", "tested", "--json", "--quiet"}));
  CHECK(report.at("verdict") == "proved");
  CHECK(report.at("accuracy").at("images") == 2);
  for (const Json& path : report.at("paths")) CHECK(path.at("differing") == 0);
}

TEST_CASE("verify reports the search for worst-case inputs, and --explain finds them again") {
  const Compiled net;
  const std::vector<std::string> command = {kLockstep,   "verify",
                                            "--graph",   (kNetwork / "graph.json").string(),
                                            "--weights", (kNetwork / "state_dict.pt").string(),
                                            "--plan",    net.plan(),
                                            "--random",  "4"};
  const auto with = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = command;
    all.insert(all.end(), more.begin(), more.end());
    return out_of(all);
  };
  const Json worst = Json::parse(with({"--json", "--quiet"})).at("worst_cases");
  const std::int64_t ends = worst.at("ends"), attained = worst.at("attained_through_the_network");
  CHECK(ends == 2 * worst.at("channels").get<std::int64_t>());
  CHECK(worst.at("searched") == ends);
  CHECK(worst.at("cases").size() == static_cast<std::size_t>(ends));
  CHECK(attained >= 12);  // the first layer's
  CHECK(attained < ends);
  CHECK(worst.at("attained_by_the_layer_alone") == ends - attained);
  CHECK(with({}).find("worst-case inputs  " + std::to_string(ends) + " of the " +
                      std::to_string(ends) + " ends of ") != std::string::npos);

  std::int64_t counted = 0, explained = 0;
  for (const Json& one : worst.at("cases")) {
    const bool by_network = one.at("attained_by") == "network";
    CHECK(by_network == (one.at("bound") == one.at("attained")));
    counted += by_network ? 1 : 0;
    // A linear layer has one position only.
    if (one.at("layer") != "fc" || explained++ > 0) continue;
    const std::string place = "fc," + std::to_string(one.at("channel").get<int>()) + ",0,0";
    const std::string sample = std::to_string(one.at("sample").get<int>());
    CHECK(with({"--explain", place, "--sample", sample})
              .find("accumulator       " +
                    std::to_string(one.at("attained").get<std::int64_t>())) != std::string::npos);
  }
  CHECK(counted == attained);
  CHECK(explained > 0);
}

TEST_CASE("verify makes wrong versions of the plan on request, and none goes unseen") {
  const Compiled net;
  const auto verify = [&](std::vector<std::string> more) {
    std::vector<std::string> command = {kLockstep,   "verify",
                                        "--graph",   (kNetwork / "graph.json").string(),
                                        "--weights", (kNetwork / "state_dict.pt").string(),
                                        "--plan",    net.plan(),
                                        "--random",  "4",
                                        "--accept",  "tested"};
    command.insert(command.end(), more.begin(), more.end());
    return run_process(command);
  };
  const Finished usual = verify({"--json", "--quiet", "--self-test"});
  INFO(usual.err);
  CHECK(usual.exit_code == 0);
  const Json test = Json::parse(usual.out).at("self_test");
  CHECK(test.at("made") == 200);
  CHECK(test.at("survived") == 0);
  CHECK(test.at("survivors").empty());
  CHECK(test.at("refuted") > 50);
  CHECK(test.at("kinds").at("weight").at("made") == test.at("kinds").at("weight").at("refuted"));
  const Finished few = verify({"--self-test", "26"});
  CHECK(few.exit_code == 0);
  CHECK(few.out.find("self-test with 26 changed plans of seed 1: passed") != std::string::npos);
  const Finished none = verify({"--self-test", "0"});
  CHECK(none.exit_code == 2);
  CHECK(none.err.find("--self-test 0: must be a whole number from 1 to 1000000") !=
        std::string::npos);
  CHECK(!Json::parse(verify({"--json", "--quiet"}).out).contains("self_test"));
}

TEST_CASE("inspect shows how raw bytes are normalised, and a plan that takes bytes") {
  const RawCompiled raw;
  const std::string graph = out_of({kLockstep, "inspect", raw.graph_file()});
  CHECK(graph.find("; of raw bytes: scale 0.0078125, mean 1, std 1") != std::string::npos);
  const Json plan = Json::parse(out_of({kLockstep, "inspect", raw.plan(), "--json"}));
  CHECK(out_of({kLockstep, "inspect", raw.plan()}).find("input, raw bytes") != std::string::npos);
  CHECK(plan.at("tensors").at(0).at("type") == "uint8");
  CHECK(plan.at("tensors").at(0).at("visible") == false);
  CHECK(plan.at("operators").at(0).at("operator") == "table");
}

TEST_CASE("compile reports operators that add up, and prints programs on request") {
  const Compiled net;
  std::int64_t macs = 0;
  for (const Json& row : net.report.at("operators")) macs += row.at("macs").get<std::int64_t>();
  // Two convolutions of 3x3 (1 to 6 channels on 10x10, 6 to 8 on 3x3) and the linear layers.
  CHECK(macs == net.report.at("total").at("macs").get<std::int64_t>());
  CHECK(macs >= 6 * 100 * 9 + 8 * 9 * 54);
  CHECK(net.report.at("plan_bytes") == fs::file_size(net.plan()));

  const std::string text =
      out_of({kLockstep, "compile", "--graph", (kNetwork / "graph.json").string(), "--weights",
              (kNetwork / "state_dict.pt").string(), "--out", net.plan(), "--print-after", "all"});
  CHECK(text.find("after lower:") != std::string::npos);
  CHECK(text.find("accumulator bits") != std::string::npos);
}

TEST_CASE("compile stores weights sparsely for speed or for size, and says why") {
  const TemporaryFolder folder;
  const auto command = [&](const std::string& goal) {
    return std::vector<std::string>{kLockstep,    "compile",
                                    "--graph",    (kNetwork / "graph.json").string(),
                                    "--weights",  (kNetwork / "state_dict.pt").string(),
                                    "--out",      (folder / (goal + ".plan")).string(),
                                    "--optimize", goal};
  };
  const auto report = [&](const std::string& goal) {
    std::vector<std::string> with_json = command(goal);
    with_json.emplace_back("--json");
    return Json::parse(out_of(with_json));
  };
  const auto of_c2 = [](const Json& compiled) {
    for (const Json& row : compiled.at("storage"))
      if (row.at("node") == "c2") return row;
    return Json();
  };
  const Json size = report("size"), speed = report("speed");
  CHECK(of_c2(size).at("sparse") == true);
  CHECK(of_c2(speed).at("sparse") == false);
  const std::int64_t saved = of_c2(size).at("dense_bytes").get<std::int64_t>() -
                             of_c2(size).at("sparse_bytes").get<std::int64_t>();
  CHECK(saved > 0);
  const std::string reason = "sparse: " + std::to_string(saved) + " bytes less than dense";
  CHECK(of_c2(size).at("reason").get<std::string>().starts_with(reason));
  CHECK(speed.at("total").at("weight_bytes").get<std::int64_t>() -
            size.at("total").at("weight_bytes").get<std::int64_t>() >=
        saved);
  CHECK(fs::file_size(folder / "size.plan") < fs::file_size(folder / "speed.plan"));

  const std::string text = out_of(command("size"));
  CHECK(text.find("sparse bytes") != std::string::npos);
  CHECK(text.find(reason) != std::string::npos);
  const Finished refused = run_process(command("beauty"));
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("--optimize") != std::string::npos);
}

TEST_CASE("a plan for one kind of machine has fewer bytes, and the codes stay the same") {
  const Compiled portable;
  const std::vector<std::int64_t> expected = portable.run(portable.codes);
  const auto compile = [](const std::string& plan, const std::vector<std::string>& options) {
    std::vector<std::string> command = {kLockstep,   "compile",
                                        "--graph",   (kNetwork / "graph.json").string(),
                                        "--weights", (kNetwork / "state_dict.pt").string(),
                                        "--out",     plan,
                                        "--json",    "--quiet"};
    command.insert(command.end(), options.begin(), options.end());
    return Json::parse(out_of(command));
  };
  for (const std::string target : {"x86-64-v4", "x86-64-v3", "aarch64"}) {
    INFO(target);
    const Compiled host;
    const Json report = compile(host.plan(), {"--target", target});
    CHECK(report.at("plan_bytes") < portable.report.at("plan_bytes"));
    CHECK(report.dump().find("sparse: equally fast on " + target) != std::string::npos);
    CHECK(host.run(host.codes) == expected);
  }
  // A core is for C alone.
  const std::vector<std::byte> bytes = read_file(portable.plan());
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--target", "portable"},
        {"--target", "generic"},
        {"--target", "aarch64", "--emit-c", (portable.folder / "c").string()}}) {
    const Compiled other;
    compile(other.plan(), options);
    CHECK((read_file(other.plan()) == bytes));
  }
}

TEST_CASE("inspect explains a state dict, whatever its file is called") {
  const TemporaryFolder folder;
  fs::copy_file(kNetwork / "state_dict.pt", folder / "net.plan");
  const Json state =
      Json::parse(out_of({kLockstep, "inspect", (folder / "net.plan").string(), "--json"}));
  CHECK(state.at("kind") == "state dict");
  const Json& entries = state.at("entries");
  CHECK(entry(entries, "c1.weight").at("meaning") == "weight, full precision");
  CHECK(entry(entries, "c1.weight").at("shape") == Json({6, 1, 3, 3}));
  CHECK(entry(entries, "c1.quantize.decimal").at("meaning") ==
        "fractional bits of the weight, per index of weight axis 0");
  CHECK(entry(entries, "c1.quantize_bias.decimal").at("meaning") ==
        "fractional bits of the bias, per element of the bias");
  CHECK(entry(entries, "c1.quantize.bits").at("hi") == 8);
  CHECK(entry(entries, "q1.decimal").at("meaning") == "fractional bits, for the whole tensor");
  CHECK(entry(entries, "c2.prune.mask").at("meaning") == "pruning mask of the weight, 1 keeps");
  const double sparsity = entry(entries, "c2.prune.mask").at("sparsity");
  CHECK(sparsity == doctest::Approx(0.5).epsilon(0.02));
  CHECK(entry(entries, "p2.mask").at("meaning") == "pruning mask, 1 keeps");
  CHECK(state.at("pruned_weights").at("elements").get<std::int64_t>() > 0);
  CHECK(state.at("pruned_activations").at("elements").get<std::int64_t>() > 0);

  const std::string table =
      out_of({kLockstep, "inspect", (kNetwork / "state_dict.safetensors").string()});
  CHECK(table.find("c2.prune.mask") != std::string::npos);
  CHECK(table.find("% pruned") != std::string::npos);
}

TEST_CASE("inspect counts weights that are no finite numbers") {
  const TemporaryFolder folder;
  const StateDict good = read_state_dict(kNetwork / "state_dict.safetensors");
  StateDict bad;
  for (auto [key, tensor] : good.entries()) {
    if (key == "c1.weight") {
      const float values[] = {std::nanf(""), std::nanf(""), -INFINITY};
      std::memcpy(tensor.bytes.data() + 4, values, sizeof values);
    }
    bad.add(key, tensor);
  }
  write_file_atomically(folder / "bad.safetensors", to_safetensors(bad));
  const Finished shown =
      run_process({kLockstep, "inspect", (folder / "bad.safetensors").string(), "--json"});
  CHECK(shown.exit_code == 0);
  CHECK(shown.err.find(", 2 NaN, 1 infinite") != std::string::npos);
  const Json state = Json::parse(shown.out);
  CHECK(entry(state.at("entries"), "c1.weight").at("nan") == 2);
  CHECK(entry(state.at("entries"), "c1.weight").at("infinite") == 1);
  CHECK(entry(state.at("entries"), "c1.weight").contains("lo"));
}

TEST_CASE("inspect shows a graph and a plan") {
  const Json graph =
      Json::parse(out_of({kLockstep, "inspect", (kNetwork / "graph.json").string(), "--json"}));
  CHECK(graph.at("kind") == "graph");
  CHECK(graph.at("graph").at("name") == "bias12");
  CHECK(out_of({kLockstep, "inspect", (kNetwork / "graph.json").string()}).find("max_pool2d") !=
        std::string::npos);

  const Compiled net;
  const Json plan = Json::parse(out_of({kLockstep, "inspect", net.plan(), "--json"}));
  CHECK(plan.at("kind") == "plan");
  CHECK(plan.at("network") == "bias12");
  CHECK(plan.at("plan_bytes") == fs::file_size(net.plan()));
  CHECK(plan.at("arena_bytes") == net.report.at("arena_bytes"));
  CHECK(plan.at("tensors").at(0).at("node") == "input");
  CHECK(plan.at("tensors").at(0).at("shape") == Json({1, 12, 12}));
  std::int64_t weight_bytes = 0;
  for (const Json& row : plan.at("operators"))
    weight_bytes += row.at("weight_bytes").get<std::int64_t>();
  CHECK(weight_bytes == net.report.at("total").at("weight_bytes"));
}

TEST_CASE("quiet commands print nothing, and JSON stands alone on standard output") {
  const Compiled net;
  CHECK(out_of({kLockstep, "inspect", net.plan(), "--quiet"}).empty());
  CHECK(out_of({kLockstep, "bench", "--plan", net.plan(), "--seconds", "0.01", "--quiet"}).empty());
  const Finished both = run_process({kLockstep, "inspect", net.plan(), "--json"});
  CHECK(Json::accept(both.out));
  CHECK(both.err.find("arena") != std::string::npos);
}

}  // namespace lockstep::test
