// Which kernels `run` and `bench` use: --kernels, else LOCKSTEP_KERNELS, else the best here; how
// many threads; and where `bench --profile` says that the time goes.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "compile/support/files.h"
#include "compile/support/npy.h"
#include "intrt/intrt.h"
#include "tests/end_to_end/process.h"
#include "tests/tools/html.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kNetwork = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / "bias12";

struct Plan {
  Plan() {
    const Finished compiled = run_process(
        {kLockstep, "compile", "--graph", (kNetwork / "graph.json").string(), "--weights",
         (kNetwork / "state_dict.pt").string(), "--out", path(), "--quiet"});
    INFO(compiled.err);
    REQUIRE(compiled.exit_code == 0);
    NpyArray<std::int32_t> input{.shape = {3, 1, 12, 12}, .values = {}};
    for (int i = 0; i < 3 * 144; ++i) input.values.push_back(i * 37 % 256 - 128);
    write_npy(folder / "x.npy", input);
  }
  std::string path() const { return (folder / "net.plan").string(); }

  // `variable`: the value of LOCKSTEP_KERNELS.
  Finished bench(const std::string& variable, const std::vector<std::string>& options) const {
    std::vector<std::string> command = {kLockstep,   "bench", "--plan", path(),
                                        "--seconds", "0.01",  "--json", "--quiet"};
    command.insert(command.end(), options.begin(), options.end());
    return run_process(command, {.environment = {"LOCKSTEP_KERNELS=" + variable}});
  }
  std::string kernels_used(const std::string& variable,
                           const std::vector<std::string>& options = {}) const {
    const Finished finished = bench(variable, options);
    INFO(finished.err);
    REQUIRE(finished.exit_code == 0);
    return Json::parse(finished.out).at("kernels");
  }
  std::vector<std::int64_t> codes(const std::string& variable) const {
    const Finished finished =
        run_process({kLockstep, "run", "--plan", path(), "--input", (folder / "x.npy").string(),
                     "--output", (folder / "y.npy").string(), "--quiet"},
                    {.environment = {"LOCKSTEP_KERNELS=" + variable}});
    INFO(finished.err);
    REQUIRE(finished.exit_code == 0);
    return std::get<NpyArray<std::int64_t>>(read_npy(folder / "y.npy")).values;
  }
  TemporaryFolder folder;
};

std::string best_here() {
  for (std::uint32_t i = 0;; ++i)
    if (intrt_kernel_variant_runs_here(i) != 0) return intrt_kernel_variant(i);
}

}  // namespace

TEST_CASE("an option chooses the kernels, else a variable, else the CPU") {
  const Plan plan;
  CHECK(plan.kernels_used("") == best_here());
  CHECK(plan.kernels_used("", {"--kernels", "scalar"}) == "scalar");
  CHECK(plan.kernels_used("scalar") == "scalar");
  CHECK(plan.kernels_used("scalar", {"--kernels", best_here()}) == best_here());
}

TEST_CASE("a variant that is none is refused by the name of what asked for it") {
  const Plan plan;
  const Finished refused = plan.bench("abacus", {});
  CHECK(refused.exit_code != 0);
  CHECK(refused.err.find("LOCKSTEP_KERNELS=abacus") != std::string::npos);
  CHECK(refused.err.find("scalar") != std::string::npos);
}

TEST_CASE("a variant that this CPU lacks is refused with those that it has") {
  const Plan plan;
  for (std::uint32_t i = 0; intrt_kernel_variant(i) != nullptr; ++i) {
    if (intrt_kernel_variant_runs_here(i) != 0) continue;
    const std::string name = intrt_kernel_variant(i);
    const Finished refused = plan.bench("", {"--kernels", name});
    INFO(refused.err);
    CHECK(refused.exit_code == 2);
    CHECK(refused.err.find("kernels " + name + ": this CPU cannot run these kernels") !=
          std::string::npos);
    CHECK(refused.err.find(", scalar") != std::string::npos);
  }
}

TEST_CASE("all kernels that run here give the same codes") {
  const Plan plan;
  std::optional<std::vector<std::int64_t>> first;
  for (std::uint32_t i = 0; intrt_kernel_variant(i) != nullptr; ++i) {
    if (intrt_kernel_variant_runs_here(i) == 0) continue;
    const std::vector<std::int64_t> codes = plan.codes(intrt_kernel_variant(i));
    if (!first) first = codes;
    CHECK(codes == *first);
  }
  CHECK(first.has_value());
}

TEST_CASE("any number of threads gives the same codes, and none is refused") {
  const Plan plan;
  const auto codes = [&](const std::string& threads) {
    const Finished finished = run_process(
        {kLockstep, "run", "--plan", plan.path(), "--input", (plan.folder / "x.npy").string(),
         "--output", (plan.folder / "y.npy").string(), "--quiet", "--threads", threads});
    INFO(finished.err);
    REQUIRE(finished.exit_code == 0);
    return std::get<NpyArray<std::int64_t>>(read_npy(plan.folder / "y.npy")).values;
  };
  const std::vector<std::int64_t> expected = plan.codes("scalar");
  for (const char* threads : {"1", "2", "3", "7"}) CHECK(codes(threads) == expected);
  for (const char* threads : {"0", "-1", "1025", "two"}) {
    const Finished refused = plan.bench("", {"--threads", threads});
    CHECK(refused.exit_code == 2);
    CHECK(refused.err.find("--threads") != std::string::npos);
  }
  const Finished finished = plan.bench("", {"--threads", "3"});
  REQUIRE(finished.exit_code == 0);
  CHECK(Json::parse(finished.out).at("threads") == 3);
}

TEST_CASE("a profile has a time for each operator, and its page stands alone") {
  const Plan plan;
  const fs::path page = plan.folder / "profile.html";
  const Finished finished = plan.bench("", {"--profile", "--report", page.string()});
  INFO(finished.err);
  REQUIRE(finished.exit_code == 0);
  const Json profile = Json::parse(finished.out);
  CHECK(profile.at("kernels") == best_here());
  CHECK(profile.at("peak_macs_per_second") > 1e8);
  CHECK(profile.at("memory_bytes_per_second") > 1e7);
  std::uint64_t macs = 0;
  for (const Json& op : profile.at("operators")) {
    CHECK(op.at("median_us") > 0);
    macs += op.at("macs").get<std::uint64_t>();
  }
  CHECK(macs > 0);
  CHECK(is_balanced(read_text_file(page)));
  const Finished refused = plan.bench("", {"--report", page.string()});
  CHECK(refused.exit_code == 2);
  CHECK(refused.err.find("--profile") != std::string::npos);
}

}  // namespace lockstep::test
