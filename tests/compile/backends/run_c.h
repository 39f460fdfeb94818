// Compiles and runs generated C, and compares every tensor with ir::evaluate: with gcc at -O0 and
// -O3, with clang at -O2, and at -O0 under its sanitizers, which takes the least time to compile.
// Once with each compiler its self test runs.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "compile/ir/ir.h"
#include "compile/support/files.h"

namespace lockstep::test {

namespace fs = std::filesystem;

inline constexpr const char* kWarnings =
    "-std=c99 -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes "
    "-pedantic -Werror ";
struct Compiler {
  std::string command;
  bool self_test;  // is compiled and run, too, with all warnings
};
inline const Compiler kCompilers[] = {
    {"gcc -O0 ", false},
    {"gcc -O3 ", true},
    {"clang -O2 ", false},
    {"clang -O0 -fsanitize=address,undefined -fno-sanitize-recover=all ", true},
};

// Writes each observed tensor to stdout: its index, then its bytes.
inline constexpr const char* kObserver = R"(
#include <stdio.h>
#include <stdlib.h>
#include "PREFIX.h"
static size_t element_bytes(const PREFIX_tensor *t) {
  return t->type == 2 ? 2u : t->type == 3 ? 4u : 1u;
}
static void observe(unsigned tensor, const void *data) {
  const PREFIX_tensor *t = &PREFIX_tensors[tensor];
  fwrite(&tensor, sizeof tensor, 1, stdout);
  fwrite(data, element_bytes(t), (size_t)t->channels * t->height * t->width, stdout);
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
      if (fread(arena + t->arena_offset, element_bytes(t), count, stdin) != count) {
        free(arena);
        return 0;
      }
    }
    PREFIX_run(arena);
  }
}
)";

inline std::string replaced(std::string text, std::string_view word, std::string_view by) {
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

inline void run(const fs::path& folder, const std::string& command) {
  CAPTURE(command);
  const int status =
      std::system(("cd " + folder.string() + " && " + command + " 2>errors").c_str());
  std::string errors;
  if (status != 0) errors = read_text_file(folder / "errors");
  CHECK_MESSAGE(status == 0, errors);
}

inline void append(std::vector<std::byte>& bytes, const ir::Value& value,
                   const std::vector<std::int64_t>& codes) {
  for (std::int64_t i = 0; i < value.shape.count(); ++i) {
    const std::int64_t code = codes[static_cast<std::size_t>(ir::logical_index(value.shape, i))];
    const auto* first = reinterpret_cast<const std::byte*>(&code);  // little endian
    bytes.insert(bytes.end(), first, first + value.element_bytes());
  }
}

// What the observer prints for one sample.
inline std::vector<std::byte> expected_observations(
    const ir::Program& program, const std::vector<std::vector<std::int64_t>>& inputs) {
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

// What differs between two streams of observations, for people.
inline std::string first_difference(const ir::Program& program, const std::vector<std::byte>& got,
                                    const std::vector<std::byte>& expected) {
  const std::size_t at = static_cast<std::size_t>(
      std::mismatch(expected.begin(), expected.end(), got.begin(), got.end()).first -
      expected.begin());
  std::size_t begin = 0;
  while (begin < expected.size()) {
    std::uint32_t id = 0;
    std::memcpy(&id, expected.data() + begin, sizeof id);
    const ir::Value& value = program.values.at(id);
    const auto end = begin + sizeof id + static_cast<std::size_t>(value.byte_count());
    if (at < end)
      return fmt::format("'{}', byte {} of {}; the program:\n{}", value.node,
                         at - begin - sizeof id, value.byte_count(), ir::to_text(program));
    begin = end;
  }
  return "more than expected";
}

// `files` are the three of `program`, as {name, text}. Every sample holds the codes of all inputs
// in (C,H,W) order.
template <typename Files>
void check_c(const ir::Program& program, const Files& files, const std::string& prefix,
             const std::vector<std::vector<std::vector<std::int64_t>>>& samples) {
  const Folder folder;
  for (const auto& file : files) write_file_atomically(folder.path() / file.name, file.text);
  std::string upper = prefix;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  std::string observer = replaced(kObserver, "PREFIX_ARENA", upper + "_ARENA");
  observer = replaced(replaced(std::move(observer), "UPPER", upper), "PREFIX", prefix);
  write_file_atomically(folder.path() / "observer.c", observer);

  std::vector<std::byte> input, expected;
  for (const auto& sample : samples) {
    for (std::size_t i = 0; i < sample.size(); ++i)
      append(input, program.values[program.inputs[i]], sample[i]);
    const auto observed = expected_observations(program, sample);
    expected.insert(expected.end(), observed.begin(), observed.end());
  }
  write_file_atomically(folder.path() / "input", input);

  for (const auto& [compiler, self_test] : kCompilers) {
    CAPTURE(compiler);
    if (self_test) {
      run(folder.path(), compiler + kWarnings + "-DLOCKSTEP_SELFTEST_MAIN " + prefix + ".c " +
                             prefix + "_selftest.c -o selftest");
      run(folder.path(), "./selftest > selftest.out");
      CHECK(read_text_file(folder.path() / "selftest.out") == prefix + ": self test passed\n");
    }
    run(folder.path(), compiler + "-std=c11 observer.c -o observer");
    run(folder.path(), "./observer < input > output");
    const std::vector<std::byte> output = read_file(folder.path() / "output");
    const bool same = output == expected;
    CHECK_MESSAGE(same, first_difference(program, output, expected));
  }
}

}  // namespace lockstep::test
