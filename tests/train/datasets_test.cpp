// The readers of data sets: what they make of good files, and that they name what is wrong with bad
// ones.
#include <doctest/doctest.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "compile/support/npy.h"
#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"
#include "train/datasets/dataset.h"

using lockstep::GraphInput;
using lockstep::datasets::Dataset;
using lockstep::datasets::load_dataset;
using lockstep::datasets::open_test_part;
using lockstep::test::contains;
using lockstep::test::input_error_of;
using lockstep::test::TemporaryFolder;

namespace {

namespace fs = std::filesystem;

const GraphInput kInput{.name = "input", .shape = {1, 2, 3}, .bits = 8, .decimal = 7};

std::string word(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((value >> shift) & 255);
  return bytes;
}

// `count` images of 2 x 3 bytes: 0, 1, 2, ...
std::string image_bytes(std::uint32_t count) {
  std::string bytes = word(0x803) + word(count) + word(2) + word(3);
  for (std::uint32_t i = 0; i < count * 6; ++i) bytes += static_cast<char>(i * 7 & 255);
  return bytes;
}

std::string label_bytes(const std::string& labels) {
  return word(0x801) + word(static_cast<std::uint32_t>(labels.size())) + labels;
}

void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write_gzip(const fs::path& path, const std::string& bytes) {
  const gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size())) ==
          static_cast<int>(bytes.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

// A good folder: 3 training and 2 test images.
void fill(const fs::path& folder) {
  write(folder / "train-images-idx3-ubyte", image_bytes(3));
  write(folder / "train-labels-idx1-ubyte", label_bytes(std::string("\0\1\2", 3)));
  write_gzip(folder / "t10k-images-idx3-ubyte.gz", image_bytes(2));
  write_gzip(folder / "t10k-labels-idx1-ubyte.gz", label_bytes(std::string("\2\0", 2)));
}

std::string idx_error(const TemporaryFolder& folder, std::int64_t classes = 0) {
  return input_error_of(
      [&] { load_dataset("idx:" + folder.path().string(), kInput, {.classes = classes}); });
}

// What load_dataset says after `file` in a good folder was replaced by `bytes`.
std::string error_with(const std::string& file, const std::string& bytes) {
  const TemporaryFolder folder;
  fill(folder.path());
  fs::remove(folder / (file + ".gz"));
  write(folder / file, bytes);
  return idx_error(folder);
}

}  // namespace

TEST_CASE("idx: pixel p becomes the code p - 128 at 8 bits and decimal 7, gzip or not") {
  const TemporaryFolder folder;
  fill(folder.path());
  const Dataset data = load_dataset("idx:" + folder.path().string(), kInput, {});
  CHECK(data.shape == kInput.shape);
  CHECK(data.classes == 3);
  CHECK(data.train.labels == std::vector<std::int32_t>{0, 1, 2});
  CHECK(data.test.labels == std::vector<std::int32_t>{2, 0});
  REQUIRE(data.train.codes.size() == 18);
  REQUIRE(data.test.codes.size() == 12);
  for (std::size_t i = 0; i < data.train.codes.size(); ++i)
    CHECK(data.train.codes[i] == static_cast<int>(i * 7 & 255) - 128);
  CHECK(std::equal(data.test.codes.begin(), data.test.codes.end(), data.train.codes.begin()));
}

TEST_CASE("idx: a stream has the images of the test part, in whatever order they are asked for") {
  const TemporaryFolder folder;
  constexpr std::uint32_t kCount = 30'000;  // more than fits into the pieces that it is read in
  fill(folder.path());
  fs::remove(folder / "t10k-images-idx3-ubyte.gz");
  for (const bool gzip : {false, true}) {
    const fs::path images = folder / (std::string("t10k-images-idx3-ubyte") + (gzip ? ".gz" : ""));
    gzip ? write_gzip(images, image_bytes(kCount)) : write(images, image_bytes(kCount));
    write_gzip(folder / "t10k-labels-idx1-ubyte.gz", label_bytes(std::string(kCount, '\1')));
    const std::string source = "idx:" + folder.path().string();
    const auto whole = load_dataset(source, kInput, {}).test.codes;
    const auto stream = open_test_part(source, kInput, {});
    REQUIRE(stream->count() == kCount);
    CHECK(stream->labels().back() == 1);
    for (const auto& [first, count] :
         {std::pair(0, 3), {3, 7000}, {29'000, 1000}, {5, 1}, {6, 20'000}}) {
      const std::vector<std::int16_t> codes = stream->take(first, count);
      REQUIRE(std::ssize(codes) == count * 6);
      CHECK(std::equal(codes.begin(), codes.end(), whole.begin() + first * 6));
    }
    write(images, image_bytes(5));
    CHECK(contains(input_error_of([&] { stream->take(0, 10); }), "truncated"));
    fs::remove(images);
    CHECK(contains(input_error_of([&] { stream->take(0, 10); }), images.string()));
  }
}

TEST_CASE("idx: other input formats follow Q with rounding toward zero") {
  const TemporaryFolder folder;
  std::string bytes = word(0x803) + word(1) + word(2) + word(3);
  for (const int p : {0, 127, 128, 129, 131, 255}) bytes += static_cast<char>(p);
  for (const char* const part : {"train", "t10k"}) {
    write(folder / (std::string(part) + "-images-idx3-ubyte"), bytes);
    write(folder / (std::string(part) + "-labels-idx1-ubyte"), label_bytes("\1"));
  }
  const auto codes = [&](std::int64_t bits, std::int64_t decimal) {
    GraphInput input = kInput;
    input.bits = bits;
    input.decimal = decimal;
    return load_dataset("idx:" + folder.path().string(), input, {}).test.codes;
  };
  CHECK(codes(8, 6) == std::vector<std::int16_t>{-64, 0, 0, 0, 1, 63});
  CHECK(codes(12, 9) == std::vector<std::int16_t>{-512, -4, 0, 4, 12, 508});
  CHECK(codes(4, 7) == std::vector<std::int16_t>{-8, -1, 0, 1, 3, 7});
  CHECK(codes(8, -2) == std::vector<std::int16_t>{0, 0, 0, 0, 0, 0});
  CHECK(codes(16, 40) == std::vector<std::int16_t>{-32768, -32768, 0, 32767, 32767, 32767});
}

TEST_CASE(
    "a raw input gets bytes: those of idx as they are, whole numbers of npy, synthetic ones") {
  GraphInput input = kInput;
  input.bits = 6;
  input.decimal = 3;
  input.raw.emplace();
  const TemporaryFolder folder;
  fill(folder.path());
  const Dataset data = load_dataset("idx:" + folder.path().string(), input, {});
  REQUIRE(data.train.codes.size() == 18);
  for (std::size_t i = 0; i < 18; ++i) CHECK(data.train.codes[i] == static_cast<int>(i * 7 & 255));

  const std::string x = (folder / "x.npy").string(), y = (folder / "y.npy").string();
  lockstep::write_npy(y, lockstep::NpyArray<std::int32_t>{.shape = {2}, .values = {0, 1}});
  const auto images = [&](std::int32_t last) {
    std::vector<std::int32_t> values(12, 200);
    values.back() = last;
    lockstep::write_npy(x,
                        lockstep::NpyArray<std::int32_t>{.shape = {2, 1, 2, 3}, .values = values});
    return load_dataset("npy:" + x + "," + y, input, {}).test.codes;
  };
  CHECK(images(255) == std::vector<std::int16_t>{200, 200, 200, 200, 200, 255});
  for (const std::int32_t wrong : {-1, 256})
    CHECK(contains(input_error_of([&] { images(wrong); }), "takes bytes from 0 to 255"));

  input.shape = {2, 8, 8};
  const Dataset made = load_dataset("synthetic", input, {.seed = 5});
  const auto [lowest, highest] =
      std::minmax_element(made.train.codes.begin(), made.train.codes.end());
  CHECK(*lowest >= 0);
  CHECK(*lowest < 60);
  CHECK(*highest > 200);
  CHECK(*highest <= 255);
}

TEST_CASE("idx: test_only leaves the training files unread") {
  const TemporaryFolder folder;
  fill(folder.path());
  write(folder / "train-images-idx3-ubyte", "damaged");
  const Dataset data = load_dataset("idx:" + folder.path().string(), kInput, {.test_only = true});
  CHECK(data.train.count() == 0);
  CHECK(data.test.count() == 2);
}

TEST_CASE("idx: every kind of damage is named with its file") {
  const std::string images = "train-images-idx3-ubyte", labels = "t10k-labels-idx1-ubyte";
  const auto says = [](const std::string& message, const std::string& file,
                       const std::string& reason) {
    CAPTURE(message);
    CHECK(contains(message, file));
    CHECK(contains(message, reason));
  };
  says(error_with(images, word(0x801) + word(3)), images, "magic number 00000801");
  says(error_with(images, ""), images, "truncated");
  says(error_with(images, image_bytes(3).substr(0, 10)), images, "truncated");
  says(error_with(images, image_bytes(3).substr(0, 33)), images, "truncated");
  says(error_with(images, image_bytes(3) + "x"), images, "trailing bytes");
  says(error_with(images, word(0x803) + word(0) + word(2) + word(3)), images, "dimension 0 is 0");
  says(error_with(images, word(0x803) + word(~0u) + word(~0u) + word(~0u)), images, "4 GiB");
  says(error_with(images, word(0x803) + word(3) + word(3) + word(2)), images,
       "do not fit the input");
  says(error_with(labels, label_bytes("\1\2\3")), labels, "3 labels");
  says(error_with(labels, label_bytes(std::string("\1\2", 2)) + "y"), labels, "trailing bytes");
}

TEST_CASE("idx: damage inside gzip is named") {
  const std::string name = "t10k-images-idx3-ubyte.gz";
  const auto with = [&](const auto& change) {
    const TemporaryFolder folder;
    fill(folder.path());
    std::ifstream in(folder / name, std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(in)), {});
    change(bytes);
    write(folder / name, bytes);
    return idx_error(folder);
  };
  const std::string cut = with([](std::string& b) { b.resize(b.size() - 3); });
  CAPTURE(cut);
  CHECK(contains(cut, name));
  CHECK(contains(cut, "truncated"));
  const std::string longer = with([](std::string& b) { b += "garbage"; });
  CAPTURE(longer);
  CHECK(contains(longer, "trailing bytes after the gzip data"));
  const std::string flipped = with([](std::string& b) { b[b.size() - 6] ^= 1; });
  CAPTURE(flipped);
  CHECK(contains(flipped, "damaged gzip data"));
}

TEST_CASE("idx: a label outside the classes is named by its index") {
  const TemporaryFolder folder;
  fill(folder.path());
  CHECK(
      contains(idx_error(folder, 2), "train-labels-idx1-ubyte: label 2 is 2, allowed are 0 to 1"));
  CHECK(idx_error(folder, 3) == "(no error)");
}

TEST_CASE("a missing folder, a missing file and an unknown source are named") {
  const TemporaryFolder folder;
  CHECK(contains(idx_error(folder), "train-images-idx3-ubyte: not found"));
  const auto error = [](const std::string& source) {
    return input_error_of([&] { load_dataset(source, kInput, {}); });
  };
  CHECK(contains(error("idx:/does/not/exist"), "/does/not/exist: no such folder"));
  for (const char* const bad :
       {"", "mnist", "idx:", "npy:", "npy:a", "npy:a,", "npy:,b", "npy:a,b,c"})
    CHECK(contains(error(bad), "there are fashion-mnist, idx:DIR, npy:X.npy,Y.npy and synthetic"));
}

TEST_CASE("npy: float32 images are quantized, the last sixth is the test part") {
  const TemporaryFolder folder;
  lockstep::NpyArray<float> images{.shape = {12, 2, 3}, .values = std::vector<float>(72)};
  images.values[0] = 0.999f;
  images.values[1] = -5.0f;
  images.values[2] = -1.5f / 128;
  lockstep::NpyArray<std::int32_t> labels{.shape = {12}, .values = std::vector<std::int32_t>(12)};
  for (int i = 0; i < 12; ++i) labels.values[static_cast<std::size_t>(i)] = i;
  lockstep::write_npy(folder / "x.npy", images);
  lockstep::write_npy(folder / "y.npy", labels);
  const std::string source =
      "npy:" + (folder / "x.npy").string() + "," + (folder / "y.npy").string();
  const Dataset data = load_dataset(source, kInput, {});
  CHECK(data.train.count() == 10);
  CHECK(data.test.labels == std::vector<std::int32_t>{10, 11});
  CHECK(data.classes == 12);
  CHECK(data.train.codes[0] == 127);
  CHECK(data.train.codes[1] == -128);
  CHECK(data.train.codes[2] == -1);
  CHECK(load_dataset(source, kInput, {.test_only = true}).test.codes == data.test.codes);
}

TEST_CASE("npy: integer images are codes of the input, and each error names its file") {
  const TemporaryFolder folder;
  const std::string x = (folder / "x.npy").string(), y = (folder / "y.npy").string();
  const auto error = [&](std::vector<std::int64_t> shape, std::int32_t first,
                         const std::vector<std::int32_t>& labels) {
    std::int64_t count = 1;
    for (const std::int64_t size : shape) count *= size;
    lockstep::NpyArray<std::int32_t> images{
        .shape = shape,
        .values = std::vector<std::int32_t>(static_cast<std::size_t>(count), first)};
    lockstep::write_npy(x, images);
    lockstep::write_npy(
        y, lockstep::NpyArray<std::int32_t>{.shape = {static_cast<std::int64_t>(labels.size())},
                                            .values = labels});
    return input_error_of([&] { load_dataset("npy:" + x + "," + y, kInput, {.classes = 4}); });
  };
  CHECK(error({3, 1, 2, 3}, -128, {0, 1, 3}) == "(no error)");
  CHECK(contains(
      error({3, 1, 2, 3}, 128, {0, 1, 3}),
      x + ": element (0, 0, 0, 0) is 128, but input 'input' takes codes from -128 to 127"));
  CHECK(contains(error({3, 1, 2, 3}, 0, {0, 1, 4}), y + ": label 2 is 4, allowed are 0 to 3"));
  CHECK(contains(error({3, 1, 2, 3}, 0, {0, -1, 2}), y + ": label 1 is -1"));
  CHECK(contains(error({3, 1, 2, 3}, 0, {0, 1}), "2 labels, but"));
  CHECK(contains(error({3, 3, 2}, 0, {0, 1, 2}), x + ": images of shape [3, 2] do not fit"));
  CHECK(contains(error({1, 2, 3}, 0, {0}), x + ": 1 images"));
  constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  CHECK(contains(error({0, kHuge, kHuge}, 0, {}), x + ": "));
  CHECK(contains(error({0, 0, 3}, 0, {}), x + ": "));
}

TEST_CASE("synthetic data follow from the seed alone and stay inside the input's codes") {
  GraphInput input = kInput;
  input.shape = {2, 8, 8};
  input.bits = 4;
  const Dataset a = load_dataset("synthetic", input, {.seed = 5});
  const Dataset b = load_dataset("synthetic", input, {.test_only = true, .seed = 5});
  const Dataset c = load_dataset("synthetic", input, {.seed = 6});
  CHECK(a.classes == 10);
  CHECK(a.train.codes.size() == static_cast<std::size_t>(a.train.count() * 128));
  CHECK(a.test.codes == b.test.codes);
  CHECK(a.test.codes != c.test.codes);
  const auto [lowest, highest] = std::minmax_element(a.train.codes.begin(), a.train.codes.end());
  CHECK(*lowest >= -8);
  CHECK(*lowest < *highest);
  CHECK(*highest <= 7);
}
