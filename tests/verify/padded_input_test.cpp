// Convolutions that take the zeros of a pad node before them as padding of their own.
#include "compile/passes/pass.h"
#include "compile/passes/rewrite.h"
#include "tests/verify/channel_net.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

// x -> pads -> c -> q
Net padded_net(const std::vector<std::string>& pads, const std::string& more = "") {
  Net net("2,4,5");
  std::string from = "x";
  for (std::size_t i = 0; i < pads.size(); ++i) {
    const std::string name = fmt::format("p{}", i);
    net.node(name, "pad", {from}, fmt::format(R"("padding":[{}])", pads[i]));
    from = name;
  }
  net.conv("c", from, 2, 2, 3, none, more);
  net.quantize("q", "c");
  net.finish({"q"});
  return net;
}

// The convolution reads x, with `sides` (top, left, bottom, right) more padding; the pads are gone.
Compiled without_pads(const Net& net, const std::array<std::int64_t, 4>& sides) {
  return rewritten(net.compiled, [&](ir::Program& program) {
    std::erase_if(program.ops,
                  [](const ir::Op& op) { return std::holds_alternative<ir::Move>(op.kind); });
    for (ir::Op& op : program.ops)
      if (auto* conv = std::get_if<ir::Conv2d>(&op.kind)) {
        op.inputs = program.inputs;
        for (std::size_t side = 0; side < sides.size(); ++side)
          conv->window.pad[side] += sides[side];
      }
    passes::drop_unmade_values(program);
    ir::derive_ranges(program);
    program = passes::plan_memory(std::move(program));
  });
}

}  // namespace

TEST_CASE("a convolution may take the zeros of pad nodes as its padding") {
  for (const char* more : {"", R"(,"padding":1)", R"(,"stride":2,"padding":[2,1])"}) {
    CAPTURE(more);
    check_agreed(padded_net({"1,0,2,1"}, more),
                 without_pads(padded_net({"1,0,2,1"}, more), {2, 1, 1, 0}));
    check_agreed(padded_net({"2,1"}, more), without_pads(padded_net({"2,1"}, more), {0, 2, 0, 1}));
    const Net net = padded_net({"1,0,0,1", "0,2"}, more);
    check_agreed(net, net.compiled);
    check_agreed(net, without_pads(net, {0, 1, 1, 2}));
  }
}

TEST_CASE("other paddings than those of the pad nodes are refuted") {
  const Net net = padded_net({"1,1,1,1"});
  check_agreed(net, without_pads(net, {1, 1, 1, 1}));
  check_refuted(net, without_pads(net, {2, 1, 0, 1}), "c", "padding at the top");
  check_refuted(net, without_pads(net, {1, 0, 1, 2}), "c", "padding at the left");
  const Net reflected = [] {
    Net other("2,4,5");
    other.node("p", "pad", {"x"}, R"("padding":[1,1,1,1],"mode":"reflect")");
    other.conv("c", "p", 2, 2, 3, none);
    other.quantize("q", "c");
    other.finish({"q"});
    return other;
  }();
  check_refuted(reflected, without_pads(reflected, {1, 1, 1, 1}), "c", "reads 'x'");
}
