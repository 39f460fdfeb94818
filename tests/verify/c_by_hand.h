// A network whose C is written by hand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "compile/support/files.h"
#include "tests/verify/c_objection.h"
#include "tests/verify/channel_net.h"

namespace lockstep::test {

using Int = checker::Int;

inline std::string header_text(const std::string& name) {
  return read_text_file(LOCKSTEP_INTRT_INCLUDE "/intrt/" + name);
}

// x [3,5,5]; c1: 3x3, padded, 6 channels; q1; c2: 1x1, 4 channels; q2.
inline Made network() {
  Net net("3,5,5");
  net.conv("c1", "x", 3, 6, 3, none, R"(,"padding":1)");
  net.quantize("q1", "c1");
  net.conv("c2", "q1", 6, 4, 1, none);
  net.quantize("q2", "c2");
  net.finish({"q2"});
  return made(net.graph, net.state, {.keep_layers = true, .after_pass = {}});
}

inline std::string filled(std::string text,
                          const std::vector<std::pair<std::string, std::string>>& marks) {
  for (const auto& [mark, with] : marks)
    for (std::size_t i = text.find(mark); i != std::string::npos; i = text.find(mark, i + 1))
      text.replace(i, mark.size(), with);
  return text;
}

// The arithmetic of the C, and this header behind it.
inline void add_header(Made& c, const std::string& header) {
  const std::string arithmetic_end = "#endif /* INTRT_ARITH_H_ */\n";
  c.source = replaced(c.source, "", arithmetic_end, arithmetic_end + "\n" + header_text(header));
}

// network() with these functions in place of its own, and scratch memory from byte 272 on.
inline Made by_hand(const std::string& functions) {
  Made c = network();
  const std::size_t begin = c.source.find("/* conv2d 'c1'"), end = c.source.find("void net_run(");
  REQUIRE(begin < end);
  c.source.replace(begin, end - begin, functions);
  c.source = replaced(c.source, "void net_run(", "(void *)(base + 0u));\n  LOCK",
                      "(void *)(base + 0u), (void *)(base + 272u));\n  LOCK");
  c.source = replaced(c.source, "net_op1_conv2d((void", "(void *)(base + 160u));",
                      "(void *)(base + 160u), (void *)(base + 272u));");
  c.header = replaced(c.header, "", "NET_ARENA_BYTES 272u", "NET_ARENA_BYTES 400u");
  return c;
}

}  // namespace lockstep::test
