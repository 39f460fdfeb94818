// A plan as C source: its bytes are the plan's, and a program made of it has the kernels that the
// plan needs and no others.
#include <doctest/doctest.h>

#include <charconv>
#include <set>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "intrt/intrt.h"
#include "tests/compile/backends/run_c.h"
#include "tests/support/golden_net.h"
#include "tests/support/input_error.h"

namespace lockstep {
namespace {

Compiled compiled_net(const std::string& name) {
  const test::GoldenNet net = test::read_golden_net(name);
  return compile_network(net.variants.at(0).graph,
                         read_state_dict(net.folder / "state_dict.safetensors"), {});
}

// The numbers behind `marker`, up to the brace.
std::vector<std::byte> array_in(const std::string& text, const std::string& marker) {
  const std::size_t begin = text.find(marker);
  REQUIRE(begin != std::string::npos);
  std::vector<std::byte> bytes;
  const char* at = text.data() + begin + marker.size();
  while (*at != '}') {
    unsigned number = 256;
    const std::from_chars_result parsed = std::from_chars(at, text.data() + text.size(), number);
    if (parsed.ec == std::errc()) {
      REQUIRE(number < 256);
      bytes.push_back(static_cast<std::byte>(number));
      at = parsed.ptr;
    } else {
      ++at;
    }
  }
  return bytes;
}

// The kernels that a program has, as its symbols say.
std::set<std::string> kernels_in(const std::string& symbols) {
  std::set<std::string> kernels;
  const std::string prefix = " intrt_kernel_";
  for (std::size_t at = symbols.find(prefix); at != std::string::npos;
       at = symbols.find(prefix, at + 1)) {
    const std::size_t begin = at + prefix.size();
    kernels.insert(symbols.substr(begin, symbols.find('\n', at) - begin));
  }
  kernels.erase("variant");  // functions, not kernels
  kernels.erase("variant_runs_here");
  return kernels;
}

// Prints the codes of the first output, for inputs that are all 1. With an argument, by the kernels
// that are the fastest here.
constexpr const char* kMain = R"(
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tiny_plan.h"
static uint8_t arena[TINY_PLAN_ARENA_BYTES] __attribute__((aligned(16)));
static intrt_status run(const intrt_plan *plan, int prepared) {
  size_t bytes;
  void *memory;
  if (!prepared) return intrt_run(plan, arena, sizeof arena, 0);
  bytes = intrt_prepared_bytes(plan, 0);
  memory = aligned_alloc(INTRT_PREPARED_ALIGNMENT, bytes);
  if (intrt_prepare(plan, 0, memory, bytes) != INTRT_OK) return INTRT_ERROR_PREPARED;
  return intrt_run_prepared(plan, memory, arena, sizeof arena, 0);
}
int main(int argc, char **argv) {
  intrt_plan plan;
  intrt_tensor info;
  uint32_t i;
  if (intrt_open_with(&plan, tiny_plan, TINY_PLAN_BYTES, tiny_plan_kernels, 0) != INTRT_OK) return 1;
  info = intrt_tensor_info(&plan, intrt_input(&plan, 0));
  if (info.element_bytes != 1u) return 2;
  memset(intrt_tensor_data(&plan, arena, intrt_input(&plan, 0)), 1, info.element_count);
  (void)argv;
  if (run(&plan, argc > 1) != INTRT_OK) return 3;
  info = intrt_tensor_info(&plan, intrt_output(&plan, 0));
  for (i = 0; i < info.element_count; ++i) {
    const void *data = intrt_tensor_data(&plan, arena, intrt_output(&plan, 0));
    printf("%ld ", info.element_bytes == 4u   ? (long)((const int32_t *)data)[i]
                   : info.element_bytes == 2u ? (long)((const int16_t *)data)[i]
                                              : (long)((const int8_t *)data)[i]);
  }
  return 0;
}
)";

TEST_CASE("the array holds the plan, and the same plan gives the same files") {
  const Compiled compiled = compiled_net("bias12");
  const std::vector<CSourceFile> files = emit_plan_c(compiled, "tiny");
  REQUIRE(files.size() == 2);
  CHECK(files[0].name == "tiny_plan.h");
  CHECK(files[1].name == "tiny_plan.c");
  CHECK(array_in(files[1].text, "tiny_plan[TINY_PLAN_BYTES] = {") == compiled.plan);
  const std::vector<CSourceFile> again = emit_plan_c(compiled, "tiny");
  CHECK(again[0].text == files[0].text);
  CHECK(again[1].text == files[1].text);
  const std::string arena =
      fmt::format("#define TINY_PLAN_ARENA_BYTES {}u\n", compiled.arena_bytes);
  CHECK(files[0].text.find(arena) != std::string::npos);
}

TEST_CASE("a prefix that is no identifier is refused") {
  const Compiled compiled = compiled_net("bias12");
  const std::string error = test::input_error_of([&] { emit_plan_c(compiled, "2net"); });
  CHECK(error.find("2net") != std::string::npos);
}

TEST_CASE("a program with the plan computes its output, and links its kernels alone") {
  for (const char* const name : {"bias12", "residual_add", "depthwise", "lenet_pt_bias20"}) {
    INFO(name);
    const Compiled compiled = compiled_net(name);
    const test::Folder folder;
    for (const CSourceFile& file : emit_plan_c(compiled, "tiny"))
      write_file_atomically(folder.path() / file.name, file.text);
    write_file_atomically(folder.path() / "main.c", std::string_view(kMain));

    const ir::Value& input = compiled.program.values[compiled.program.inputs.at(0)];
    const std::vector<std::int64_t> ones(static_cast<std::size_t>(input.shape.count()), 1);
    const auto codes = ir::evaluate(compiled.program, {ones});
    const ir::ValueId output = compiled.program.outputs.at(0);
    const ir::Value& value = compiled.program.values[output];
    std::string expected;
    for (std::int64_t i = 0; i < value.shape.count(); ++i)
      expected += fmt::format(
          "{} ", codes[output][static_cast<std::size_t>(ir::logical_index(value.shape, i))]);

    std::set<std::string> needed;
    intrt_plan plan;
    REQUIRE(intrt_open(&plan, compiled.plan.data(), compiled.plan.size(), nullptr) == INTRT_OK);
    for (std::uint32_t op = 0; op < intrt_op_count(&plan); ++op)
      needed.insert(intrt_op_kernel(&plan, op));

    const std::string includes = std::string("-I") + LOCKSTEP_INTRT_INCLUDE + " ";
    for (const std::string compiler :
         {"gcc -std=c99 ", "clang -std=c11 ", "g++ -x c++ -std=c++17 "}) {
      CAPTURE(compiler);
      test::run(folder.path(), compiler + "-Wall -Wextra -Wconversion -Wshadow -pedantic -Werror " +
                                   includes + "-c tiny_plan.c -o plan.o");
      test::run(folder.path(), "gcc " + includes + "main.c plan.o " + LOCKSTEP_INTRT_LIBRARY +
                                   " -Wl,--gc-sections -o program");
      test::run(folder.path(), "./program > output");
      CHECK(read_text_file(folder.path() / "output") == expected);
      test::run(folder.path(), "./program prepared > output");
      CHECK(read_text_file(folder.path() / "output") == expected);
      test::run(folder.path(), "nm program > symbols");
      const std::string symbols = read_text_file(folder.path() / "symbols");
      CHECK(kernels_in(symbols) == needed);
      CHECK(symbols.find(" intrt_open\n") == std::string::npos);
    }
  }
}

}  // namespace
}  // namespace lockstep
