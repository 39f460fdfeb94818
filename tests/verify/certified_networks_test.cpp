// Certificates of compiled networks, with the real proof: they hold, and none holds for a plan in
// which a weight was changed, whatever its hashes say.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "intrt/plan_format.h"
#include "tests/compile/random_network.h"
#include "tests/support/plan_builder.h"
#include "tests/support/temporary_folder.h"
#include "verify/checker/certificate.h"
#include "verify/checker/files.h"
#include "verify/checker/plan.h"

namespace {

using namespace lockstep;
namespace fs = std::filesystem;

void write(const fs::path& path, std::span<const std::byte> bytes) {
  write_file_atomically(path, bytes);
}

// Writes the certificate of the files in `folder` with this proof.
void certify(const fs::path& folder, const checker::Proof& proof) {
  checker::Certificate certificate;
  certificate.tool = "test";
  certificate.files = {checker::certify_file(folder / "graph.json", folder),
                       checker::certify_file(folder / "state.safetensors", folder),
                       checker::certify_file(folder / "net.plan", folder),
                       {}};
  certificate.proof = proof;
  const std::string text = checker::certificate_text(certificate);
  write(folder / "C.json", std::as_bytes(std::span(text)));
}

checker::Checked check(const fs::path& folder) {
  const fs::path path = folder / "C.json";
  return checker::check_certificate(checker::read_file(path, SIZE_MAX), path, {});
}

// Inverts the lowest bit of the first weight that the plan's operators hold in 8 bits.
bool change_weight(std::vector<std::byte>& plan) {
  intrt_plan_header header;
  std::memcpy(&header, plan.data(), sizeof header);
  for (std::uint32_t i = 0; i < header.op_count; ++i) {
    std::uint32_t offset = 0;
    std::memcpy(&offset, plan.data() + header.ops_offset + 4 * i, 4);
    intrt_op_record record;
    std::memcpy(&record, plan.data() + offset, sizeof record);
    if (record.code != testing::k_conv2d) continue;
    intrt_conv2d_params conv;
    std::memcpy(&conv, plan.data() + offset + sizeof record, sizeof conv);
    if (conv.weight_type != INTRT_INT8) continue;
    plan[conv.weights_offset] ^= std::byte{1};
    testing::reseal(reinterpret_cast<std::uint8_t*>(plan.data()), plan.size());
    return true;
  }
  return false;
}

}  // namespace

TEST_CASE("certificates of compiled networks hold, and not for a plan with another weight") {
  int held = 0, refused = 0, without_effect = 0;
  for (std::uint64_t seed = 0; held < 30; ++seed) {
    REQUIRE(seed < 200);
    CAPTURE(seed);
    const test::Network network = test::random_network(seed);
    std::vector<std::byte> plan;
    try {
      plan = compile_network(network.graph, network.state, {}).plan;
    } catch (const InputError&) {
      continue;
    }
    const test::TemporaryFolder folder;
    write(folder / "graph.json", std::as_bytes(std::span(network.json)));
    write(folder / "state.safetensors", to_safetensors(network.state));
    write(folder / "net.plan", plan);
    checker::Proof proof;
    try {
      proof =
          checker::prove(checker::read_model(folder / "graph.json", folder / "state.safetensors"),
                         checker::read_plan(plan));
    } catch (const checker::Failure& failure) {
      REQUIRE_MESSAGE(failure.is_unknown, failure.text);
      continue;
    }
    certify(folder.path(), proof);
    const checker::Checked checked = check(folder.path());
    CHECK(checked.certificate.proof == proof);
    CHECK(checked.plan.bytes == plan);
    ++held;

    if (!change_weight(plan)) continue;
    write(folder / "net.plan", plan);
    CHECK_THROWS_AS(check(folder.path()), checker::Mismatch);
    certify(folder.path(), proof);  // as a forger would
    try {
      check(folder.path());
      ++without_effect;
    } catch (const checker::Failure& failure) {
      CHECK(!failure.is_unknown);
      ++refused;
    } catch (const checker::Mismatch&) {
      ++refused;
    }
  }
  MESSAGE("held: ", held, ", changed and refused: ", refused, ", without effect: ", without_effect);
  CHECK(refused > 10);
  CHECK(without_effect <= refused / 4);  // such as a weight that meets zeros only
}
