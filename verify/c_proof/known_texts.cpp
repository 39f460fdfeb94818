#include "verify/c_proof/known_texts.h"

#include "verify/c_proof/header_texts.h"
#include "verify/c_proof/micro_kernels.h"
#include "verify/c_proof/tokens.h"

namespace lockstep::c_proof {

KnownTexts find_known_texts(std::string_view source) {
  const std::string_view arithmetic = kArithmeticText;
  const std::size_t at = source.find(arithmetic);
  if (at == std::string_view::npos)
    refuse("", 1, "the arithmetic is not that of this version of Lockstep, word for word");
  // A line of its own, and no part of the one before.
  const std::string_view before = source.substr(0, at);
  if (!before.empty() && (!before.ends_with('\n') || before.ends_with("\\\n")))
    refuse("", 1, "the arithmetic does not begin a line");
  KnownTexts known{source, source.substr(at, arithmetic.size()), {}, {}, {}};
  std::size_t end = at + arithmetic.size();
  for (const MicroHeader& header : micro_headers()) {
    const std::size_t next = source.find_first_not_of('\n', end);
    if (next == std::string_view::npos || !source.substr(next).starts_with(header.text)) continue;
    end = next + header.text.size();
    for (const MicroKernel& kernel : header.kernels) known.kernels.push_back(&kernel);
    known.words.insert(known.words.end(), header.words.begin(), header.words.end());
  }
  known.micro = source.substr(at + arithmetic.size(), end - at - arithmetic.size());
  return known;
}

}  // namespace lockstep::c_proof
