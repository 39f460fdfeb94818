// Labelled images as input codes of a graph. Training and verifying read the same data through
// here. Needs no LibTorch.
//
// A source is one of
//   fashion-mnist   Debian's package dataset-fashion-mnist
//   idx:DIR         a folder with the four files of the MNIST database, gzip or not
//   npy:X.npy,Y.npy float32 images, or integer codes of the graph's input; integer labels.
//                   The last sixth of the images (rounded down, at least one) is the test part.
//   synthetic       generated from the seed, learnable, of the input's shape
//
// A byte p of an IDX image means the real value (p - 128) / 128; real values become codes by Q with
// the input's bits and decimal, rounding toward zero. With bits 8 and decimal 7 the code is p -
// 128, exactly.
//
// Of a graph with a raw input the codes are its bytes, 0 to 255: those of IDX images as they are,
// and integers in .npy files.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compile/graph/graph.h"

namespace lockstep::datasets {

// Images one after another, each row-major in the input's shape; one label per image.
struct Images {
  std::vector<std::int16_t> codes;
  std::vector<std::int32_t> labels;
  std::int64_t count() const { return static_cast<std::int64_t>(labels.size()); }
};

struct Dataset {
  std::string source;
  std::vector<std::int64_t> shape;  // of one image: the graph input's
  std::int64_t classes = 0;         // labels are 0 .. classes-1
  Images train, test;
};

// Images that are read when they are asked for, so that many of them need no memory.
class ImageSource {
 public:
  virtual ~ImageSource() = default;
  virtual std::span<const std::int32_t> labels() const = 0;
  std::int64_t count() const { return std::ssize(labels()); }
  // Codes of the images [first, first + count). Going forward costs the least. InputError where the
  // file has changed since it was opened and does not hold them any more.
  virtual std::vector<std::int16_t> take(std::int64_t first, std::int64_t count) = 0;
};

struct LoadOptions {
  bool test_only = false;    // leave `train` empty, and its files unread where they are separate
  std::int64_t classes = 0;  // labels must be below; 0: whatever the data have (synthetic: 10)
  std::uint64_t seed = 1;    // of synthetic data
};

// InputError names the file and what is wrong with it: an unknown source, a missing, truncated or
// malformed file, an image that does not fit the input's shape, a code or label out of range.
Dataset load_dataset(const std::string& source, const GraphInput& input,
                     const LoadOptions& options);

// The test part alone: of IDX files as a stream, otherwise in memory. Errors as above.
std::unique_ptr<ImageSource> open_test_part(const std::string& source, const GraphInput& input,
                                            const LoadOptions& options);

// The parts, each for one kind of source.
Dataset load_idx(const std::string& folder, const GraphInput& input, const LoadOptions& options);
std::unique_ptr<ImageSource> open_idx_test_part(const std::string& folder, const GraphInput& input,
                                                const LoadOptions& options);
Dataset load_npy(const std::string& images, const std::string& labels, const GraphInput& input,
                 const LoadOptions& options);
Dataset generate_synthetic(const GraphInput& input, const LoadOptions& options);

}  // namespace lockstep::datasets
