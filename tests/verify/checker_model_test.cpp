// The checker's own readers against those of the rest of Lockstep, which share nothing with them:
// both must make the same numbers of the same files, and refuse the same files.
//
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run, and LOCKSTEP_ZOO_MACS
// names the largest network of the zoo by its multiplications.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "compile/checkpoint/parameters.h"
#include "compile/checkpoint/zip_archive.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/support/golden_net.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/verify/checker_difference.h"
#include "tools/zoo/zoo.h"
#include "verify/checker/model.h"

namespace lockstep::test {
namespace {

using nlohmann::json;
using Bytes = std::vector<std::byte>;

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

class Files {
 public:
  void write_graph(const std::string& text) { std::ofstream(graph_, std::ios::binary) << text; }
  void write_state(const Bytes& bytes) {
    std::ofstream(state_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }

  // Empty where both readers say the same; else what each says.
  std::string disagreement() {
    std::string expected_error, error, differs;
    Graph graph;
    Parameters parameters;
    expected_error = input_error_of([&] {
      graph = read_graph(graph_);
      parameters = bind_parameters(graph, read_state_dict(state_));
      refuse_what_comes_later(graph, parameters);
    });
    was_refused = expected_error != "(no error)";
    try {
      const checker::Model model = checker::read_model(graph_, state_);
      if (!was_refused) differs = difference(graph, parameters, model);
      error = "(no error)";
    } catch (const checker::BadFile& bad) {
      error = bad.what();
      CHECK_MESSAGE(error.find('\n') == std::string::npos, error);
    }
    if (!differs.empty()) return differs + " differs";
    if (was_refused == (error != "(no error)")) return "";
    return fmt::format("the others: {}; the checker: {}", expected_error, error);
  }
  std::string disagreement(const std::string& graph, const Bytes& state) {
    write_graph(graph);
    write_state(state);
    return disagreement();
  }

  bool was_refused = false;

 private:
  TemporaryFolder folder_;
  std::filesystem::path graph_ = folder_ / "graph.json", state_ = folder_ / "state";
};

// One change to a JSON value, somewhere.
json changed(json root, Random& random) {
  static const json kValues = json::parse(
      R"([-1, 0, 1, 2, 3, 4, 3.0, 3.5, 0.5, 16, 17, 64, 65, 65536, 65537, 1e300, true, false, null, "", "x",
          "auto", "zeros", "floor", [], {}, [1], [1, 1], [2, 1, 1], {"structured": [1]}, 9223372036854775808,
          "relu", "linear", "a/b", "quantize wrap", "an_input", "unstructured", -0.0, [0, 0], [1, 2, 3, 4, 5]])");
  const auto index = [&](std::size_t size) {
    return static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(size) - 1));
  };
  json* at = &root;
  while (at->is_structured() && !at->empty() && !(at != &root && random.chance(15))) {
    auto child = at->begin();
    std::advance(child, static_cast<std::ptrdiff_t>(index(at->size())));
    if (random.chance(8) && at->is_object()) {
      if (random.chance(50)) {
        at->erase(child);
        return root;
      }
      (*at)[std::vector<std::string>{"groups", "padding", "strict", "x", "wrap", "raw", "bias",
                                     "dim", "rounding", "bias_bits", "channelwise", "collapse",
                                     "callback"}[index(13)]] = kValues[index(kValues.size())];
      return root;
    }
    at = &*child;
  }
  *at = kValues[index(kValues.size())];
  return root;
}

// One change to one entry of a state dict.
StateDict changed(const StateDict& state, Random& random) {
  const auto index = [&](std::size_t size) {
    return static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(size) - 1));
  };
  const std::size_t target = index(state.entries().size());
  StateDict result;
  for (std::size_t i = 0; i < state.entries().size(); ++i) {
    auto [key, tensor] = state.entries()[i];
    if (i == target) {
      switch (random.between(0, 6)) {
        case 0:
          continue;
        case 1:
          key += "x";
          break;
        case 2:  // of another dtype
          tensor.dtype = static_cast<Dtype>(random.between(0, 7));
          tensor.bytes.resize(static_cast<std::size_t>(tensor.element_count()) *
                              byte_size(tensor.dtype));
          break;
        case 3:  // of another shape with as many elements
          tensor.shape.insert(tensor.shape.begin(), 1);
          break;
        case 4: {  // the placeholder
          tensor = {Dtype::kInt32, {}, Bytes(4, std::byte{0xff})};
          break;
        }
        default:  // other elements
          for (int k = 0; k < 3 && !tensor.bytes.empty(); ++k)
            tensor.bytes[index(tensor.bytes.size())] = static_cast<std::byte>(
                random.chance(50) ? random.between(0, 2) : random.between(0, 255));
      }
    }
    result.add(key, tensor);
  }
  return result;
}

Bytes flipped(Bytes bytes, Random& random) {
  const auto at =
      static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(bytes.size()) - 1));
  bytes[at] ^= static_cast<std::byte>(1 << random.between(0, 7));
  return bytes;
}

std::string graph_of(const Network& network) { return to_json(network.graph); }

// Small networks, so that many changes of each can be tried.
constexpr std::uint64_t kChangedNetworks = 60, kChanges = 25;

template <typename Change>
void try_changes(std::uint64_t salt, Change&& change) {
  Files files;
  std::uint64_t refused = 0, tried = 0;
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1);
  const std::uint64_t networks = setting("LOCKSTEP_FUZZ_NETWORKS", kChangedNetworks);
  for (std::uint64_t seed = first; seed < first + networks; ++seed) {
    const Network network = random_graph(seed);
    Random random(seed + salt);
    for (std::uint64_t i = 0; i < kChanges; ++i) {
      change(files, network, random);
      const std::string text = files.disagreement();
      CHECK_MESSAGE(text.empty(), "seed ", seed, ", change ", i, ": ", text);
      refused += files.was_refused ? 1 : 0;
      tried += 1;
    }
  }
  MESSAGE(tried, " changes, ", refused, " refused");
  CHECK(refused > 0);
}

}  // namespace

TEST_CASE("random networks: the same numbers from both kinds of file as the other readers") {
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1);
  Files files;
  std::uint64_t accepted = 0;
  const std::uint64_t networks = setting("LOCKSTEP_FUZZ_NETWORKS", 300);
  for (std::uint64_t seed = first; seed < first + networks; ++seed) {
    CAPTURE(seed);
    const Network network = random_graph(seed);
    CHECK(files.disagreement(graph_of(network), to_pt(network.state)) == "");
    CHECK(files.disagreement(network.json, to_safetensors(network.state)) == "");
    accepted += files.was_refused ? 0 : 1;
  }
  CHECK(2 * accepted > networks);
}

TEST_CASE("the zoo: the same numbers as the other readers") {
  const std::uint64_t most = setting("LOCKSTEP_ZOO_MACS", 20'000'000);
  const zoo::NetworkOptions variants[] = {
      {}, {.per_channel = true, .sparsity = 0.5}, {.per_channel = true, .structured = true}};
  Files files;
  for (const zoo::Network& network : zoo::networks())
    for (const zoo::NetworkOptions& options : variants) {
      const Graph graph = network.build(options);
      if (static_cast<std::uint64_t>(zoo::size_of(graph).macs) > most) continue;
      CAPTURE(network.name);
      const StateDict state = zoo::calibrated_state(graph, 1);
      CHECK(files.disagreement(to_json(graph), to_pt(state)) == "");
      CHECK(files.disagreement(to_json(graph), to_safetensors(state)) == "");
      CHECK(!files.was_refused);
    }
}

TEST_CASE("recorded networks: the same numbers as the other readers") {
  Files files;
  for (const std::string& name : golden_net_names()) {
    CAPTURE(name);
    const GoldenNet net = read_golden_net(name);
    for (const GoldenVariant& variant : net.variants) {
      CHECK(files.disagreement(to_json(variant.graph), read_file(net.folder / "state_dict.pt")) ==
            "");
      CHECK(!files.was_refused);
    }
  }
}

TEST_CASE("a batch norm that leaves float32 is refused, and no other") {
  const std::string graph = R"({"format": "lockstep-graph", "version": 1, "name": "norm",
    "inputs": [{"name": "x", "shape": [2, 3]}], "outputs": ["y"],
    "nodes": [{"name": "y", "op": "batch_norm1d", "inputs": ["x"],
               "attrs": {"num_features": 2, "eps": 0}}]})";
  Files files;
  const auto is_refused = [&](float weight, float mean, float variance) {
    StateBuilder state;
    state.batch_norm("y.", {1, weight}, {0, 0}, {0, mean}, {1, variance});
    CHECK(files.disagreement(graph, to_safetensors(state.take())) == "");
    return files.was_refused;
  };
  CHECK(!is_refused(1, 0, 1));
  CHECK(!is_refused(3e38F, 0, 1));
  CHECK(is_refused(3e38F, 0, 0.25F));
  CHECK(is_refused(-3e38F, 0, 0.25F));
  CHECK(is_refused(1e20F, 1e20F, 1));  // the offset alone
  CHECK(is_refused(1, 0, 0));
  CHECK(is_refused(0, 0, 0));
}

TEST_CASE("changed graphs are refused, or understood, like by the other readers") {
  try_changes(1000, [](Files& files, const Network& network, Random& random) {
    json graph = changed(json::parse(graph_of(network)), random);
    files.write_graph(graph.dump());
    files.write_state(to_safetensors(network.state));
  });
}

TEST_CASE("graphs with bits or bytes changed are refused, or understood, likewise") {
  try_changes(2000, [](Files& files, const Network& network, Random& random) {
    std::string text = random.chance(50) ? graph_of(network) : network.json;
    const auto at =
        static_cast<std::size_t>(random.between(0, static_cast<std::int64_t>(text.size()) - 1));
    switch (random.between(0, 3)) {
      case 0:
        text.resize(at);
        break;
      case 1:
        text[at] = static_cast<char>(text[at] ^ (1 << random.between(0, 7)));
        break;
      case 2:
        text[at] = "0123456789-.,\"[]{}eE \t\x7f\x80/"[random.between(0, 24)];
        break;
      default:
        text.insert(at, text.substr(at, static_cast<std::size_t>(random.between(1, 30))));
    }
    files.write_graph(text);
    files.write_state(to_safetensors(network.state));
  });
}

TEST_CASE("changed state dicts are refused, or understood, like by the other readers") {
  try_changes(3000, [](Files& files, const Network& network, Random& random) {
    if (network.state.entries().empty()) return;
    const StateDict state = changed(network.state, random);
    files.write_graph(graph_of(network));
    files.write_state(random.chance(50) ? to_pt(state) : to_safetensors(state));
  });
}

TEST_CASE("changed programs and storages of .pt files are refused, or understood, likewise") {
  try_changes(4000, [](Files& files, const Network& network, Random& random) {
    ZipEntries entries = read_zip(to_pt(network.state), "state");
    Bytes& program = entries.at("archive/data.pkl");
    for (std::int64_t changes = random.between(1, 2); changes > 0; --changes) {
      const auto at = static_cast<std::size_t>(
          random.between(0, static_cast<std::int64_t>(program.size()) - 1));
      static constexpr std::string_view kCodes =
          "\x80\x95.(NKMJ\x8aGX\x8c\x8d)\x85\x86\x87t]ae}subc\x93RQqr\x94hj01\x02";
      if (random.chance(50)) {
        program = flipped(program, random);
      } else if (random.chance(60)) {
        program[at] = static_cast<std::byte>(kCodes[static_cast<std::size_t>(
            random.between(0, static_cast<std::int64_t>(kCodes.size()) - 1))]);
      } else if (random.chance(50)) {
        program.erase(program.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        const Bytes copy(program.begin(), program.begin() + static_cast<std::ptrdiff_t>(at));
        program.insert(program.begin() + static_cast<std::ptrdiff_t>(at),
                       copy.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(at, 9)),
                       copy.end());
      }
      if (program.empty()) break;
    }
    std::vector<ZipInput> inputs;
    for (const auto& [name, content] : entries)
      if (!random.chance(1)) inputs.push_back({name, content});
    files.write_graph(graph_of(network));
    files.write_state(to_zip(inputs));
  });
}

TEST_CASE("headers of .safetensors that were changed are refused, or understood, likewise") {
  try_changes(5000, [](Files& files, const Network& network, Random& random) {
    const Bytes bytes = to_safetensors(network.state);
    std::uint64_t size = 0;
    std::memcpy(&size, bytes.data(), 8);
    const auto* const text = reinterpret_cast<const char*>(bytes.data()) + 8;
    const std::string header = changed(json::parse(text, text + size), random).dump();
    Bytes result(8 + header.size());
    const std::uint64_t new_size = header.size();
    std::memcpy(result.data(), &new_size, 8);
    std::memcpy(result.data() + 8, header.data(), header.size());
    result.insert(result.end(), bytes.begin() + 8 + static_cast<std::ptrdiff_t>(size), bytes.end());
    files.write_graph(graph_of(network));
    files.write_state(result);
  });
}

TEST_CASE("state files with any bit flipped, or cut anywhere, are refused or understood likewise") {
  const Network network = random_graph(3);
  Files files;
  files.write_graph(graph_of(network));
  Random random(1);
  for (const Bytes& bytes : {to_pt(network.state), to_safetensors(network.state)}) {
    const std::size_t step = bytes.size() / 1000 + 1;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      files.write_state({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at)});
      CHECK_MESSAGE(files.disagreement() == "", "cut at ", at);
      CHECK(files.was_refused);
      files.write_state(flipped(bytes, random));
      const std::string text = files.disagreement();
      CHECK_MESSAGE(text == "", text);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    files.write_state(longer);
    CHECK(files.disagreement() == "");
    CHECK(files.was_refused);
  }
}

}  // namespace lockstep::test
