// A network with its plan and its generated C in a folder of its own, to be changed and verified.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "compile/support/files.h"
#include "tests/support/temporary_folder.h"
#include "tests/verify/recorded.h"
#include "verify/differential/c_runner.h"

namespace lockstep::test {

struct Emitted {
  Recorded net;
  std::vector<std::byte> plan;
  TemporaryFolder folder;

  explicit Emitted(const std::string& name, const std::string& prefix = "net")
      : Emitted(read_recorded(name), prefix) {}
  explicit Emitted(Recorded network, const std::string& prefix = "net",
                   const std::string& target = "generic")
      : net(std::move(network)) {
    const Compiled compiled =
        compile_network(net.graph, net.state, {.keep_layers = true, .after_pass = {}});
    plan = compiled.plan;
    for (const CSourceFile& file : emit_c(compiled, {.prefix = prefix, .target = target}))
      write_file_atomically(folder / file.name, file.text);
  }

  std::string source() const { return read_text_file(folder / "net.c"); }
  void write_source(const std::string& text) const {
    write_file_atomically(folder / "net.c", text);
  }

  verify::NetTable table() const { return verify::plan_table(verify::OpenPlan(plan)); }
  verify::Options options() const {
    verify::Options options;
    options.plan = plan;
    options.c_folder = folder.path();
    options.random_samples = 4;
    options.c_samples = 4;
    return options;
  }
  verify::Report verify(const verify::Options& options) const {
    return verify::verify_plan(net.graph, net.state, net.data(), options);
  }
};

// `from` must occur; its first occurrence behind `marker` becomes `to`.
inline std::string replaced(std::string text, const std::string& marker, const std::string& from,
                            const std::string& to) {
  const std::size_t start = text.find(marker);
  REQUIRE(start != std::string::npos);
  const std::size_t at = text.find(from, start);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

inline const verify::CTarget kQuickTarget = {"C gcc -O0", "gcc", "-O0", nullptr};

}  // namespace lockstep::test
