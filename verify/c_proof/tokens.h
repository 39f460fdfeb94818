// The tokens of generated C after its preprocessor: comments gone, conditions decided, macros
// replaced.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "verify/c_proof/known_texts.h"
#include "verify/checker/model.h"

namespace lockstep::c_proof {

using checker::at;
using checker::Int;

// Sees each tensor right after it was made; nothing where nobody defines it.
constexpr std::string_view kObserve = "LOCKSTEP_OBSERVE";
// Of the arithmetic: the alignment of an array, for micro-kernels that need it. Nothing for
// compilers that get no such kernels.
constexpr std::string_view kAligned = "INTRT_ALIGNED";
constexpr int kAlignedBytes = 8;

struct Token {
  enum class Kind : std::uint8_t { kName, kNumber, kString, kPunctuation, kEnd };
  Kind kind = Kind::kEnd;
  std::string_view text;
  int line = 0;  // 1 is the first
  // Of a number: its value, which fits 64 bits with sign, and its type.
  Int number = 0;
  int bits = 32;
  bool is_signed = true;
};

// What the proof cannot read or follow: Failure (unknown) of `layer`, obligation "C".
[[noreturn]] void refuse(const std::string& layer, int line, const std::string& text);

struct Tokens {
  std::vector<Token> list;                             // the last one is kEnd
  std::map<std::string_view, Int> constants;           // macros that are a number, or a sum of some
  std::map<std::string_view, std::string_view> names;  // macros that are another name
  std::set<std::string_view> asked;  // names in conditions that only compilers define
};

// The tokens of the header and of the source, which must outlive the result. `defined` are the
// names that the compiler defines, each as 1; it is C, so __cplusplus is not. LOCKSTEP_OBSERVE
// stays a name: its definition as nothing must be the only one. The source may include the header
// and two headers of C, whose functions and types are known. In the known texts nothing is defined
// by the compiler, whatever it is; those of the micro-kernels have no tokens at all. No macro that
// is defined before them may occur in them.
Tokens read_tokens(std::string_view header_name, std::string_view header, const KnownTexts& known,
                   const std::set<std::string_view>& defined);

// Equal for preprocessed texts that say the same: but for __attribute__((unused)), token by token,
// and with the same macros that begin with the prefix.
std::string digest_of(const Tokens& all, const std::string& prefix);

}  // namespace lockstep::c_proof
