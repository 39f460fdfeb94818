// Whether generated C is proved, as it is and changed.
#pragma once

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"
#include "verify/c_proof/c_proof.h"

namespace lockstep::test {

struct Made {
  std::vector<std::byte> plan;
  std::string source, header;
};

inline Made made(const Graph& graph, const StateDict& state, CompileOptions options = {}) {
  const Compiled compiled = compile_network(graph, state, options);
  const std::vector<CSourceFile> files = emit_c(compiled, {.prefix = "net"});
  return {compiled.plan, files[0].text, files[1].text};
}
inline Made made(const std::string& name,
                 CompileOptions options = {.keep_layers = true, .after_pass = {}}) {
  const Recorded net = read_recorded(name);
  return made(net.graph, net.state, options);
}

// Why the C is not proved; empty: it is.
inline std::string objection(const Made& c) {
  try {
    c_proof::prove_c({"net.h", c.header, c.source, "net"}, checker::read_plan(c.plan));
    return "";
  } catch (const checker::Failure& failure) {
    CHECK(failure.is_unknown);
    CHECK(failure.obligation == "C");
    return failure.text.empty() ? "no text" : failure.text;
  }
}

struct Change {
  const char *marker, *from, *to;
  const char* text;  // of the objection; empty: it must be proved all the same
};

inline void try_changes(const Made& c, std::initializer_list<Change> changes) {
  const std::string unchanged = objection(c);
  REQUIRE_MESSAGE(unchanged.empty(), unchanged);
  for (const Change& change : changes) {
    CAPTURE(std::string(change.marker));
    CAPTURE(std::string(change.from));
    CAPTURE(std::string(change.to));
    Made changed = c;
    changed.source = replaced(c.source, change.marker, change.from, change.to);
    const std::string text = objection(changed);
    if (*change.text == '\0')
      CHECK_MESSAGE(text.empty(), text);
    else
      CHECK_MESSAGE(contains(text, change.text), text);
  }
}

}  // namespace lockstep::test
