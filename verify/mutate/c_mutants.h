// Generated C with one thing changed, to measure what a proof of generated C misses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "verify/mutate/plan_mutants.h"

namespace lockstep::mutate {

// One change of the text of net.c.
struct CMutant {
  std::string kind;   // what is changed, such as "loop bound" or "table weight"
  std::string place;  // the function or table
  std::size_t line = 0;
  std::string before, after;
  std::size_t offset = 0;  // of `before` in the text

  std::string apply(std::string_view source) const;
};

// Draws mutants of one net.c: evenly over the kinds of changes that there are, and for each kind
// evenly over functions and tables. Nothing is parsed beyond tokens and brackets, so that a mutant
// need not compile. Left alone are comments, preprocessor lines other than the definitions of
// numbers, and LOCKSTEP_OBSERVE, which expands to nothing.
//
// Kinds: "table NAME" for each last word of a table's name, a number of it; "tensor row";
// "loop start", "loop bound", "loop step"; "index"; "pointer step"; "limit" (a constant argument
// of the arithmetic); "kernel argument" (one of a micro-kernel), "kernel order" (two of them change
// places), "other kernel"; "constant"; "macro"; "arena offset"; "operator"; "rounding"; "cast";
// "type"; "accumulator type"; "variable"; "other table"; "call order", "call arguments", "removed
// call"; "removed statement"; "condition".
class CMutants {
 public:
  CMutants(std::string_view source, std::uint64_t seed);
  // Always another text than the original; kinds() is not empty for any net.c.
  CMutant next();
  std::vector<std::string> kinds() const;

  // A place, and the texts that may come instead of what is there.
  struct Site {
    std::size_t offset = 0, length = 0;
    std::vector<std::string> choices;
    bool is_number = false;  // of a table: `choices` are drawn when it is chosen
  };

 private:
  struct Place {
    std::string name;
    std::vector<Site> sites;
  };
  struct Kind {
    std::string name;
    std::vector<Place> places;
    std::size_t next_place = 0;
  };
  std::string drawn(const Site& site, std::string_view kind);

  std::string source_;
  Random random_;
  std::vector<Kind> kinds_;
  std::size_t next_kind_ = 0;
};

}  // namespace lockstep::mutate
