// Generated C compiles without a warning, is free of undefined behaviour, and computes the codes of
// the IR at every visible tensor: with gcc at -O0 and -O3, and with clang at -O2 under its
// sanitizers.
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/compile/random_network.h"
#include "tests/support/golden_net.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr const char* kWarnings =
    "-std=c99 -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes "
    "-pedantic -Werror ";
constexpr const char* kCompilers[] = {
    "gcc -O0 ",
    "gcc -O3 ",
    "clang -O2 -fsanitize=address,undefined -fno-sanitize-recover=all ",
};

// Writes each observed tensor to stdout: its index, then its bytes.
constexpr const char* kObserver = R"(
#include <stdio.h>
#include <stdlib.h>
#include "PREFIX.h"
static void observe(unsigned tensor, const void *data) {
  const PREFIX_tensor *t = &PREFIX_tensors[tensor];
  const size_t size = (size_t)1 << (t->type - 1);
  fwrite(&tensor, sizeof tensor, 1, stdout);
  fwrite(data, size, (size_t)t->channels * t->height * t->width, stdout);
}
#define LOCKSTEP_OBSERVE(tensor, data) observe(tensor, data)
#include "PREFIX.c"
int main(void) {
  /* Of exactly the declared size, so that the sanitizer sees one byte too many. */
  unsigned char *arena = (unsigned char *)aligned_alloc(16, PREFIX_ARENA_BYTES);
  unsigned i;
  for (;;) {
    for (i = 0; i < UPPER_INPUT_COUNT; ++i) {
      const PREFIX_tensor *t = &PREFIX_tensors[PREFIX_inputs[i]];
      const size_t count = (size_t)t->channels * t->height * t->width;
      if (fread(arena + t->arena_offset, (size_t)1 << (t->type - 1), count, stdin) != count) {
        free(arena);
        return 0;
      }
    }
    PREFIX_run(arena);
  }
}
)";

std::string replaced(std::string text, std::string_view word, std::string_view by) {
  for (std::size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + by.size()))
    text.replace(at, word.size(), by);
  return text;
}

// A folder of its own, gone afterwards.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "lockstep-c-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

void run(const fs::path& folder, const std::string& command) {
  CAPTURE(command);
  const int status =
      std::system(("cd " + folder.string() + " && " + command + " 2>errors").c_str());
  std::string errors;
  if (status != 0) errors = read_text_file(folder / "errors");
  CHECK_MESSAGE(status == 0, errors);
}

void append(std::vector<std::byte>& bytes, const ir::Value& value,
            const std::vector<std::int64_t>& codes) {
  for (std::int64_t i = 0; i < value.shape.count(); ++i) {
    const std::int64_t code = codes[static_cast<std::size_t>(ir::logical_index(value.shape, i))];
    const auto* first = reinterpret_cast<const std::byte*>(&code);  // little endian
    bytes.insert(bytes.end(), first, first + value.element_bytes());
  }
}

// What the observer prints for one sample.
std::vector<std::byte> expected_observations(const ir::Program& program,
                                             const std::vector<std::vector<std::int64_t>>& inputs) {
  const auto codes = ir::evaluate(program, inputs);
  std::vector<std::byte> bytes;
  const auto observe = [&](ir::ValueId id) {
    const auto index = static_cast<std::uint32_t>(id);
    const auto* first = reinterpret_cast<const std::byte*>(&index);
    bytes.insert(bytes.end(), first, first + sizeof index);
    append(bytes, program.values[id], codes[id]);
  };
  for (const ir::ValueId id : program.inputs) observe(id);
  for (const ir::Op& op : program.ops) observe(op.output);
  return bytes;
}

void check_c(const Compiled& compiled, const std::string& prefix,
             const std::vector<std::vector<std::vector<std::int64_t>>>& samples) {
  const Folder folder;
  for (const CSourceFile& file : emit_c(compiled, {.prefix = prefix}))
    write_file_atomically(folder.path() / file.name, file.text);
  std::string upper = prefix;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  std::string observer = replaced(kObserver, "PREFIX_ARENA", upper + "_ARENA");
  observer = replaced(replaced(std::move(observer), "UPPER", upper), "PREFIX", prefix);
  write_file_atomically(folder.path() / "observer.c", observer);

  std::vector<std::byte> input, expected;
  for (const auto& sample : samples) {
    for (std::size_t i = 0; i < sample.size(); ++i)
      append(input, compiled.program.values[compiled.program.inputs[i]], sample[i]);
    const auto observed = expected_observations(compiled.program, sample);
    expected.insert(expected.end(), observed.begin(), observed.end());
  }
  write_file_atomically(folder.path() / "input", input);

  for (const std::string compiler : kCompilers) {
    CAPTURE(compiler);
    run(folder.path(), compiler + kWarnings + "-DLOCKSTEP_SELFTEST_MAIN " + prefix + ".c " +
                           prefix + "_selftest.c -o selftest");
    run(folder.path(), "./selftest > selftest.out");
    CHECK(read_text_file(folder.path() / "selftest.out") == prefix + ": self test passed\n");
    run(folder.path(), compiler + "-std=c11 observer.c -o observer");
    run(folder.path(), "./observer < input > output");
    CHECK(read_file(folder.path() / "output") == expected);
  }
}

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
    check_c(compiled, "net", samples);
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
  check_c(compiled, "lenet", samples);
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
