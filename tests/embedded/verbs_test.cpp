// The verbs that run C on emulated cores: what verify reports of them, and bench --target.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"
#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"

namespace lockstep::test {
namespace {

using Json = nlohmann::json;

struct OnDisk {
  Emitted emitted;
  std::string plan, folder;

  explicit OnDisk(const std::string& name) : emitted(name) {
    folder = emitted.folder.path().string();
    plan = (emitted.folder / "net.plan").string();
    write_file_atomically(plan, emitted.plan);
  }
  std::vector<std::string> bench(const std::string& targets) const {
    return {kLockstep, "bench", "--plan", plan, "--c", folder, "--target", targets};
  }
};

Json json_of(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  arguments.emplace_back("--quiet");
  const Finished finished = run_process(arguments);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.err);
  return Json::parse(finished.out);
}

}  // namespace

TEST_CASE("bench --target counts the operators of the C, which make up the whole") {
  const OnDisk net("lenet_pt_bias20");
  const Json targets = json_of(net.bench("cortex-m0,aarch64")).at("targets");
  REQUIRE(targets.size() == 2);
  CHECK(targets[0].at("target") == "cortex-m0");
  CHECK(targets[1].at("target") == "aarch64");
  for (const Json& target : targets) {
    std::uint64_t macs = 0, instructions = target.at("outside_of_operators").at("instructions");
    std::vector<std::string> kinds;
    for (const Json& row : target.at("operators")) {
      macs += row.at("macs").get<std::uint64_t>();
      instructions += row.at("instructions").get<std::uint64_t>();
      kinds.push_back(row.at("op"));
      CHECK(row.at("reads") > 0);
      CHECK(row.at("writes") > 0);
    }
    CHECK(std::ranges::count(kinds, "conv2d") == 2);
    CHECK(std::ranges::count(kinds, "linear") == 2);
    const Json& total = target.at("total");
    CHECK(total.at("macs") == macs);
    const double whole = total.at("instructions");
    CHECK(static_cast<double>(instructions) > 0.97 * whole);
    CHECK(static_cast<double>(instructions) < 1.03 * whole);
    CHECK(target.at("arena_bytes") == net.emitted.table().arena_bytes);
    CHECK(target.at("stack_bytes") > 0);
    // What is no operator's is a small part: the table of tensors, and what aligns sections.
    std::uint64_t code = target.at("outside_of_operators").at("code_bytes"),
                  constants = target.at("outside_of_operators").at("constant_bytes");
    CHECK(code < 800);
    CHECK(constants < 1500);
    for (const Json& row : target.at("operators")) {
      code += row.at("code_bytes").get<std::uint64_t>();
      constants += row.at("constant_bytes").get<std::uint64_t>();
      CHECK(row.at("code_bytes") > 0);
      CHECK(row.at("ram_bytes") > 0);
      CHECK(row.at("ram_bytes") <= target.at("arena_bytes"));
      CHECK(row.at("stack_bound_bytes") > 0);
      CHECK(row.at("stack_bound_bytes") <= target.at("stack_bound_bytes"));
      if (row.at("op") == "conv2d") CHECK(row.at("constant_bytes") > 0);
    }
    CHECK(code == target.at("code_bytes"));
    CHECK(constants == target.at("constant_bytes"));
    CHECK(target.at("stack_bound_bytes") >= target.at("stack_bytes"));
    CHECK(target.at("code_bytes") > 500);
    // The weights, and the tables.
    CHECK(target.at("constant_bytes") > 3000);
  }
  CHECK(targets[0].at("total").at("vector_instructions") == 0);
  CHECK(targets[1].at("total").at("vector_instructions") > 0);

  const Finished text = run_process(net.bench("cortex-m0"));
  CHECK(text.exit_code == 0);
  for (const char* const word :
       {"outside of operators", "total", "per MAC", "stack bytes", "stack bound"})
    CHECK(contains(text.out, word));
}

TEST_CASE("bench --report writes the figures as a page that needs nothing else") {
  const OnDisk net("bias12");
  const std::string page = (net.emitted.folder / "page.html").string();
  std::vector<std::string> arguments = net.bench("cortex-m4,rv32imc");
  arguments.insert(arguments.end(), {"--report", page});
  const Json result = json_of(arguments);
  CHECK(result.at("report") == page);
  const std::string text = read_text_file(page);
  CHECK(text.starts_with("<!doctype html>"));
  CHECK(text.ends_with("</html>\n"));
  for (const char* const word : {"<script", "http:", "https:", "url(", "nan", "inf\""})
    CHECK(!contains(text, word));
  for (const Json& target : result.at("targets")) {
    const auto has = [&](const Json& number) {
      const std::string digits = number.dump();
      std::string grouped;
      for (std::size_t i = 0; i < digits.size(); ++i) {
        if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
        grouped += digits[i];
      }
      CHECK_MESSAGE(contains(text, ">" + grouped + "</td>"), grouped);
      CHECK_MESSAGE(contains(text, ">" + grouped), grouped);
    };
    has(target.at("total").at("instructions"));
    has(target.at("code_bytes"));
    for (const Json& row : target.at("operators")) {
      CHECK(contains(text, row.at("node").get<std::string>() + "</text>"));
      for (const char* const figure : {"code_bytes", "constant_bytes", "ram_bytes"})
        has(row.at(figure));
      has(row.at("instructions"));
    }
  }
  // The same figures give the same bytes, and a run that fails leaves no page.
  const Json again = json_of(arguments);
  CHECK(read_text_file(page) == text);
  net.emitted.write_source("no C at all\n");
  CHECK(run_process(arguments).exit_code == 2);
  CHECK(!std::filesystem::exists(page));
  CHECK(contains(run_process({kLockstep, "bench", "--plan", net.plan, "--report", page}).err,
                 "--target"));
}

TEST_CASE("bench --target refuses C that is not the plan, and what goes together with nothing") {
  const OnDisk net("bias12"), other("left_shift");
  const std::string source = net.emitted.source();
  const auto error_of = [](const std::vector<std::string>& arguments) {
    const Finished finished = run_process(arguments);
    CHECK(finished.exit_code == 2);
    CHECK(finished.out.empty());
    return finished.err;
  };
  const std::string elsewhere = error_of(
      {kLockstep, "bench", "--plan", other.plan, "--c", net.folder, "--target", "rv32imc"});
  CHECK_MESSAGE(contains(elsewhere, "on rv32imc: layer '"), elsewhere);
  net.emitted.write_source(replaced(source, "net_op0_conv2d_shift[", "10, 9", "9, 9"));
  const std::string differs = error_of(net.bench("rv32imc"));
  CHECK_MESSAGE(contains(differs, "on rv32imc: tensor 'q1' is not what the plan computes"),
                differs);
  net.emitted.write_source("no C at all\n");
  CHECK(contains(error_of(net.bench("cortex-m7")), "on cortex-m7: net.c does not compile"));
  CHECK(contains(error_of(net.bench("host")), "--target"));
  CHECK(
      contains(error_of({kLockstep, "bench", "--plan", net.plan, "--c", net.folder}), "--target"));
}

TEST_CASE("bench --target without C counts the operators of the plan") {
  const OnDisk net("lenet_pt_bias20");
  const Json result =
      json_of({kLockstep, "bench", "--plan", net.plan, "--target", "cortex-m4,rv32imc"});
  CHECK(result.at("c").is_null());
  for (const Json& target : result.at("targets")) {
    std::uint64_t instructions = target.at("outside_of_operators").at("instructions");
    int convolutions = 0;
    for (const Json& row : target.at("operators")) {
      instructions += row.at("instructions").get<std::uint64_t>();
      if (row.at("op") != "conv2d") continue;
      ++convolutions;
      CHECK(row.at("instructions") > row.at("macs"));
    }
    CHECK(convolutions == 2);
    const double whole = target.at("total").at("instructions");
    CHECK(static_cast<double>(instructions) > 0.97 * whole);
    CHECK(static_cast<double>(instructions) < 1.03 * whole);
    CHECK(target.at("constant_bytes") > std::filesystem::file_size(net.plan));
    CHECK(target.at("code_bytes") > 4000);
    CHECK(target.at("code_bytes") < 20000);  // not all kernels
    CHECK(target.at("stack_bytes") > 0);
    CHECK(target.at("stack_bound_bytes").is_null());
    CHECK(target.at("opening_instructions") > std::filesystem::file_size(net.plan));
  }
}

TEST_CASE("compile --emit-plan-c writes the plan as C") {
  const OnDisk net("bias12");
  const std::filesystem::path source = net.emitted.net.golden.folder;
  const TemporaryFolder folder;
  const std::string plan = (folder / "again.plan").string();
  const Json result = json_of({kLockstep, "compile", "--graph", (source / "graph.json").string(),
                               "--weights", (source / "state_dict.pt").string(), "--out", plan,
                               "--emit-plan-c", (folder / "c").string(), "--prefix", "again"});
  const Compiled compiled = compile_network(net.emitted.net.graph, net.emitted.net.state, {});
  const std::vector<CSourceFile> files = emit_plan_c(compiled, "again");
  REQUIRE(result.at("plan_c_files").size() == files.size());
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string path = (folder / "c" / files[i].name).string();
    CHECK(result.at("plan_c_files")[i] == path);
    CHECK(read_text_file(path) == files[i].text);
  }
}

TEST_CASE("verify without C runs the plan on the cores, and says so in the certificate") {
  const OnDisk net("bias12");
  const std::filesystem::path source = net.emitted.net.golden.folder;
  const std::string certificate = (net.emitted.folder / "net.cert.json").string();
  std::vector<std::string> arguments = {kLockstep,       "verify",
                                        "--graph",       (source / "graph.json").string(),
                                        "--weights",     (source / "state_dict.pt").string(),
                                        "--plan",        net.plan,
                                        "--targets",     "cortex-m0,rv32imc",
                                        "--random",      "4",
                                        "--certificate", certificate};
  const Json report = json_of(arguments);
  CHECK(report.at("verdict") == "proved");
  std::vector<std::string> on_cores;
  for (const Json& path : report.at("paths")) {
    const std::string name = path.at("path");
    if (!contains(name, "(qemu)")) continue;
    on_cores.push_back(name);
    CHECK(path.at("samples") == 2);
    CHECK(path.at("values") > 0);
    CHECK(path.at("differing") == 0);
    CHECK(path.at("instructions_per_sample") > 0);
  }
  CHECK(on_cores == std::vector<std::string>{"plan cortex-m0 (qemu)", "plan rv32imc (qemu)"});
  const std::string written = read_text_file(certificate);
  for (const char* const text : {"plan cortex-m0 (qemu)", "plan rv32imc (qemu)"})
    CHECK(contains(written, text));

  for (const char* const host : {"host", "host-all"}) {
    arguments[9] = host;
    const Finished finished = run_process(arguments);
    CHECK(finished.exit_code == 2);
    CHECK_MESSAGE(contains(finished.err, std::string("--targets ") + host), finished.err);
    CHECK_MESSAGE(contains(finished.err, "--c"), finished.err);
  }
}

TEST_CASE("verify reports what each core took") {
  const OnDisk net("bias12");
  const std::filesystem::path source = net.emitted.net.golden.folder;
  std::vector<std::string> arguments = {kLockstep,   "verify",
                                        "--graph",   (source / "graph.json").string(),
                                        "--weights", (source / "state_dict.pt").string(),
                                        "--plan",    net.plan,
                                        "--c",       net.folder,
                                        "--targets", "cortex-m0,rv32imc,aarch64",
                                        "--random",  "4"};
  const Json paths = json_of(arguments).at("paths");
  int cores = 0;
  for (const Json& path : paths) {
    const std::string name = path.at("path");
    const bool on_core = contains(name, "(qemu)");
    cores += on_core ? 1 : 0;
    for (const char* const figure :
         {"instructions_per_sample", "reads_per_sample", "writes_per_sample",
          "multiplications_per_sample", "branches_per_sample", "vector_instructions_per_sample",
          "stack_bytes", "code_bytes", "constant_bytes"})
      CHECK(path.contains(figure) == on_core);
    if (on_core) {
      CHECK(path.at("instructions_per_sample") > path.at("branches_per_sample"));
      CHECK(path.at("stack_bytes") > 0);
      CHECK(path.at("stack_bound_bytes") >= path.at("stack_bytes"));
    }
  }
  CHECK(cores == 3);
  const Finished text = run_process(arguments);
  CHECK(contains(text.out, "constant bytes"));
}

}  // namespace lockstep::test
