// Recorded networks through the command line: both kinds of state dict compile to the same bytes,
// and `verify` agrees with what is right and refutes what is not.
#include <doctest/doctest.h>
#include <cstring>
#include <nlohmann/json.hpp>

#include "intrt/intrt.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kNetworks = {"doc_single_conv", "bias12", "lenet_pt_bias20",
                                            "left_shift"};
const std::vector<std::string> kStateFiles = {"state_dict.pt", "state_dict.safetensors"};

fs::path network_folder(const std::string& network) {
  return fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / network;
}

// One network compiled from one kind of file.
struct CompiledNetwork {
  CompiledNetwork(const std::string& network, const std::string& state_file)
      : source(network_folder(network)),
        graph((source / "graph.json").string()),
        weights((source / state_file).string()),
        plan((folder / "net.plan").string()),
        c_folder((folder / "c").string()) {
    const Finished compiled =
        run_process({kLockstep, "compile", "--graph", graph, "--weights", weights, "--out", plan,
                     "--emit-c", c_folder, "--keep-layers"});
    INFO(compiled.err);
    REQUIRE(compiled.exit_code == 0);
  }

  Finished verify(std::vector<std::string> more) const {
    std::vector<std::string> arguments = {kLockstep,   "verify", "--graph", graph,
                                          "--weights", weights,  "--plan",  plan};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_process(arguments);
  }

  TemporaryFolder folder;
  fs::path source;
  std::string graph, weights, plan, c_folder;
};

}  // namespace

TEST_CASE("both kinds of state dict give the same plan and the same C") {
  for (const std::string& network : kNetworks) {
    INFO(network);
    const CompiledNetwork from_pt(network, kStateFiles[0]),
        from_safetensors(network, kStateFiles[1]);
    CHECK(read_text(from_pt.plan) == read_text(from_safetensors.plan));
    for (const char* file : {"net.c", "net.h", "net_io.h", "net_selftest.c"})
      CHECK(read_text(fs::path(from_pt.c_folder) / file) ==
            read_text(fs::path(from_safetensors.c_folder) / file));
  }
}

TEST_CASE("verify proves the recorded networks, and never from nothing") {
  for (const std::string& network : kNetworks)
    for (const std::string& state_file : kStateFiles) {
      INFO(network, " ", state_file);
      const CompiledNetwork net(network, state_file);
      const Finished proved = net.verify({"--random", "8"});
      INFO(proved.out, proved.err);
      CHECK(proved.exit_code == 0);
      CHECK(proved.out.find("proved: for every input, against float32") != std::string::npos);
      CHECK((proved.out.find("float path not compared") == std::string::npos) == kWithTorch);
      CHECK(net.verify({"--random", "0", "--accept", "tested"}).exit_code == 3);
    }
}

TEST_CASE("verify compares the generated C and reports every path as JSON") {
  const CompiledNetwork net("bias12", "state_dict.safetensors");
  const Finished verify =
      net.verify({"--c", net.c_folder, "--random", "4", "--accept", "tested", "--json"});
  INFO(verify.out, verify.err);
  REQUIRE(verify.exit_code == 0);
  const auto report = nlohmann::json::parse(verify.out);
  CHECK(report.at("proof").at("outcome") == "proved");
  CHECK(report.at("constants_checked").get<std::int64_t>() > 0);
  int c_paths = 0;
  for (const auto& path : report.at("paths")) {
    INFO(path.dump());
    CHECK(path.at("values").get<std::int64_t>() > 0);
    CHECK(path.at("differing") == 0);
    c_paths += path.at("path").get<std::string>().starts_with("C ");
  }
  CHECK(c_paths >= 2);
}

TEST_CASE("a plan with changed weights and a right checksum is refuted by layer, exit 1") {
  for (const std::string& network : kNetworks) {
    const CompiledNetwork net(network, "state_dict.safetensors");
    const std::string good = read_text(net.plan);
    intrt_plan plan;
    REQUIRE(intrt_open(&plan, good.data(), good.size(), nullptr) == INTRT_OK);
    int changed = 0;
    for (std::uint32_t i = 0; i < intrt_op_count(&plan); ++i) {
      const intrt_op_record* op = intrt_op(&plan, i);
      const auto record = static_cast<std::size_t>(reinterpret_cast<const char*>(op) - good.data());
      const std::string layer = good.c_str() + op->name_offset;
      // Where the first weight of a layer lies in the plan. Several are changed: one that meets
      // only pruned inputs changes nothing.
      const std::size_t field = op->code == 1   ? offsetof(intrt_conv2d_params, weights_offset)
                                : op->code == 2 ? offsetof(intrt_linear_params, weights_offset)
                                                : 0;
      if (field == 0) continue;
      std::uint32_t weights = 0;
      std::memcpy(&weights, good.data() + record + sizeof *op + field, sizeof weights);

      std::string bad = good;
      for (std::size_t byte = 0; byte < 32; byte += 2)
        bad[weights + byte] = static_cast<char>(bad[weights + byte] ^ 1);
      const std::uint32_t crc = intrt_plan_crc32(bad.data(), bad.size());
      std::memcpy(bad.data() + offsetof(intrt_plan_header, crc32), &crc, sizeof crc);
      write_text(net.plan, bad);
      const Finished verify = net.verify({"--random", "2", "--accept", "tested"});
      INFO(network, " ", layer, ": ", verify.out, verify.err);
      CHECK(verify.exit_code == 1);
      CHECK(verify.out.find("refuted: layer '" + layer + "'") != std::string::npos);
      ++changed;
    }
    CHECK(changed >= 1);
  }
}

}  // namespace lockstep::test
