#include "compile/support/npy.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "compile/support/files.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::TemporaryFolder;

namespace {

std::string npy(const std::string& header, const std::string& data, char major = 1) {
  std::string text = "\x93NUMPY";
  text +=
      {major, '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  if (major > 1) text += {'\0', '\0'};
  return text + header + data;
}

// The error of reading a file with these bytes; "(no error)" when it is read.
std::string error_of(const std::string& bytes) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "x.npy", bytes);
  return input_error_of([&] { read_npy(folder / "x.npy"); });
}

std::string header(const std::string& descr, const std::string& shape,
                   const std::string& fortran = "False") {
  return "{'descr': '" + descr + "', 'fortran_order': " + fortran + ", 'shape': " + shape + ", }\n";
}

}  // namespace

TEST_CASE("NumPy reads what write_npy writes, and write_npy's reader what NumPy writes") {
  const TemporaryFolder folder;
  write_npy(folder / "i.npy", NpyArray<std::int32_t>{{2, 3}, {-128, 127, 0, 1, 2, 3}});
  write_npy(folder / "f.npy", NpyArray<float>{{3}, {0.5F, -1.25F, 3.0F}});
  write_npy(folder / "scalar.npy", NpyArray<std::int32_t>{{}, {7}});
  write_npy(folder / "empty.npy", NpyArray<float>{{0, 4}, {}});
  const std::string script =
      "import numpy as np, os\nos.chdir('" + folder.path().string() + "')\n" +
      R"(a = np.load('i.npy'); assert a.dtype == np.int32 and a.tolist() == [[-128, 127, 0], [1, 2, 3]]
a = np.load('f.npy'); assert a.dtype == np.float32 and a.tolist() == [0.5, -1.25, 3.0]
a = np.load('scalar.npy'); assert a.shape == () and a == 7
assert np.load('empty.npy').shape == (0, 4)
for t in 'uint8 int8 int16 int32 int64 float32 float64 float16 complex64 bool'.split():
    np.save(t + '.npy', np.array([[0, 1, 2], [3, 4, 100]]).astype(t))
np.save('fortran.npy', np.asfortranarray(np.ones((2, 3), np.int32)))
np.save('big.npy', np.ones((2, 3), '>i4'))
np.save('object.npy', np.array([1, 'x'], object), allow_pickle=True)
np.save('structured.npy', np.zeros(2, [('a', '<i4')]))
open('v2.npy', 'wb').write(b'')
with open('v2.npy', 'wb') as f: np.lib.format.write_array(f, np.arange(3, dtype=np.int64), (2, 0))
)";
  write_file_atomically(folder / "script.py", script);
  REQUIRE(std::system(("/usr/bin/python3 " + (folder / "script.py").string()).c_str()) == 0);

  for (const std::string type : {"uint8", "int8", "int16", "int32", "int64"}) {
    CAPTURE(type);
    const AnyNpyArray any = read_npy(folder / (type + ".npy"));
    const auto* const array = std::get_if<NpyArray<std::int64_t>>(&any);
    REQUIRE(array != nullptr);
    CHECK(array->shape == std::vector<std::int64_t>{2, 3});
    CHECK(array->values == std::vector<std::int64_t>{0, 1, 2, 3, 4, 100});
  }
  const AnyNpyArray floats = read_npy(folder / "float32.npy");
  CHECK(std::get<NpyArray<float>>(floats).values == std::vector<float>{0, 1, 2, 3, 4, 100});
  const AnyNpyArray version2 = read_npy(folder / "v2.npy");
  CHECK(std::get<NpyArray<std::int64_t>>(version2).values == std::vector<std::int64_t>{0, 1, 2});

  const auto error = [&](const std::string& name) {
    return input_error_of([&] { read_npy(folder / (name + ".npy")); });
  };
  for (const std::string type : {"float64", "float16", "complex64", "bool", "big", "object"})
    CHECK_MESSAGE(contains(error(type), "element type"), error(type));
  CHECK(contains(error("fortran"), "Fortran order"));
  CHECK(contains(error("structured"), "structured element types"));
}

TEST_CASE("a hostile header is refused before anything is allocated") {
  CHECK(error_of(npy(header("<i4", "(2,)"), "12345678")) == "(no error)");
  CHECK(contains(error_of(npy(header("<i4", "(4611686018427387904,)"), "")), "too large"));
  CHECK(contains(error_of(npy(header("<i4", "(2305843009213693952,)"), "")), "bytes of data"));
  CHECK(contains(error_of(npy(header("|i1", "(4194305, 4194305, 211106198978564)"), "1234")),
                 "too large"));
  CHECK(contains(error_of(npy(header("<i4", "(99999999999999999999,)"), "")), "no dimension"));
  CHECK(contains(error_of(npy(header("<i4", "(-1,)"), "")), "no dimension"));
  CHECK(contains(error_of(npy(header("<i4", "(1"), "1234")), "no dimension"));
  CHECK(contains(error_of(npy(header("<i4", "(1)"), "1234")), "no tuple"));
  CHECK(contains(error_of(npy(header("<i4", "(1,, 2)"), "1234")), "no dimension"));
  CHECK(contains(error_of(npy(header("<i4", "[1]"), "1234")), "'(' expected"));
  CHECK(contains(error_of(npy(header("<i4", "(" + std::string(100, '1') + ",)"), "")),
                 "no dimension"));
  std::string many = "(";
  for (int i = 0; i < 33; ++i) many += "1, ";
  CHECK(contains(error_of(npy(header("<i4", many + ")"), "1234")), "more than 32"));
  CHECK(contains(error_of(npy(header("<i4", "(1,)", "Maybe"), "1234")), "neither True nor False"));
  CHECK(contains(error_of(npy("{'descr': '<i4', 'shape': (1,), }\n", "1234")), "lacks one of"));
  CHECK(contains(error_of(npy("{'descr': '<i4', 'descr': '<i4'}\n", "1234")), "repeated"));
  CHECK(contains(error_of(npy("{'descr': '<i4", "")), "unterminated"));
  CHECK(contains(error_of(npy(header("<i4", "(1,)") + "x", "1234")), "after the header"));
  CHECK(contains(error_of(npy("", "")), "'{' expected"));
}

TEST_CASE("every truncation of a .npy file is refused, and so is a byte too many") {
  for (const char major : {1, 2, 3}) {
    const std::string whole = npy(header("<i4", "(2,)"), "12345678", major);
    REQUIRE(error_of(whole) == "(no error)");
    for (std::size_t size = 0; size < whole.size(); ++size)
      CHECK_MESSAGE(error_of(whole.substr(0, size)) != "(no error)", size);
    CHECK(contains(error_of(whole + "9"), "needs 8 bytes of data, but the file has 9"));
  }
  CHECK(contains(error_of(npy(header("<i4", "(2,)"), "12345678", 4)), "version 4.0"));
}

TEST_CASE("every bit flip of a .npy header is refused or still a consistent file") {
  const TemporaryFolder folder;
  const std::string whole = npy(header("<i2", "(2, 2)"), "12345678");
  for (std::size_t bit = 0; bit < 8 * (whole.size() - 8); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_file_atomically(folder / "x.npy", flipped);
    try {
      const AnyNpyArray any = read_npy(folder / "x.npy");
      const bool is_consistent = std::visit(
          [](const auto& array) {
            std::int64_t count = 1;
            for (const std::int64_t dim : array.shape) count *= dim;
            return count == static_cast<std::int64_t>(array.values.size());
          },
          any);
      CHECK_MESSAGE(is_consistent, bit);
    } catch (const InputError&) {
    }
  }
}
