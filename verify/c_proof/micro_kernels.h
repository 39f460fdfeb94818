// What the functions of intrt/micro do. Generated C takes in their texts word for word, and the
// proof goes by what is said here; tests/intrt/micro_test.cpp shows that the texts do it.
#pragma once

#include <cstdint>
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
  int from_alignment = 1;
};

// sums[p] += the products of positions[p] and a number of weights, both of `lanes` lanes, for
// p < count. Parameters: sums, positions, weight. Obligations: no sum leaves 32 bits; the lanes of
// positions are codes, those of the weight are numbers.
struct LaneProducts {
  int count = 1, lanes = 2;
};

// Sums of products: for i < outputs, sums[sum(i)] = start[start(i)] + the products of its taps,
// codes[product(t, i).code] * weights[product(t, i).weight]. The first two parameters are sums and
// start. Obligations: what the header says of the arguments; no sum leaves 32 bits, in any order;
// the codes are codes; the weights are a constant array; sums lie in nothing that is read.
struct Dot {
  struct Shape {
    Int outputs = 0, taps = 0;
    // Where chunks of taps end; those of each chunk are summed in chunk_bits, which they must fit.
    std::vector<Int> chunk_ends;
    // Sums, starts and weights of so many outputs are accessed, if that is more; those sums have no
    // value then.
    Int accessed = 0;
  };
  struct Product {
    Int code = 0, weight = 0;  // elements of both arrays
  };
  // Of the arguments (0 for a pointer), and of the numbers of `lengths`, where there are some.
  // Nothing where they are not as the header says.
  std::optional<Shape> (*shape)(const std::vector<Int>& arguments,
                                const std::vector<Int>& lengths) = nullptr;
  Product (*product)(const std::vector<Int>& arguments, Int tap, Int output) = nullptr;
  Int (*start)(Int output) = nullptr;
  Int (*sum)(Int output) = nullptr;
  int codes = 2, weights = 3;  // parameters
  bool reads_around = false;   // a code whose weight is 0 may be anything that lies in memory
  bool is_in_place = false;    // start may be sums
  int lengths = -1;            // parameter: a constant array; the next one says of how many numbers
  int lanes = 1;               // more than 1: lane i % lanes of a number is the code of output i
  int alignment = 1;           // of codes and weights, in bytes
  int chunk_bits = 16;
  // Not 0: a number of the weights is a + 2^weight_bits * b, both of so many bits: the weight a of
  // even outputs and b of odd ones.
  int weight_bits = 0;
  // Not 0: a weight is a + 256 * b, where b is so many numbers behind a.
  Int high_byte = 0;
};

// out[i] = multiplier a * a[i] + multiplier b * b[i] with steps behind it, for i < count.
// Parameters: out, a, b, count, and others. Obligations: what the header says of the arguments;
// products and sums lie in `range`; out is a or b, or has nothing in common with it.
struct Map {
  struct Form {
    Int multiplier_a = 1, multiplier_b = 1;
    Range range{INT32_MIN, INT32_MAX};
    std::vector<Step> steps;
  };
  // Nothing where the arguments are not as the header says.
  std::optional<Form> (*form)(const std::vector<Int>& arguments) = nullptr;
};

// out[to] = a step of sums[sum]. The first parameter is out. Obligations: what the header says of
// the arguments; out has nothing in common with the sums.
struct Finish {
  struct Code {
    Int to = 0, sum = 0;
    Step step;
  };
  // Of the arguments and of the constants. Nothing where they are not as the header says.
  std::optional<std::vector<Code>> (*codes)(const std::vector<Int>& arguments,
                                            const std::vector<Int>& constants) = nullptr;
  int sums = 1, constants = 2;            // parameters: the latter a constant array
  Int sum_count = 0, constant_count = 0;  // so many are accessed, and all sums of the codes
};

// out[i] = 0 where bit i % 8 of mask[i / 8] is 0, for i < count. Parameters: out, mask, count.
// Obligations: the mask is a constant array; count >= 0.
struct Keep {};

// sums[positions * c + p] = start[c] + the products of channel c and position p, whose weights are
// listed in a constant array: weight * 65536 + 4 * word, whose codes are `positions` lanes of two
// each from panel[word] on; behind each chunk a 0, behind the last one of a channel the number of
// its chunks; a channel without weights is a 0. Parameters: sums, start, channels, panel, the list.
// Obligations: the list is such a one; a chunk's sums fit 16 bits; no sum leaves 32 bits, in any
// order; the codes are codes; sums lie in nothing that is read.
// With `codes`: out[step * p + c] = such a sum that starts at constants[3 * c], times multiplier
// constants[3 * c + 1], divided by 2^32, plus addend constants[3 * c + 2], clamped to lo .. hi.
// Parameters: out, constants, channels, panel, the list, step, lo, hi. Obligations besides: the
// constants are a constant array; |addend| <= 2^30; step >= channels; lo and hi are codes.
struct ListedProducts {
  Int positions = 0;
  bool codes = false;
};

// Of an int8_t.
inline bool is_code_range(Int lo, Int hi) { return lo >= INT8_MIN && lo <= hi && hi <= INT8_MAX; }

struct MicroKernel {
  std::string_view name;
  std::vector<Type> parameters;
  std::variant<Placing, Dot, LaneProducts, ListedProducts, Map, Finish, Keep> meaning;
};

struct MicroHeader {
  std::string_view text;
  std::vector<MicroKernel> kernels;
  std::vector<std::string_view> words;  // its macros that mean nothing, for generated C
};

// In the order in which generated C takes them in.
const std::vector<MicroHeader>& micro_headers();

}  // namespace lockstep::c_proof
