// What the functions of intrt/micro do. Generated C takes in their texts word for word, and the
// proof goes by what is said here; tests/intrt/micro_test.cpp shows that the texts do it.
#pragma once

#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "verify/c_proof/values.h"

namespace lockstep::c_proof {

// Number `to` of the array that is written is a code, or 0.
struct Move {
  Int to = 0;
  int from = -1;    // parameter: where the codes are; -1: it is 0
  Int element = 0;  // of these
};

// Puts codes in another order, or several into one number. The first parameter is the array that is
// written. Obligations: what the header says of the arguments; no code lies in what is written.
struct Placing {
  // Of the arguments (0 for a pointer). Nothing where they are not as the header says.
  std::optional<std::vector<Move>> (*moves)(const std::vector<Int>& arguments) = nullptr;
  int lanes = 1;      // so many moves, one after the other, make one number: 16 bits for each
  int alignment = 1;  // of the array that is written, in bytes
};

// sums[i] = start[i / positions] + codes[code_place(t, i)] * weights[weight_place(t, i)] + ... over
// the taps t < count * taps_per_count, for i < outputs.
// Parameters: sums, start, codes, weights, count; where there are lanes: chunk.
// Obligations: count >= least_count; no sum leaves 32 bits, in any order; the codes are codes; the
// weights are a constant array; sums lie in nothing that is read.
struct Dot {
  Int outputs = 0, positions = 0;
  Int taps_per_count = 1, least_count = 0;
  Int (*code_place)(Int tap, Int output) = nullptr;
  Int (*weight_place)(Int tap, Int output) = nullptr;
  // More than 1: lane i % lanes of a number is the code. Then each `chunk` taps, chunk >= 1, are
  // summed in 16 bits, and must fit.
  int lanes = 1;
  int alignment = 1;  // of codes and weights, in bytes
};

// out[i] = a[i] + b[i] with steps behind it, for i < count.
// Parameters: out, a, b, count, and others. Obligations: what the header says of the arguments;
// out is a or b, or has nothing in common with it.
struct Map {
  // Nothing where the arguments are not as the header says.
  std::optional<std::vector<Step>> (*steps)(const std::vector<Int>& arguments) = nullptr;
};

struct MicroKernel {
  std::string_view name;
  std::vector<Type> parameters;
  std::variant<Placing, Dot, Map> meaning;
};

struct MicroHeader {
  std::string_view text;
  std::vector<MicroKernel> kernels;
  std::vector<std::string_view> words;  // its macros that mean nothing, for generated C
};

// In the order in which generated C takes them in.
const std::vector<MicroHeader>& micro_headers();

}  // namespace lockstep::c_proof
