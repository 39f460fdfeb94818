// Links the training library: data that does not exist is refused by its name.
#include <compile/support/error.h>
#include <train/train.h>

#include <cstdio>
#include <cstring>

int main() {
  const lockstep::Graph graph = lockstep::parse_graph(R"({
    "format": "lockstep-graph", "version": 1, "name": "trainer",
    "inputs": [{"name": "input", "shape": [4]}],
    "nodes": [{"name": "fc", "op": "linear", "inputs": ["input"],
               "attrs": {"in_features": 4, "out_features": 2}}],
    "outputs": ["fc"]})",
                                                      "trainer");
  try {
    lockstep::train::train_network(graph, {.data = "idx:no-such-folder", .out = "trained"});
  } catch (const lockstep::InputError& error) {
    std::printf("%s\n", error.what());
    return std::strstr(error.what(), "no-such-folder") == nullptr ? 1 : 0;
  }
  return 1;
}
