// The headers that generated C takes in word for word: the arithmetic, and behind it micro-kernels.
// What they mean is known; no proof reads them.
#pragma once

#include <string_view>
#include <vector>

namespace lockstep::c_proof {

struct MicroKernel;

struct KnownTexts {
  std::string_view source;                  // all of the C
  std::string_view arithmetic;              // intrt/arith.h, where it is in the source
  std::string_view micro;                   // behind it: headers of intrt/micro, blank lines
  std::vector<const MicroKernel*> kernels;  // that those define
  std::vector<std::string_view> words;      // macros of those that mean nothing

  std::string_view before() const {
    return source.substr(0, static_cast<std::size_t>(arithmetic.data() - source.data()));
  }
  std::string_view behind() const {
    return source.substr(before().size() + arithmetic.size() + micro.size());
  }
};

// Throws Failure where the source does not hold the arithmetic of this version.
KnownTexts find_known_texts(std::string_view source);

}  // namespace lockstep::c_proof
