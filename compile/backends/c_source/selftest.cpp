// Six cases: pseudo-random codes, all lowest codes, all highest codes, pseudo-random codes of these
// two, and two that drive the first sums to their ends. The inputs are made by a few lines of C
// from a bit for each element of the last two, so that little but the answers takes space;
// make_input states the same in C++.
#include "compile/backends/c_source/selftest.h"

#include <algorithm>

#include "compile/backends/c_source/aligned_input.h"
#include "compile/backends/c_source/c_text.h"
#include "compile/support/error.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr int kRandom = 0, kLowest = 1, kExtremes = 3, kAligned = 4, kCases = 6;
constexpr std::int64_t kMostBits = 8 * 2048;  // of the aligned input: 2 KiB
constexpr std::uint32_t kSeed = 2463534242;   // Marsaglia, Xorshift RNGs, 2003

// The cases that the program has: without aligned bits, no aligned ones.
int case_count(const std::vector<std::uint8_t>& aligned) {
  return aligned.empty() ? kAligned : kCases;
}

// The codes of one input in (H,W,C) order, as fill() in the C text makes them. `first`: how many
// elements the inputs before it have.
std::vector<std::int64_t> make_input(const Value& value, int which, std::size_t first,
                                     const std::vector<std::uint8_t>& aligned,
                                     std::uint32_t& state) {
  const Range limits = code_limits(value);
  std::vector<std::int64_t> codes(static_cast<std::size_t>(value.shape.count()));
  for (std::size_t i = 0; i < codes.size(); ++i) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (which == kRandom) {
      codes[i] =
          limits.lo + static_cast<std::int64_t>((state >> 8) % (std::uint32_t{1} << value.bits));
      continue;
    }
    const bool bit = first + i < aligned.size() && aligned[first + i] == 1;
    const bool highest = which < kExtremes    ? which > kLowest
                         : which == kExtremes ? (state >> 8) % 2 == 1
                                              : bit == (which == kAligned);
    codes[i] = highest ? limits.hi : limits.lo;
  }
  return codes;
}

std::vector<std::int64_t> reordered(const std::vector<std::int64_t>& codes, const Shape& shape,
                                    bool to_logical) {
  std::vector<std::int64_t> result(codes.size());
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const auto logical =
        static_cast<std::size_t>(logical_index(shape, static_cast<std::int64_t>(i)));
    (to_logical ? result[logical] : result[i]) = codes[to_logical ? i : logical];
  }
  return result;
}

// All outputs of all cases, one after the other, each in (H,W,C) order.
std::vector<std::int64_t> answers(const Program& program,
                                  const std::vector<std::uint8_t>& aligned) {
  std::vector<std::int64_t> result;
  std::uint32_t state = kSeed;
  for (int which = 0; which < case_count(aligned); ++which) {
    std::size_t first = 0;
    std::vector<std::vector<std::int64_t>> inputs;
    for (const ValueId id : program.inputs) {
      const Value& value = program.values[id];
      inputs.push_back(
          reordered(make_input(value, which, first, aligned, state), value.shape, true));
      first += inputs.back().size();
    }
    const auto codes = evaluate(program, inputs);
    for (const ValueId id : program.outputs) {
      const auto physical = reordered(codes[id], program.values[id].shape, false);
      result.insert(result.end(), physical.begin(), physical.end());
    }
  }
  return result;
}

// Eight bits a byte; one byte where there are none, since C has no empty arrays.
std::vector<std::int64_t> packed(const std::vector<std::uint8_t>& bits) {
  std::vector<std::int64_t> bytes(std::max<std::size_t>((bits.size() + 7) / 8, 1), 0);
  for (std::size_t i = 0; i < bits.size(); ++i) bytes[i / 8] |= std::int64_t{bits[i]} << (i % 8);
  return bytes;
}

constexpr std::string_view kBody = R"(
/* Element i of a tensor. */
static int32_t load(const PREFIX_tensor *tensor, const uint8_t *arena, uint32_t i) {
  const uint8_t *data = arena + tensor->arena_offset;
  if (tensor->type == 1) {
    int8_t code;
    memcpy(&code, data + i, sizeof code);
    return code;
  }
  if (tensor->type == 2) {
    int16_t code;
    memcpy(&code, data + 2 * (size_t)i, sizeof code);
    return code;
  }
  if (tensor->type == 4) return data[i];
  {
    int32_t code;
    memcpy(&code, data + 4 * (size_t)i, sizeof code);
    return code;
  }
}

static void store(const PREFIX_tensor *tensor, uint8_t *arena, uint32_t i, int32_t value) {
  uint8_t *data = arena + tensor->arena_offset;
  if (tensor->type == 1) {
    const int8_t code = (int8_t)value;
    memcpy(data + i, &code, sizeof code);
  } else if (tensor->type == 4) {
    data[i] = (uint8_t)value;
  } else {
    const int16_t code = (int16_t)value;
    memcpy(data + 2 * (size_t)i, &code, sizeof code);
  }
}

static uint32_t element_count(const PREFIX_tensor *tensor) {
  return tensor->channels * tensor->height * tensor->width;
}

/* Case 0: pseudo-random codes (Marsaglia's xorshift), 1: the lowest code, 2: the highest, 3: one of
   these two, pseudo-random, 4: as the bits in aligned[] say, 5: the other way round. The bits drive
   sums of the first layer to their largest and smallest values. `first` counts the elements of the
   inputs before this one. */
static uint32_t fill(const PREFIX_tensor *tensor, uint8_t *arena, int which, uint32_t first,
                     uint32_t state) {
  const int32_t lowest = tensor->type == 4 ? 0 : -((int32_t)1 << (tensor->bits - 1));
  const uint32_t codes = (uint32_t)1 << tensor->bits;
  uint32_t i;
  for (i = 0; i < element_count(tensor); ++i) {
    const uint32_t element = first + i;
    uint32_t offset;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    if (which == 0)
      offset = (state >> 8) % codes;
    else {
      const int bit =
          element / 8u < sizeof aligned && ((aligned[element / 8u] >> (element % 8u)) & 1) != 0;
      const int highest = which < 3 ? which == 2 : which == 3 ? ((state >> 8) & 1u) != 0
                                                  : bit == (which == 4);
      offset = highest ? codes - 1u : 0u;
    }
    store(tensor, arena, i, lowest + (int32_t)offset);
  }
  return state;
}

int PREFIX_selftest(void *arena) {
  uint8_t *const bytes = (uint8_t *)arena;
  uint32_t state = SEEDu;
  int position = 0;
  int which;
  for (which = 0; which < CASES; ++which) {
    uint32_t i, k, first = 0;
    for (i = 0; i < UPPER_INPUT_COUNT; ++i) {
      const PREFIX_tensor *const tensor = &PREFIX_tensors[PREFIX_inputs[i]];
      state = fill(tensor, bytes, which, first, state);
      first += element_count(tensor);
    }
    PREFIX_run(arena);
    for (i = 0; i < UPPER_OUTPUT_COUNT; ++i) {
      const PREFIX_tensor *const tensor = &PREFIX_tensors[PREFIX_outputs[i]];
      for (k = 0; k < element_count(tensor); ++k, ++position)
        if (load(tensor, bytes, k) != answers[position]) return 1 + position;
    }
  }
  return 0;
}

#ifdef LOCKSTEP_SELFTEST_MAIN
#include <stdio.h>

int main(void) {
  /* Any 16-byte boundary within. */
  static uint8_t memory[UPPER_ARENA_BYTES + 15u];
  const int result = PREFIX_selftest(memory + (16u - (uintptr_t)memory % 16u) % 16u);
  if (result == 0)
    printf("PREFIX: self test passed\n");
  else
    printf("PREFIX: self test failed: output element %d differs\n", result - 1);
  return result != 0;
}
#endif
)";

// `text` with every `word` replaced.
std::string replaced(std::string text, std::string_view word, std::string_view by) {
  for (std::size_t at = text.find(word); at != std::string::npos;
       at = text.find(word, at + by.size()))
    text.replace(at, word.size(), by);
  return text;
}

}  // namespace

std::string emit_selftest(const Program& program, std::string_view prefix) {
  CText text;
  text.line("/* Known-answer test of {}.c: known inputs must give known outputs, bit for bit. */",
            prefix);
  text.line("#include \"{}.h\"", prefix);
  text.blank();
  text.line("#include <stddef.h>");
  text.line("#include <string.h>");
  text.blank();
  text.line("/* All outputs of all cases, as they lie in memory. */");
  const std::vector<std::uint8_t> aligned = aligned_bits(program, kMostBits);
  const std::vector<std::int64_t> known = answers(program, aligned);
  text.array(narrowest_type(known), "answers", known);
  text.line("/* One bit for each element of the inputs, the lowest first. */");
  text.array("uint8_t", "aligned", packed(aligned));
  std::string body(kBody);
  body = replaced(std::move(body), "CASES", std::to_string(case_count(aligned)));
  body = replaced(std::move(body), "SEED", std::to_string(kSeed));
  body = replaced(std::move(body), "UPPER", upper(prefix));
  text.verbatim(replaced(std::move(body), "PREFIX", prefix));
  return text.take();
}

}  // namespace lockstep::backends
