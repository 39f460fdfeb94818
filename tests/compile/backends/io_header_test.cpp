// What PREFIX.h says in macros, and PREFIX_io.h: floats to codes and back, bit for bit as the
// project's own quantization, and working memory that does not compile where it is wrong.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/input_codes.h"
#include "tests/compile/backends/run_c.h"
#include "tests/compile/random_network.h"
#include "tests/support/golden_net.h"

namespace lockstep {
namespace {

using test::Folder;
using test::kWarnings;
using test::run;

// C++, too, and what compilers do to floats on request.
constexpr const char* kFloatCompilers[] = {
    "gcc -std=c99 -O0 ", "gcc -std=c11 -O3 -ffast-math ", "g++ -std=c++11 -x c++ -O2 ",
    "clang -std=c99 -O2 -fsanitize=address,undefined -fno-sanitize-recover=all ",
    "clang++ -std=c++17 -x c++ -O2 "};
constexpr const char* kFloatWarnings = "-Wall -Wextra -Wconversion -Wshadow -pedantic -Werror ";

const Graph& tiny_graph() {
  static const Graph graph = parse_graph(
      R"({"format":"lockstep-graph","version":1,"name":"n",
          "inputs":[{"name":"x","shape":[2,3,4],"bits":8,"decimal":5}],
          "nodes":[{"name":"r","op":"relu","inputs":["x"]}],"outputs":["r"]})",
      "tiny");
  return graph;
}

void write_files(const Folder& folder, const Compiled& compiled) {
  for (const CSourceFile& file : emit_c(compiled, {}))
    write_file_atomically(folder.path() / file.name, file.text);
}

template <typename T>
void append_bytes(std::vector<std::byte>& bytes, const std::vector<T>& values) {
  const auto data = std::as_bytes(std::span(values));
  bytes.insert(bytes.end(), data.begin(), data.end());
}

// Both zeros, what lies around every power of two, subnormal numbers, infinities, NaNs.
std::vector<float> corner_floats() {
  std::vector<float> floats;
  std::mt19937 random(1);
  const auto any = [&] { return static_cast<std::uint32_t>(random() & 0x7FFFFFU); };
  for (std::uint32_t exponent = 0; exponent < 256; ++exponent)
    for (const std::uint32_t significand :
         {0U, 1U, 0x400000U, 0x400001U, 0x7FFFFEU, 0x7FFFFFU, any(), any()})
      for (const std::uint32_t sign : {0U, 1U})
        floats.push_back(std::bit_cast<float>(sign << 31 | exponent << 23 | significand));
  return floats;
}

// What docs/generated-c.md says where the network's own quantization refuses a number.
std::int32_t beyond(float value, std::int32_t lowest, std::int32_t highest) {
  return std::isnan(value) ? 0 : value < 0 ? lowest : highest;
}

}  // namespace

TEST_CASE("floats become the codes that the project's own quantization gives, on any compiler") {
  const Folder folder;
  write_files(folder, compile_network(tiny_graph(), {}, {}));
  write_file_atomically(folder.path() / "driver.c", R"(#include <stdio.h>
#include "net_io.h"
int main(void) {
  int32_t numbers[2], code;
  float value;
  while (fread(numbers, sizeof numbers, 1, stdin) == 1 && fread(&value, sizeof value, 1, stdin) == 1) {
    const int32_t half = (int32_t)((uint32_t)1 << (numbers[1] - 1));
    code = net_quantize(value, numbers[0], -half, half - 1);
    fwrite(&code, sizeof code, 1, stdout);
  }
  return 0;
}
)");
  const std::vector<float> floats = corner_floats();
  std::vector<std::byte> input, expected;
  std::size_t defined = 0;
  for (const int decimal : {-64, -31, -8, -1, 0, 1, 5, 7, 15, 16, 31, 64})
    for (const int bits : {2, 8, 16}) {
      const std::int32_t half = 1 << (bits - 1);
      std::vector<float> inside;
      const auto is_inside = [&](float value) {
        return std::abs(std::ldexp(static_cast<double>(value), decimal)) < 0x1p31;
      };
      std::ranges::copy_if(floats, std::back_inserter(inside), is_inside);
      const NpyArray<float> array{{static_cast<std::int64_t>(inside.size())}, inside};
      const std::vector<std::int32_t> own =
          input_codes("floats", array, {.name = "x", .bits = bits, .decimals = {decimal}});
      defined += own.size();
      std::size_t next = 0;
      for (const float value : floats) {
        append_bytes(input, std::vector<std::int32_t>{decimal, bits});
        append_bytes(input, std::vector<float>{value});
        append_bytes(expected,
                     std::vector<std::int32_t>{is_inside(value) ? own[next++]
                                                                : beyond(value, -half, half - 1)});
      }
    }
  CHECK(defined > 50'000);
  write_file_atomically(folder.path() / "input", input);
  for (const std::string compiler : kFloatCompilers) {
    CAPTURE(compiler);
    run(folder.path(), compiler + kFloatWarnings + "driver.c -o driver");
    run(folder.path(), "./driver < input > output");
    const bool same = read_file(folder.path() / "output") == expected;
    CHECK(same);
  }
}

TEST_CASE("codes become the values that they stand for") {
  const Folder folder;
  write_files(folder, compile_network(tiny_graph(), {}, {}));
  write_file_atomically(folder.path() / "driver.c", R"(#include <stdio.h>
#include "net_io.h"
int main(void) {
  int32_t numbers[2];
  while (fread(numbers, sizeof numbers, 1, stdin) == 1) {
    const float value = net_dequantize(numbers[0], numbers[1]);
    fwrite(&value, sizeof value, 1, stdout);
  }
  return 0;
}
)");
  std::vector<std::byte> input, expected;
  for (int decimal = -128; decimal <= 127; ++decimal)
    for (const std::int32_t code :
         {0, 1, -1, 127, -128, 32767, -32768, 1 << 24, (1 << 24) + 1, -(1 << 24) - 3,
          std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()}) {
      append_bytes(input, std::vector<std::int32_t>{code, decimal});
      append_bytes(expected, std::vector<float>{std::ldexp(static_cast<float>(code), -decimal)});
    }
  write_file_atomically(folder.path() / "input", input);
  for (const std::string compiler : {"gcc -std=c99 -O0 ", "gcc -std=c99 -O3 ", "clang -O2 "}) {
    CAPTURE(compiler);
    run(folder.path(), compiler + kFloatWarnings + "driver.c -o driver");
    run(folder.path(), "./driver < input > output");
    const bool same = read_file(folder.path() / "output") == expected;
    CHECK(same);
  }
}

namespace {

// Reads the floats of all inputs; writes their codes, then the floats of all outputs.
constexpr const char* kWhole = R"(#include <stdio.h>
#include <stdlib.h>
#include "net_io.h"
NET_ARENA(arena);
NET_CHECK_ARENA(arena);
static uint32_t count_of(const net_tensor *t) { return t->channels * t->height * t->width; }
int main(void) {
  uint32_t i;
  for (i = 0; i < NET_INPUT_COUNT; ++i) {
    const net_tensor *const t = &net_tensors[net_inputs[i]];
    float *const values = (float *)malloc(count_of(t) * sizeof(float));
    if (fread(values, sizeof(float), count_of(t), stdin) != count_of(t)) return 1;
    net_set_input(arena, i, values);
    free(values);
  }
  fwrite(NET_INPUT(arena, 0), sizeof(NET_INPUT0_TYPE), NET_INPUT0_ELEMENTS, stdout);
  net_run(arena);
  for (i = 0; i < NET_OUTPUT_COUNT; ++i) {
    const net_tensor *const t = &net_tensors[net_outputs[i]];
    float *const values = (float *)malloc(count_of(t) * sizeof(float));
    net_get_output(arena, i, values);
    fwrite(values, sizeof(float), count_of(t), stdout);
    free(values);
  }
  if ((void *)NET_OUTPUT(arena, 0) != arena + net_tensors[net_outputs[0]].arena_offset) return 2;
  return 0;
}
)";

struct Seen {
  int offsets = 0, several_decimals = 0, raw = 0, accumulators = 0, two_bytes = 0;
};

void check_whole(const Compiled& compiled, Seen& seen) {
  const ir::Program& program = compiled.program;
  const Folder folder;
  write_files(folder, compiled);
  write_file_atomically(folder.path() / "driver.c", kWhole);
  std::mt19937 random(7);
  std::vector<std::byte> input, expected;
  std::vector<std::vector<std::int64_t>> all_codes;
  for (const ir::ValueId id : program.inputs) {
    const ir::Value& value = program.values[id];
    const auto count = static_cast<std::size_t>(value.shape.count());
    NpyArray<float> floats{{value.shape.count()}, {}};
    // A little beyond the range on both sides; of raw bytes the bytes.
    const float half = std::ldexp(1.3F, value.bits - 1 - value.decimals[0]);
    for (std::size_t i = 0; i < count; ++i)
      floats.values.push_back(value.bytes
                                  ? static_cast<float>(random() % 256)
                                  : half * (static_cast<float>(random() % 20001) / 1e4F - 1));
    append_bytes(input, floats.values);
    std::vector<std::int32_t> codes;
    if (value.bytes)
      codes.assign(floats.values.begin(), floats.values.end());
    else
      codes = input_codes("floats", floats,
                          {.name = "x", .bits = value.bits, .decimals = {value.decimals[0]}});
    std::vector<std::int64_t> logical(count);
    for (std::size_t i = 0; i < count; ++i)
      logical[static_cast<std::size_t>(
          ir::logical_index(value.shape, static_cast<std::int64_t>(i)))] = codes[i];
    if (all_codes.empty()) test::append(expected, value, logical);
    all_codes.push_back(logical);
    seen.raw += value.bytes ? 1 : 0;
    seen.two_bytes += value.element_bytes() == 2 ? 1 : 0;
  }
  const auto results = ir::evaluate(program, all_codes);
  for (const ir::ValueId id : program.outputs) {
    const ir::Value& value = program.values[id];
    std::vector<float> floats;
    for (std::int64_t i = 0; i < value.shape.count(); ++i) {
      const std::int64_t channel = i % value.shape.c;
      const std::int64_t code =
          results[id][static_cast<std::size_t>(ir::logical_index(value.shape, i))];
      float number = std::ldexp(static_cast<float>(code), -value.decimal(channel));
      if (!value.offsets.empty()) number += value.offsets[static_cast<std::size_t>(channel)];
      floats.push_back(number);
    }
    append_bytes(expected, floats);
    seen.offsets += value.offsets.empty() ? 0 : 1;
    seen.several_decimals += value.decimals.size() > 1 ? 1 : 0;
    seen.accumulators += value.element_bytes() == 4 ? 1 : 0;
  }
  write_file_atomically(folder.path() / "input", input);
  run(folder.path(),
      std::string("gcc -O2 -std=c99 ") + kFloatWarnings + "net.c driver.c -o driver");
  run(folder.path(), "./driver < input > output");
  const bool same = read_file(folder.path() / "output") == expected;
  CHECK(same);
}

}  // namespace

TEST_CASE("whole inputs and outputs in floats: every format of the recorded networks") {
  Seen seen;
  for (const std::string& name : test::golden_net_names()) {
    CAPTURE(name);
    const test::GoldenNet net = test::read_golden_net(name);
    Compiled compiled;
    try {
      compiled = compile_network(net.variants.at(0).graph,
                                 read_state_dict(net.folder / "state_dict.safetensors"), {});
    } catch (const InputError&) {
      continue;
    }
    if (compiled.program.inputs.size() == 1) check_whole(compiled, seen);
  }
  for (const char* const format :
       {R"("bits":8,"decimal":5,"raw":{})", R"("bits":16,"decimal":12)"}) {
    const std::string graph = std::string(R"({"format":"lockstep-graph","version":1,"name":"n",
        "inputs":[{"name":"x","shape":[2,3,4],)") +
                              format + R"(}],
        "nodes":[{"name":"r","op":"relu","inputs":["x"]}],"outputs":["r"]})";
    check_whole(compile_network(parse_graph(graph, "n"), {}, {}), seen);
  }
  CHECK(seen.offsets > 0);
  CHECK(seen.several_decimals > 0);
  CHECK(seen.raw > 0);
  CHECK(seen.accumulators > 0);
  CHECK(seen.two_bytes > 0);
}

TEST_CASE("working memory that is too small or not aligned does not compile") {
  const Folder folder;
  write_files(folder, compile_network(tiny_graph(), {}, {}));
  const auto compiles = [&](const std::string& compiler, const std::string& text) {
    write_file_atomically(folder.path() / "arena.c", "#include \"net_io.h\"\n" + text);
    return std::system(("cd " + folder.path().string() + " && " + compiler + kFloatWarnings +
                        "-c arena.c -o arena.o 2> errors")
                           .c_str()) == 0;
  };
  const std::string uses =
      "NET_CHECK_ARENA(memory);\nvoid *use(void);\nvoid *use(void) { return memory; }\n";
  for (const std::string compiler : kFloatCompilers) {
    CAPTURE(compiler);
    CHECK(compiles(compiler, "NET_ARENA(memory);\nNET_CHECK_ARENA(memory);\n" + uses));
    const std::string aligned = "static __attribute__((aligned(16))) uint8_t memory";
    CHECK(compiles(compiler, aligned + "[NET_ARENA_BYTES + 16];\n" + uses));
    for (const std::string& wrong : {aligned + "[NET_ARENA_BYTES - 16];\n",
                                     std::string("static uint8_t memory[NET_ARENA_BYTES];\n")}) {
      CHECK(!compiles(compiler, wrong + uses));
      CHECK(
          read_text_file(folder.path() / "errors").find("net_arena_is_too_small_or_not_aligned") !=
          std::string::npos);
    }
  }
}

TEST_CASE("the header's bytes of constants are those of the tables, for every core") {
  for (const char* const name :
       {"lenet_pt_bias20", "residual_add", "depthwise", "structured_masks"}) {
    const test::GoldenNet net = test::read_golden_net(name);
    const Compiled compiled = compile_network(
        net.variants.at(0).graph, read_state_dict(net.folder / "state_dict.safetensors"), {});
    for (const std::string& target : c_targets()) {
      CAPTURE(name);
      CAPTURE(target);
      const Folder folder;
      for (const CSourceFile& file : emit_c(compiled, {.prefix = "net", .target = target}))
        write_file_atomically(folder.path() / file.name, file.text);
      run(folder.path(),
          "gcc -O0 -c net.c && nm -S --defined-only net.o | "
          "awk '$3 == \"r\" || $3 == \"R\" || $3 == \"D\" || $3 == \"d\" "
          "{ if ($4 ~ /^net_/ && $4 != \"net_tensors\") print $2 }' > sizes && "
          "echo '#include \"net.h\"\nNET_CONSTANT_BYTES' | gcc -E -P - | tail -1 > stated");
      std::size_t sum = 0;
      const std::string sizes = read_text_file(folder.path() / "sizes");
      for (std::size_t at = 0; at < sizes.size(); at = sizes.find('\n', at) + 1)
        sum += std::stoull(sizes.substr(at), nullptr, 16);
      CHECK(fmt::format("{}u\n", sum) == read_text_file(folder.path() / "stated"));
    }
  }
}

}  // namespace lockstep
