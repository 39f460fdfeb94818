// NumPy's .npy files. The element types that Lockstep reads and writes, C order, little endian.
#pragma once

#include <cstdint>
#include <filesystem>
#include <variant>
#include <vector>

namespace lockstep {

// Row-major elements of one array. size() of `values` is the product of `shape`.
template <typename T>
struct NpyArray {
  std::vector<std::int64_t> shape;
  std::vector<T> values;
};

// What a file held: float64 and float16 are not accepted; uint8, int8, int16, int32 and int64 all
// come back as int64 codes, float32 as float32.
using AnyNpyArray = std::variant<NpyArray<std::int64_t>, NpyArray<float>>;

// InputError names the path for a missing, truncated, oversized, Fortran-order, big-endian or
// otherwise unsupported file.
AnyNpyArray read_npy(const std::filesystem::path& path);

// Atomic, see files.h.
void write_npy(const std::filesystem::path& path, const NpyArray<std::int32_t>& array);
void write_npy(const std::filesystem::path& path, const NpyArray<float>& array);

}  // namespace lockstep
