// lockstep convert as a program: what it writes can be read on, and what it refuses leaves nothing.
#include <doctest/doctest.h>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"
#include "compile/support/files.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const std::string kFloat = R"({"format": "lockstep-graph", "version": 1, "name": "net",
 "inputs": [{"name": "x", "shape": [2]}],
 "nodes": [
  {"name": "fc", "op": "linear", "inputs": ["x"], "attrs": {"in_features": 2, "out_features": 1}},
  {"name": "bn", "op": "batch_norm1d", "inputs": ["fc"], "attrs": {"num_features": 1, "eps": 0}}],
 "outputs": ["bn"]})";

Tensor floats(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {Dtype::kFloat32, std::move(shape), {bytes.begin(), bytes.end()}};
}

}  // namespace

TEST_CASE("convert folds the batch norm, wraps the weight and quantizes the output") {
  const TemporaryFolder folder;
  write_text(folder / "float.json", kFloat);
  StateDict state;
  state.add("fc.weight", floats({1, 2}, {1, 2}));
  state.add("fc.bias", floats({1}, {3}));
  state.add("bn.weight", floats({1}, {4}));
  state.add("bn.bias", floats({1}, {5}));
  state.add("bn.running_mean", floats({1}, {1}));
  state.add("bn.running_var", floats({1}, {4}));
  state.add("bn.num_batches_tracked",
            {Dtype::kInt64, {}, std::vector<std::byte>(sizeof(std::int64_t))});
  write_file_atomically(folder / "float.safetensors", to_safetensors(state));
  const auto file = [&](const std::string& name) { return (folder / name).string(); };
  const Finished done =
      run_process({kLockstep, "convert", "--graph", file("float.json"), "--out", file("q.json"),
                   "--fuse-batch-norm", "--weights", file("float.safetensors"), "--out-weights",
                   file("q.safetensors")});
  CAPTURE(done.err);
  REQUIRE(done.exit_code == 0);
  CHECK(done.out.find("folded 1 batch norms: bn") != std::string::npos);
  const Graph graph = read_graph(folder / "q.json");
  REQUIRE(graph.nodes.size() == 2);
  CHECK(graph.nodes[0].wraps.size() == 1);
  CHECK(graph.outputs == std::vector<std::string>{"fc_quantize"});
  const StateDict folded = read_state_dict(folder / "q.safetensors");
  CHECK(folded.at("fc.weight").floats("w") == std::vector<float>{2, 4});  // times 4 / sqrt(4)
  CHECK(folded.at("fc.bias").floats("b") == std::vector<float>{9});       // (3 - 1) * 2 + 5

  const Finished again =
      run_process({kLockstep, "convert", "--graph", file("q.json"), "--out", file("again.json")});
  CHECK(again.exit_code == 2);
  CHECK(again.err.find("layer 'fc': it is quantized or pruned already") != std::string::npos);
  CHECK(!fs::exists(folder / "again.json"));
  const Finished alone = run_process({kLockstep, "convert", "--graph", file("float.json"), "--out",
                                      file("again.json"), "--fuse-batch-norm"});
  CHECK(alone.exit_code == 2);
  CHECK(alone.err.find("--weights") != std::string::npos);
}

}  // namespace lockstep::test
