// Generated C compiles without a warning, is free of undefined behaviour, and computes the codes of
// the IR at every visible tensor.
#include <doctest/doctest.h>

#include <set>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/compile/backends/run_c.h"
#include "tests/compile/random_network.h"
#include "tests/support/golden_net.h"

namespace lockstep {
namespace {

using test::check_c;
using test::Folder;
using test::run;

TEST_CASE("C of random networks computes the codes of the IR at every tensor") {
  int checked = 0;
  for (std::uint64_t seed = 1000; checked < 5; ++seed) {
    CAPTURE(seed);
    const test::Network network = test::random_network(seed);
    Compiled compiled;
    try {
      compiled = compile_network(network.graph, network.state,
                                 {.keep_layers = seed % 2 == 0, .after_pass = {}});
    } catch (const InputError&) {
      continue;
    }
    if (compiled.program.ops.size() < 5) continue;
    ++checked;
    std::vector<std::vector<std::vector<std::int64_t>>> samples;
    for (const int corner : {0, 1, 2})
      samples.push_back(test::input_codes(network.graph, seed, corner));
    samples.push_back(test::input_codes(network.graph, seed + 1, 0));
    check_c(compiled.program, emit_c(compiled, {}), "net", samples);
  }
}

TEST_CASE("C of a recorded network computes the codes of the IR at every tensor") {
  const test::GoldenNet net = test::read_golden_net("lenet_pt_bias20");
  const test::GoldenVariant& variant = net.variants.at(0);
  const StateDict state = read_state_dict(net.folder / "state_dict.safetensors");
  const Compiled compiled =
      compile_network(variant.graph, state, {.keep_layers = true, .after_pass = {}});
  std::vector<std::vector<std::vector<std::int64_t>>> samples;
  for (const int corner : {0, 1, 2}) samples.push_back(test::input_codes(variant.graph, 7, corner));
  check_c(compiled.program, emit_c(compiled, {.prefix = "lenet"}), "lenet", samples);
}

TEST_CASE("C for every core computes the codes of the IR, here too") {
  for (const char* const name : {"lenet_pt_bias20", "residual_add", "depthwise"}) {
    const test::GoldenNet net = test::read_golden_net(name);
    const test::GoldenVariant& variant = net.variants.at(0);
    const Compiled compiled =
        compile_network(variant.graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
    std::vector<std::vector<std::vector<std::int64_t>>> samples;
    for (const int corner : {0, 1, 2})
      samples.push_back(test::input_codes(variant.graph, 3, corner));
    std::set<std::string> different;  // cores that are alike get the same C
    for (const std::string& target : c_targets()) {
      CAPTURE(name);
      CAPTURE(target);
      const auto files = emit_c(compiled, {.prefix = "net", .target = target});
      std::string text;
      for (const auto& file : files) text += test::replaced(file.text, target, "");
      if (different.insert(text).second) check_c(compiled.program, files, "net", samples);
    }
  }
}

TEST_CASE("budgets choose smaller forms, or refuse") {
  const test::GoldenNet net = test::read_golden_net("lenet_pt_bias20");
  const Compiled compiled = compile_network(
      net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
  const auto flash = [](const CSources& sources) {
    std::int64_t bytes = 0;
    for (const CStrategyReport& row : sources.operators)
      bytes += row.taken.code_bytes + row.taken.constant_bytes;
    return bytes;
  };
  const auto instructions = [](const CSources& sources) {
    std::int64_t sum = 0;
    for (const CStrategyReport& row : sources.operators) sum += row.taken.instructions;
    return sum;
  };
  const CSources fast = emit_c_sources(compiled, {.prefix = "net", .target = "cortex-m4"});
  const std::int64_t budget = flash(fast) - 1;
  const CSources small =
      emit_c_sources(compiled, {.prefix = "net", .target = "cortex-m4", .flash_budget = budget});
  CHECK(flash(small) <= budget);
  CHECK(instructions(small) > instructions(fast));
  CHECK_THROWS_WITH_AS(
      emit_c(compiled, {.prefix = "net", .target = "cortex-m4", .flash_budget = 1000}),
      doctest::Contains("more than the flash budget of 1000"), InputError);
}

TEST_CASE("a RAM budget turns off what needs more than the plan's arena, or refuses") {
  const test::GoldenNet net = test::read_golden_net("bn_netpq");
  const Compiled compiled = compile_network(
      net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
  const auto emit = [&](std::optional<std::int64_t> budget) {
    return emit_c_sources(compiled, {.prefix = "net", .target = "cortex-m3", .ram_budget = budget});
  };
  CHECK(emit({}).arena_bytes > compiled.arena_bytes);
  CHECK(emit(compiled.arena_bytes).arena_bytes == compiled.arena_bytes);
  CHECK_THROWS_WITH_AS(emit(compiled.arena_bytes - 1),
                       doctest::Contains("more than the RAM budget of"), InputError);
}

TEST_CASE("an unknown core is refused, with those there are") {
  const test::Network network = test::random_network(1000);
  const Compiled compiled = compile_network(network.graph, network.state, {});
  CHECK_THROWS_WITH_AS(emit_c(compiled, {.prefix = "net", .target = "cortex-m9"}),
                       doctest::Contains("target 'cortex-m9': allowed are generic, cortex-m0"),
                       InputError);
}

TEST_CASE("the self test of generated C fails when a weight is another") {
  const test::GoldenNet net = test::read_golden_net("bias12");
  const Compiled compiled = compile_network(
      net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
  const Folder folder;
  for (CSourceFile file : emit_c(compiled, {})) {
    if (file.name == "net.c") {
      const std::size_t weights = file.text.find("_weight[");
      REQUIRE(weights != std::string::npos);
      const std::size_t first = file.text.find_first_of("123456789", file.text.find('{', weights));
      file.text[first] = file.text[first] == '1' ? '2' : '1';
    }
    write_file_atomically(folder.path() / file.name, file.text);
  }
  run(folder.path(), "gcc -DLOCKSTEP_SELFTEST_MAIN net.c net_selftest.c -o selftest");
  run(folder.path(), "if ./selftest > selftest.out; then false; fi");
  CHECK(read_text_file(folder.path() / "selftest.out")
            .starts_with("net: self test failed: output element "));
}

TEST_CASE("two networks with different prefixes link into one program") {
  const test::GoldenNet net = test::read_golden_net("bias12");
  const Compiled compiled = compile_network(
      net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
  const Folder folder;
  std::string sources = "both.c";
  for (const char* prefix : {"first", "second"})
    for (const CSourceFile& file : emit_c(compiled, {.prefix = prefix})) {
      write_file_atomically(folder.path() / file.name, file.text);
      if (file.name.ends_with(".c")) sources += " " + file.name;
    }
  write_file_atomically(folder.path() / "both.c", R"(#include <stdlib.h>
#include "first.h"
#include "second.h"
int main(void) { void *arena = malloc(FIRST_ARENA_BYTES); return first_selftest(arena) + second_selftest(arena); }
)");
  run(folder.path(), "gcc -std=c99 -Wall -Wextra -Werror " + sources + " -o both && ./both");
}

TEST_CASE("a prefix that is no C identifier is refused") {
  const test::Network network = test::random_network(1000);
  const Compiled compiled = compile_network(network.graph, network.state, {});
  for (const std::string prefix : {"", "9net", "my-net", "a b", "../x", "n\xC3\xA9t"})
    CHECK_THROWS_WITH_AS(emit_c(compiled, {.prefix = prefix}),
                         doctest::Contains("must be a C identifier"), InputError);
}

}  // namespace
}  // namespace lockstep
