// The differential run: generated C on every target agrees; changed, crashing, hanging and lying C
// never does.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>

#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "tests/verify/emitted.h"
#include "verify/differential/c_runner.h"
#include "verify/differential/differential.h"
#include "verify/differential/inputs.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// Runs the folder's C on a few samples and compares.
std::optional<verify::Divergence> run_quickly(const Emitted& emitted, std::string& failure) {
  const verify::ExactNetwork network(emitted.net.graph, emitted.net.parameters);
  const verify::GeneratedInputs inputs(network, 4, 1);
  const verify::Batch batch = inputs.make(0, inputs.count());
  const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::seconds(60)};
  const verify::CRun run = verify::run_c(kQuickTarget, program, emitted.net.graph, emitted.table(),
                                         batch, inputs.count());
  failure = run.failure;
  verify::Comparison comparison(network, kQuickTarget.name, [](std::int64_t) { return "made up"; });
  if (run.difference) comparison.refute(run.difference->layer, run.difference->text);
  if (!run.seen) return comparison.first_divergence();
  comparison.compare_codes(*run.seen, network.evaluate(batch, inputs.count()), 0);
  return comparison.first_divergence();
}

std::string failure_of(const Emitted& emitted, std::chrono::milliseconds timeout) {
  const verify::CProgram program = {emitted.folder.path(), "net", timeout};
  return verify::run_c(kQuickTarget, program, emitted.net.graph, emitted.table(), emitted.net.batch,
                       emitted.net.samples)
      .failure;
}

}  // namespace

TEST_CASE("generated C agrees with gcc and clang at -O0 and -O3 and on an emulated Cortex-M4") {
  const Emitted emitted("bias12", "tiny_net");
  verify::Options options = emitted.options();
  options.c_prefix = "tiny_net";
  options.targets = {"host", "cortex-m4"};
  std::vector<std::string> lines;
  options.progress = [&](const std::string& line) { lines.push_back(line); };
  const verify::Report report = emitted.verify(options);
  const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
  REQUIRE_MESSAGE(unknown != nullptr, std::get<verify::Refuted>(report.verdict).first_difference);
  CHECK_MESSAGE(unknown->reason.starts_with("agreed on "), unknown->reason);
  std::vector<std::string> paths;
  for (const verify::PathReport& path : report.paths) {
    paths.push_back(path.path);
    CHECK(path.samples > 0);
    CHECK(path.tensors == 7);
    CHECK(path.values > 0);
    CHECK(path.differing == 0);
    CHECK(path.cost.has_value() == (path.path == "C cortex-m4 (qemu)"));
  }
  const std::vector<std::string> c_paths(paths.end() - 5, paths.end());
  CHECK(c_paths == std::vector<std::string>{"C gcc -O0", "C gcc -O3", "C clang -O0", "C clang -O3",
                                            "C cortex-m4 (qemu)"});
  // 9576 multiply-accumulates take at least a third and at most a hundred instructions each.
  const verify::EmulatedCost& cost = *report.paths.back().cost;
  const std::uint64_t instructions = cost.counts.instructions;
  CHECK(instructions > 9576 / 3);
  CHECK(instructions < 9576 * 100);
  CHECK(lines.size() ==
        report.paths.size() + 3);  // and the constants, worst-case inputs and the probes
  REQUIRE(report.c_probes.has_value());
  CHECK(report.c_probes->path == "C gcc -O3 layer probes");
  CHECK(report.c_probes->probes == 256);
  MESSAGE(fmt::format("Cortex-M4: {} instructions for one image of bias12", instructions));
}

TEST_CASE("changed C is refuted where it first differs") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  std::string failure;
  CHECK_FALSE(run_quickly(emitted, failure));
  REQUIRE_MESSAGE(failure.empty(), failure);

  struct Change {
    std::string marker, from, to, layer;
  };
  const Change changes[] = {
      {"net_op0_conv2d_weight[", "-128, 34", "-128, 35", "q1"},
      {"net_op0_conv2d_shift[", "10, 9", "9, 9", "q1"},
      {"net_op0_conv2d_bias[", "8188", "9188", "q1"},
      {"net_op0_conv2d(", "-128, 127", "-128, 20", "q1"},
      {"net_op0_conv2d(", "shift_right_toward_zero(acc0", "shift_right_floor(acc0", "q1"},
  };
  for (const Change& change : changes) {
    CAPTURE(change.marker);
    CAPTURE(change.to);
    emitted.write_source(replaced(source, change.marker, change.from, change.to));
    const auto divergence = run_quickly(emitted, failure);
    REQUIRE_MESSAGE(failure.empty(), failure);
    REQUIRE(divergence.has_value());
    CAPTURE(divergence->text);
    CHECK(divergence->layer == change.layer);
    CHECK(contains(divergence->text, "C gcc -O0: layer '" + divergence->layer + "', channel"));
    CHECK(contains(divergence->text, "; accumulator "));
  }
}

TEST_CASE("every number of the C's tables is the plan's") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source(), header = read_text_file(emitted.folder / "net.h");
  const verify::NetTable table = emitted.table();
  std::string failure;
  const auto check = [&](const std::string& layer, const std::string& text) {
    const auto divergence = run_quickly(emitted, failure);
    REQUIRE_MESSAGE(failure.empty(), failure);
    REQUIRE(divergence.has_value());
    CAPTURE(divergence->text);
    CHECK(divergence->layer == layer);
    CHECK(contains(divergence->text, "C gcc -O0: layer '" + layer + "': " + text));
  };
  // The row of tensor 4: name, type, bits, rank, decimal count, channels, height, width, offset;
  // behind them decimals, offsets, channel map and flags.
  const verify::VisibleTensor& q2 = table.tensors[4];
  REQUIRE(q2.name == "q2");
  REQUIRE(q2.decimals.size() == 1);
  const std::vector<std::string> row = {"\"q2\"",
                                        "1",
                                        "8",
                                        "3",
                                        "1",
                                        fmt::format("{}u", q2.channels),
                                        fmt::format("{}u", q2.height),
                                        fmt::format("{}u", q2.width),
                                        fmt::format("{}u", table.arena_offsets[4])};
  const std::string text =
      "{" + fmt::format("{}", fmt::join(row, ", ")) + ", net_decimals4, 0, 0, 4}";
  const std::vector<std::pair<std::string, std::string>> changes = {{"\"r2\"", "name"},
                                                                    {"2", "bytes per code"},
                                                                    {"7", "bits"},
                                                                    {"2", "rank"},
                                                                    {"1", ""},
                                                                    {"1u", "channels"},
                                                                    {"1u", "height"},
                                                                    {"1u", "width"},
                                                                    {"16u", "arena offset"}};
  for (std::size_t field = 0; field < row.size(); ++field) {
    if (changes[field].second.empty() || row[field] == changes[field].first) continue;
    CAPTURE(changes[field].second);
    std::vector<std::string> changed = row;
    changed[field] = changes[field].first;
    emitted.write_source(
        replaced(source, "net_tensors[", text,
                 "{" + fmt::format("{}", fmt::join(changed, ", ")) + ", net_decimals4, 0, 0, 4}"));
    check("q2", changes[field].second + " of tensor 4: the plan says ");
  }
  emitted.write_source(replaced(source, text, ", 4}", ", 0}"));
  check("q2", "flag 'named' of tensor 4: the plan says true");
  emitted.write_source(replaced(source, "net_decimals4[1]", "7}", "8}"));
  check("q2", "decimals of tensor 4: the plan says [7], the C says [8]");
  const std::string output = table.tensors[table.outputs[0]].name;
  emitted.write_source(replaced(source, "net_outputs[", "{", "{0 * "));
  check(output, "outputs: the plan says");
  emitted.write_source(replaced(source, "net_inputs[", "{", "{1 + "));
  check(output, "inputs: the plan says");
  emitted.write_source(source);
  write_file_atomically(emitted.folder / "net.h",
                        replaced(header, "NET_ARENA_BYTES", fmt::format("{}u", table.arena_bytes),
                                 fmt::format("{}u", table.arena_bytes - 16)));
  check(output, fmt::format("bytes of the arena: the plan says {}, the C says {}",
                            table.arena_bytes, table.arena_bytes - 16));
  // It may be larger.
  write_file_atomically(emitted.folder / "net.h",
                        replaced(header, "NET_ARENA_BYTES", fmt::format("{}u", table.arena_bytes),
                                 fmt::format("{}u", table.arena_bytes + 16)));
  CHECK(!run_quickly(emitted, failure));
  CHECK_MESSAGE(failure.empty(), failure);
}

TEST_CASE("the self test of the C is run on every target, and has to be there") {
  const Emitted emitted("bias12");
  const std::filesystem::path path = emitted.folder / "net_selftest.c";
  const std::string text = read_text_file(path);
  const std::size_t answers = text.find('{', text.find("answers["));
  REQUIRE(answers != std::string::npos);
  write_file_atomically(path, text.substr(0, answers + 1) + "1 + " + text.substr(answers + 1));
  for (const char* target : {"host", "cortex-m4"}) {
    verify::Options options = emitted.options();
    options.targets = {target};
    const verify::Report report = emitted.verify(options);
    const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
    REQUIRE(refuted != nullptr);
    CHECK(contains(refuted->first_difference,
                   "self test: element 0 in its case 0 is not the known answer"));
  }
  write_file_atomically(path, "no C at all\n");
  std::string failure = failure_of(emitted, std::chrono::seconds(60));
  CHECK_MESSAGE(contains(failure, "self test: net_selftest.c does not compile"), failure);
  std::filesystem::remove(path);
  CHECK(contains(input_error_of([&] { emitted.verify(emitted.options()); }), "net_selftest.c"));
}

TEST_CASE("a change in the C reaches the verdict of verify_plan") {
  const Emitted emitted("bias12");
  emitted.write_source(replaced(emitted.source(), "net_op0_conv2d_shift[", "10, 9", "9, 9"));
  const verify::Report report = emitted.verify(emitted.options());
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);
  REQUIRE(refuted != nullptr);
  CHECK(refuted->layer == "q1");
  CHECK(contains(refuted->first_difference, "C gcc -O0: layer 'q1', channel 0, position ("));
  CHECK(contains(refuted->first_difference, "of layer 'c1', shift 10"));
  CHECK(!report.agreed);
}

TEST_CASE("C that only the build without observation gets wrong is refuted") {
  const Emitted emitted("bias12");
  // Nothing is observed once the last operator has run: spoil the arena there.
  const std::string source = emitted.source();
  const std::size_t end = source.rfind('}');
  REQUIRE(end != std::string::npos);
  emitted.write_source(
      source.substr(0, end) +
      "{ unsigned i; for (i = 0; i < NET_ARENA_BYTES; ++i) ((unsigned char *)arena)[i] ^= 1u; }\n" +
      source.substr(end));
  const verify::Report report = emitted.verify(emitted.options());
  CHECK(std::holds_alternative<verify::Refuted>(report.verdict));
}

TEST_CASE("C that crashes, hangs, stops early, writes too much or does not compile never agrees") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  const auto with_body = [&](const std::string& include, const std::string& statement) {
    std::string text = replaced(source, "void net_run(void *arena) {", "{", "{ " + statement);
    return include + text;
  };
  const auto reason = [&](const std::string& text,
                          std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
    emitted.write_source(text);
    return failure_of(emitted, timeout);
  };
  CHECK(contains(reason(with_body("#include <stdlib.h>\n", "abort();")), "killed by signal 6"));
  CHECK(contains(
      reason(with_body("", "volatile int spin = 1; while (spin) { }"), std::chrono::seconds(3)),
      "no result after 3.0 seconds"));
  CHECK(contains(reason(with_body("#include <stdlib.h>\n", "exit(0);")), "its output"));
  CHECK(contains(reason(with_body("#include <stdlib.h>\n", "exit(7);")), "exit code 7"));
  CHECK(contains(reason(with_body("#include <stdio.h>\n", "putchar('x');")), "its output"));
  CHECK(contains(reason(with_body("", "((unsigned char *)arena)[NET_ARENA_BYTES] = 0;")),
                 "exit code 3"));
  CHECK(contains(reason(with_body("", "int unused;")), "net.c does not compile"));
  CHECK(contains(reason(replaced(source, "LOCKSTEP_OBSERVE(1", "LOCKSTEP_OBSERVE(1",
                                 "if (arena == 0) LOCKSTEP_OBSERVE(1")),
                 "tensor 'q1'"));

  emitted.write_source(with_body("#include <stdlib.h>\n", "abort();"));
  const verify::Report report = emitted.verify(emitted.options());
  const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
  REQUIRE(unknown != nullptr);
  CHECK(contains(unknown->reason, "C gcc -O0: killed by signal 6"));
  CHECK(!report.agreed);
}

TEST_CASE("temporary folders are gone afterwards, also on failure") {
  const Emitted emitted("bias12");
  const TemporaryFolder temporary;
  const char* const before = std::getenv("TMPDIR");
  const std::string old = before == nullptr ? "" : before;
  setenv("TMPDIR", temporary.path().c_str(), 1);
  CHECK(failure_of(emitted, std::chrono::seconds(60)).empty());
  emitted.write_source("no C at all\n");
  CHECK(!failure_of(emitted, std::chrono::seconds(60)).empty());
  before == nullptr ? unsetenv("TMPDIR") : setenv("TMPDIR", old.c_str(), 1);
  CHECK(std::filesystem::is_empty(temporary.path()));
}

TEST_CASE("a missing compiler, emulator or file and an unknown target are the user's to mend") {
  const Emitted emitted("bias12");
  verify::Options options = emitted.options();
  const auto error = [&] { return input_error_of([&] { emitted.verify(options); }); };
  options.targets = {"cortex-m99"};
  CHECK(contains(error(),
                 "target 'cortex-m99' is unknown; allowed: host, host-all, "
                 "cortex-m0, cortex-m3, cortex-m4, cortex-m7, cortex-m33, cortex-m55, "
                 "rv32imc, aarch64, all"));
  options.targets = {"host"};
  options.c_prefix = "other";
  CHECK(contains(error(), "other.c"));
  options.c_prefix = "not an identifier";
  CHECK(contains(error(), "is no C identifier"));
  options.c_prefix = "net";

  const std::string path = std::getenv("PATH");
  const TemporaryFolder empty;
  setenv("PATH", empty.path().c_str(), 1);
  const std::string no_host = error();
  options.targets = {"cortex-m4"};
  const std::string no_arm = error();
  setenv("PATH", path.c_str(), 1);
  CHECK(contains(no_host, "target 'host': gcc is not installed; on Debian: apt-get install gcc"));
  CHECK(contains(no_arm, "apt-get install gcc-arm-none-eabi"));

  options.c_folder.reset();
  options.targets = {"host-all"};
  CHECK(contains(error(), "no folder with C was given"));
  options.targets = {"host"};
  options.plan = std::span(emitted.plan).first(100);
  CHECK(contains(error(), "plan: does not open"));
}

TEST_CASE("made-up inputs depend on the seed alone and drive accumulators to their extremes") {
  const Recorded net = read_recorded("doc_single_conv");
  const verify::ExactNetwork network(net.graph, net.parameters);
  const verify::WorstInputs worst = verify::find_worst_inputs(network, 5, 1 << 26);
  const verify::GeneratedInputs inputs(network, 3, 5, worst), again(network, 3, 5, worst),
      other(network, 3, 6, worst);
  REQUIRE(inputs.count() > 3);
  const std::int64_t last = inputs.count() - 1;
  CHECK(inputs.make(last, 1)[0].codes == again.make(last, 1)[0].codes);
  CHECK(inputs.make(last, 1)[0].codes != other.make(last, 1)[0].codes);
  CHECK(inputs.make(last, 1)[0].codes != inputs.make(last - 1, 1)[0].codes);

  const verify::LinearConstants& conv = *network.constants("conv");
  int seen = 0;
  for (const verify::WorstCase& worst_case : worst.cases) {
    if (worst_case.layer != "conv" || !worst_case.largest) continue;
    const std::int64_t channel = worst_case.channel;
    const std::int64_t i = inputs.first_worst() + static_cast<std::int64_t>(worst_case.input);
    CHECK(inputs.name(i).find(" accumulator of layer '") != std::string::npos);
    std::int64_t bound = 0;
    for (std::int64_t k = 0; k < conv.fan_in; ++k) {
      const std::int64_t weight =
          conv.aligned_weights[static_cast<std::size_t>(channel * conv.fan_in + k)];
      bound += weight > 0 ? weight * 127 : weight * -128;
    }
    const verify::NodeValues values = network.evaluate(inputs.make(i, 1), 1);
    const auto& codes = values.find("conv")->second.codes;
    const std::int64_t plane = static_cast<std::int64_t>(codes.size()) / conv.outputs;
    CHECK(*std::max_element(codes.begin() + channel * plane,
                            codes.begin() + (channel + 1) * plane) == bound);
    ++seen;
  }
  CHECK(seen == conv.outputs);
}
