// Changed generated C: every mutant is another text, at the place that it says, and all kinds
// occur.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "verify/mutate/c_mutants.h"

namespace lockstep::test {
namespace {

// net.c of a random network for a core; "" where the compiler refuses it.
std::string source_of(std::uint64_t seed, const std::string& target) {
  const Network network = random_graph(seed);
  try {
    return emit_c(compile_network(network.graph, network.state, {}),
                  {.prefix = "net", .target = target})[0]
        .text;
  } catch (const InputError&) {
    return "";
  }
}

std::string line_of(const std::string& text, std::size_t line) {
  std::size_t begin = 0;
  for (std::size_t i = 1; i < line; ++i) begin = text.find('\n', begin) + 1;
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

TEST_CASE("mutants of generated C follow from the seed, change one place, and are of every kind") {
  std::set<std::string> kinds;
  for (std::uint64_t number = 0; number < 62; ++number) {
    // The last ones have micro-kernels.
    const std::uint64_t seed = number < 60 ? number : number == 60 ? 149 : 170;
    CAPTURE(seed);
    const std::string source = source_of(seed, number < 60 ? "generic" : "cortex-m4");
    if (source.empty()) continue;
    mutate::CMutants mutants(source, seed), again(source, seed);
    const std::size_t round = mutants.kinds().size();
    std::set<std::string> drawn;
    for (std::size_t i = 0; i < 3 * round; ++i) {
      const mutate::CMutant mutant = mutants.next();
      CAPTURE(mutant.kind);
      CAPTURE(mutant.before);
      CAPTURE(mutant.after);
      const std::string text = mutant.apply(source);
      CHECK(text != source);
      CHECK(text == again.next().apply(source));
      CHECK(source.compare(mutant.offset, mutant.before.size(), mutant.before) == 0);
      CHECK(text.size() + mutant.before.size() == source.size() + mutant.after.size());
      const std::string first_line = mutant.before.substr(0, mutant.before.find('\n'));
      CHECK(line_of(source, mutant.line).find(first_line) != std::string::npos);
      // Comments and what other tools see of the text stay.
      CHECK(mutant.before.find("/*") == std::string::npos);
      drawn.insert(mutant.kind);
    }
    CHECK(drawn.size() == round);
    kinds.insert(drawn.begin(), drawn.end());
  }
  for (const char* const kind : {"accumulator type",
                                 "arena offset",
                                 "call arguments",
                                 "call order",
                                 "cast",
                                 "condition",
                                 "constant",
                                 "index",
                                 "kernel argument",
                                 "kernel order",
                                 "limit",
                                 "loop bound",
                                 "loop start",
                                 "loop step",
                                 "macro",
                                 "operator",
                                 "other table",
                                 "pointer step",
                                 "removed call",
                                 "removed statement",
                                 "rounding",
                                 "tensor row",
                                 "type",
                                 "variable",
                                 "table bias",
                                 "table weight",
                                 "table shift",
                                 "table mask",
                                 "table decimals",
                                 "table channels",
                                 "table inputs",
                                 "table outputs",
                                 "table multiplier",
                                 "table entry",
                                 "table threshold",
                                 "table tap",
                                 "table addend",
                                 "table code"}) {
    CAPTURE(kind);
    CHECK(kinds.contains(kind));
  }
}

}  // namespace lockstep::test
