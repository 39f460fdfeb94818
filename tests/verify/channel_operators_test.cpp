// The same for each operator that a plan's channels go through.
#include <set>

#include "tests/verify/channel_net.h"

using namespace lockstep;
using namespace lockstep::test;

TEST_CASE("depthwise convolutions lose groups as a whole") {
  Net net("2,5,5");
  net.conv("c1", "x", 2, 4, 2, none);
  net.quantize("q1", "c1");
  net.conv("d", "q1", 4, 8, 2, none, R"(,"padding":1)", 4);
  net.quantize("qd", "d", {4, 4, 3, 4, 5, 4, 4, 4});
  net.conv("c2", "qd", 8, 2, 1, [](std::int64_t, std::int64_t i) { return i == 2 || i == 3; });
  net.quantize("q2", "c2");
  net.finish({"q2"});
  check_agreed(net, net.keeping({{"qd", {0, 1, 4, 5, 6, 7}}, {"q1", {0, 2, 3}}}));
  check_agreed(net, net.keeping({{"qd", {6, 7, 1, 0, 5, 4}}, {"q1", {3, 0, 2}}}));
  check_refuted(net, net.keeping({{"qd", {0, 1, 4, 5, 6, 7}}, {"q1", {0, 3, 2}}}), "d",
                "in a group with input channel 3");
  check_refuted(net, net.keeping({{"qd", {0, 4, 1, 5, 6, 7}}, {"q1", {0, 2, 3}}}), "d",
                "in a group with channel 4");
}

TEST_CASE("grouped convolutions of both directions lose groups as a whole") {
  for (const char* op : {"conv2d", "conv_transpose2d"}) {
    CAPTURE(op);
    const bool transposed = std::string(op) == "conv_transpose2d";
    Net net("2,4,4");
    net.conv("c1", "x", 2, 6, 1, none);
    net.quantize("q1", "c1");
    net.weighted(
        "g", op, "q1", R"("in_channels":6,"out_channels":9,"kernel_size":2,"groups":3)",
        transposed ? std::vector<std::int64_t>{6, 3, 2, 2} : std::vector<std::int64_t>{9, 2, 2, 2},
        none, std::vector<float>(9, 0.5F));
    net.quantize("qg", "g");
    net.conv("c2", "qg", 9, 2, 1, [](std::int64_t, std::int64_t i) { return i < 3; });
    net.quantize("q2", "c2");
    net.finish({"q2"});
    check_agreed(net, net.keeping({{"q1", {2, 3, 4, 5}}, {"qg", {3, 4, 5, 6, 7, 8}}}));
    check_agreed(net, net.keeping({{"q1", {5, 4, 2, 3}}, {"qg", {7, 8, 6, 5, 3, 4}}}));
    check_refuted(net, net.keeping({{"q1", {2, 3, 4, 5}}, {"qg", {6, 7, 8, 3, 4, 5}}}), "g",
                  "in a group with");
    check_refuted(net, net.keeping({{"q1", {2, 4, 3, 5}}, {"qg", {3, 4, 5, 6, 7, 8}}}), "g",
                  "in a group with");
  }
}

TEST_CASE("a transposed convolution and a bilinear upsampling follow their inputs' channels") {
  Net net("2,3,3");
  net.conv("c1", "x", 2, 3, 1, none);
  net.quantize("q1", "c1");
  net.weighted("t", "conv_transpose2d", "q1",
               R"("in_channels":3,"out_channels":3,"kernel_size":2,"stride":2)", {3, 3, 2, 2},
               output_is(1), {0.25F, 0.5F, 0.0F});
  net.quantize("qt", "t", {4, 3, 5});
  net.node("u", "upsample", {"qt"}, R"("scale_factor":2,"mode":"bilinear")");
  net.quantize("qu", "u");
  net.conv("c2", "qu", 3, 2, 1, input_is(2));
  net.quantize("q2", "c2");
  net.finish({"q2"});
  check_agreed(net, net.compiled);
  check_agreed(net, net.keeping({{"q1", {2, 0}}}));
  check_agreed(net, net.keeping({{"q1", {2, 0}}, {"qt", {1, 0}}, {"u", {1, 0}}, {"qu", {1, 0}}}));
  check_refuted(net, net.keeping({{"q1", {2, 1}}}), "t", "input channel 0");
  const Compiled swapped = rewritten(
      net.keeping({{"qt", {1, 0}}, {"u", {1, 0}}, {"qu", {1, 0}}}), [](ir::Program& program) {
        for (ir::Value& value : program.values)
          if (value.node == "qu" || (value.node == "u" && value.exact)) value.channels = {0, 1};
      });
  check_refuted(net, swapped, "u", "weight of element");
}

TEST_CASE("weights of a bilinear upsampling that meet only zeros may be anything") {
  for (const float bias : {0.0F, 0.5F}) {
    CAPTURE(bias);
    Net net("2,3,3");
    net.weighted("c1", "conv2d", "x", R"("in_channels":2,"out_channels":3,"kernel_size":1)",
                 {3, 2, 1, 1}, output_is(1), {0.25F, bias, 0.0F});
    net.quantize("q1", "c1");
    net.node("u", "upsample", {"q1"}, R"("scale_factor":2,"mode":"bilinear")");
    net.finish({"u"});
    check_agreed(net, net.compiled);
    const auto with_factor = [&](int factor) {
      return rewritten(net.compiled, [&](ir::Program& program) {
        for (ir::Op& op : program.ops)
          if (auto* conv = std::get_if<ir::ConvTranspose2d>(&op.kind)) {
            const std::size_t row = conv->weights.size() / 3;
            for (std::size_t k = row; k < 2 * row; ++k) conv->weights.data()[k] *= factor;
          }
        ir::derive_ranges(program);
      });
    };
    for (const int factor : {0, 3})
      if (bias == 0)
        check_agreed(net, with_factor(factor));
      else
        check_refuted(net, with_factor(factor), "u", "channel 1, position (0, 0)");
  }
}

TEST_CASE("a border around constants that has the upsampling's own size is understood") {
  Net net("2,2,2");
  net.prune("m", "x", {2, 2, 2}, 1);
  net.node("h", "hard_sigmoid", {"m"});
  net.quantize("q", "h");
  net.node("u", "upsample", {"q"}, R"("scale_factor":2,"mode":"bilinear")");
  net.finish({"u"});
  check_agreed(net, net.compiled);
}

TEST_CASE("a linear layer behind a flatten loses the columns of a channel") {
  for (const bool quantize_behind : {false, true}) {
    CAPTURE(quantize_behind);
    Net net("2,4,4");
    net.conv("c1", "x", 2, 4, 2, none);
    if (!quantize_behind) net.quantize("q1", "c1", {3, 4, 5, 4});
    net.node("f", "flatten", {quantize_behind ? "c1" : "q1"});
    if (quantize_behind) net.quantize("q1", "f");
    net.weighted(
        "l", "linear", quantize_behind ? "q1" : "f", R"("in_features":36,"out_features":5)",
        {5, 36}, [](std::int64_t, std::int64_t i) { return i / 9 == 1; },
        std::vector<float>(5, 0.5F));
    net.quantize("ql", "l");
    net.weighted("l2", "linear", "ql", R"("in_features":5,"out_features":2)", {2, 5}, input_is(3),
                 {0.5F, 0.0F});
    net.quantize("q2", "l2");
    net.finish({"q2"});
    const auto kept = [&](const std::vector<std::int64_t>& left,
                          const std::vector<std::int64_t>& rows) {
      Kept result = {{"ql", rows}};
      for (const ir::Value& value : net.compiled.program.values)
        if (value.node == "q1" || value.node == "f" || (value.node == "c1" && quantize_behind))
          result[value.node] = left;
      return result;
    };
    check_agreed(net, net.compiled);
    check_agreed(net, net.keeping(kept({0, 2, 3}, {0, 1, 2, 4})));
    check_agreed(net, net.keeping(kept({3, 0, 2}, {4, 2, 0, 1})));
    check_refuted(net, net.keeping(kept({0, 1, 3}, {0, 1, 2, 4})), "l",
                  "weight of channel 0, input 18");
    check_refuted(net, net.keeping(kept({0, 2, 3}, {0, 1, 2, 3})), "l2",
                  "weight of channel 0, input 4");
    check_refuted(net,
                  rewritten(net.keeping(kept({0, 2, 3}, {0, 1, 2, 4})),
                            [](ir::Program& program) {
                              for (ir::Value& value : program.values)
                                if (value.channels == std::vector<std::int64_t>{0, 2, 3})
                                  value.channels = {0, 2, 4};
                            }),
                  "q1", "lists channel 4, but there are 4");
  }
}

TEST_CASE("sums, products, pools and copies keep the same channels") {
  Net net("2,4,4");
  net.conv("a", "x", 2, 3, 1, none);
  net.quantize("qa", "a");
  net.conv("b", "x", 2, 3, 1, none);
  net.quantize("qb", "b", {3, 4, 5});
  net.node("s", "add", {"qa", "qb"});
  net.quantize("qs", "s");
  net.node("m", "mul", {"qs", "qa"});
  net.quantize("qm", "m");
  net.node("p", "max_pool2d", {"qm"}, R"("kernel_size":2)");
  net.node("g", "avg_pool2d", {"p"}, R"("kernel_size":2)");
  net.quantize("qg", "g");
  net.node("t", "tanh", {"qg"});
  net.quantize("qt", "t");
  net.node("k", "concat", {"qt", "qg"}, R"("dim":1)");
  net.conv("c2", "k", 6, 2, 1, [](std::int64_t, std::int64_t i) { return i % 3 == 1; });
  net.quantize("q2", "c2");
  net.finish({"q2"});
  const auto kept = [&](const std::vector<std::int64_t>& left,
                        const std::vector<std::int64_t>& both) {
    Kept result;
    for (const char* name : {"qa", "qb", "qs", "qm", "p", "g", "qg", "t", "qt"})
      for (const ir::Value& value : net.compiled.program.values)
        if (value.node == name) result[name] = left;
    result["k"] = both;
    return result;
  };
  check_agreed(net, net.compiled);
  check_agreed(net, net.keeping(kept({0, 2}, {0, 2, 3, 5})));
  check_agreed(net, net.keeping(kept({2, 0}, {3, 2, 5, 0})));
  std::set<std::string> refuted;
  for (const auto& [name, left] : kept({0, 2}, {0, 2, 3, 5})) {
    if (name == "k") continue;
    // The channels of one tensor the other way round; its maker makes them so.
    Kept wrong = kept({0, 2}, {0, 2, 3, 5});
    wrong[name] = {2, 0};
    const verify::Report report = net.verify(net.keeping(wrong), 0);
    CAPTURE(name);
    CHECK(std::holds_alternative<verify::Refuted>(report.verdict));
    if (const auto* found = std::get_if<verify::Refuted>(&report.verdict))
      refuted.insert(found->layer);
  }
  MESSAGE("refuted in ", fmt::format("{}", fmt::join(refuted, ", ")));
  CHECK(refuted.size() >= 4);
}

TEST_CASE("what a copy leaves out is 0") {
  for (const float bias : {0.0F, 5.0F / 16.0F}) {
    CAPTURE(bias);
    for (const bool float_function : {false, true}) {
      CAPTURE(float_function);
      Net net("2,4,4");
      net.weighted("c1", "conv2d", "x", R"("in_channels":2,"out_channels":4,"kernel_size":1)",
                   {4, 2, 1, 1}, output_is(2), {0.25F, -0.5F, bias, 0.0F});
      if (!float_function) net.quantize("q1", "c1");
      net.node("s", "pixel_shuffle", {float_function ? "c1" : "q1"}, R"("upscale_factor":2)");
      if (float_function) net.node("t", "hard_sigmoid", {"s"});
      net.quantize("qs", float_function ? "t" : "s");
      net.conv("c2", "qs", 1, 2, 2, none);
      net.quantize("q2", "c2");
      net.finish({"q2"});
      check_agreed(net, net.compiled);
      const std::string last = float_function ? "c1" : "q1";
      const Compiled edited = net.keeping({{last, {3, 0, 1}}});
      if (bias == 0)
        check_agreed(net, edited);
      else
        check_refuted(net, edited, "s", "");
      check_refuted(net, net.keeping({{last, {0, 2, 1}}}), "s", "");
    }
  }
}

TEST_CASE("an argmax reads all channels in their order") {
  Net net("2,4,4");
  net.conv("c1", "x", 2, 3, 1, output_is(1));
  net.quantize("q1", "c1");
  net.node("a", "argmax", {"q1"});
  net.finish({"a"});
  check_agreed(net, net.keeping({{"q1", {0, 1, 2}}}));
  check_refuted(net, net.keeping({{"q1", {1, 0, 2}}}), "a", "channel 0 of its input");
  check_refuted(net, net.keeping({{"q1", {0, 2}}}), "a", "channels of its input");
}
