// Each operator by itself, with every kind of post-op: generated C and the plan on the runtime
// compute the codes of ir::evaluate at every tensor.
#include <doctest/doctest.h>

#include <set>

#include "compile/backends/c_source/emit.h"
#include "compile/backends/plan/writer.h"
#include "tests/compile/backends/random_storage.h"
#include "tests/compile/backends/run_c.h"
#include "tests/compile/backends/small_programs.h"
#include "tests/compile/run_plan.h"

namespace lockstep {
namespace {

constexpr std::uint64_t kPrograms = 60;  // of each operator, through the plan
// Through three C compilers. From this seed on both kinds of convolution come with groups, without
// and depthwise, and with sums of 32 and of 64 bits.
constexpr std::uint64_t kCPrograms = 2, kFirstCSeed = 1028;

std::vector<std::vector<std::vector<std::int64_t>>> samples_of(const ir::Program& program) {
  std::vector<std::vector<std::vector<std::int64_t>>> samples;
  for (const int corner : {0, 1, 2, 0})
    samples.push_back(test::random_codes(program, samples.size(), corner));
  return samples;
}

// How `program` keeps its weights and ends its operators, so that every way is seen.
void note_posts(const ir::Program& program, std::set<std::string>& seen) {
  for (const ir::Op& op : program.ops) {
    std::visit(
        [&](const auto& kind) {
          if constexpr (requires { kind.wide; })
            if (kind.wide) seen.insert("wide");
          if constexpr (requires { kind.sparse; }) {
            if (kind.sparse) seen.insert("sparse");
            if (kind.segments.size() > 1) seen.insert("segments");
          }
        },
        op.kind);
    const ir::Post* post = ir::post_of(op.kind);
    if (post == nullptr) continue;
    if (post->is_none()) seen.insert("none");
    if (const ir::Requantize* r = post->requantize())
      seen.insert(r->shifts.size() == 1 ? "one shift" : "shifts");
    if (const ir::Scale* scale = post->scale()) {
      const auto steps = std::count_if(scale->channels.begin(), scale->channels.end(),
                                       [](const ir::ChannelScale& c) { return c.has_steps(); });
      seen.insert(steps == 0                             ? "scale"
                  : steps == std::ssize(scale->channels) ? "steps"
                                                         : "scale and steps");
    }
    if (!post->mask.empty()) seen.insert("mask");
  }
}

TEST_CASE("the plan of every operator computes the codes of the IR at every tensor") {
  for (const std::string_view op : test::kOperators) {
    CAPTURE(op);
    std::set<std::string> posts;
    for (std::uint64_t seed = 0; seed < kPrograms; ++seed) {
      CAPTURE(seed);
      const ir::Program program = test::random_program(op, seed);
      note_posts(program, posts);
      const std::vector<std::byte> plan = backends::write_plan(program);
      for (const auto& sample : samples_of(program)) {
        const auto expected = ir::evaluate(program, sample);
        const test::PlanRun run = test::run_plan(plan, sample);
        for (ir::ValueId id = 0; id < program.values.size(); ++id)
          CHECK_MESSAGE(run.at(program.values[id].node) == expected[id], program.values[id].node);
      }
    }
    if (op == "max_pool2d" || op == "table" || op == "move" || op == "argmax") continue;
    std::set<std::string> expected = {"mask",   "none", "one shift", "scale", "scale and steps",
                                      "shifts", "steps"};
    if (op == "conv2d" || op == "conv_transpose2d" || op == "linear") expected.insert("wide");
    if (op == "conv2d" || op == "linear") expected.insert({"sparse", "segments"});
    CHECK(posts == expected);
  }
}

TEST_CASE("the C of every operator computes the codes of the IR at every tensor") {
  for (const std::string_view op : test::kOperators)
    for (std::uint64_t seed = 0; seed < kCPrograms; ++seed) {
      CAPTURE(op);
      CAPTURE(seed);
      const ir::Program program = test::random_program(op, kFirstCSeed + seed);
      test::check_c(program, backends::emit_c_source(program, {}, "net", "generic", {}).files,
                    "net", samples_of(program));
    }
}

// Every way in which C goes through sparse weights and segments: windows cut by padding, rows whose
// bits lie side by side, groups, masks, sums of 64 bits, no weight at all.
ir::Program stored_program() {
  test::Dice dice(77);
  test::ProgramMaker maker;
  enum class Storage : std::uint8_t { kSparse, kSegments };
  struct Case {
    Storage storage;
    std::int64_t channels, groups, kernel, dilation, pad;
    bool wide = false, mask = false;
  };
  const auto fill = [&](auto& kind, const Case& c, const ir::Shape& out, std::int64_t inputs) {
    const std::int64_t most = c.wide ? 1 << 24 : 100;
    for (std::int32_t& weight : kind.weights)
      weight = static_cast<std::int32_t>(dice.between(-most, most));
    kind.wide = c.wide;
    for (std::int64_t o = 0; o < out.c; ++o) kind.bias.push_back(dice.between(-1000, 1000));
    kind.post.function = ir::Requantize{
        .shifts = {c.wide ? 27 : 9}, .rounding = Rounding::kFloor, .lo = -128, .hi = 127};
    if (c.mask)
      for (std::int64_t i = 0; i < out.count(); ++i)
        kind.post.mask.push_back(dice.chance(50) ? 1 : 0);
    if (c.storage == Storage::kSparse)
      test::store_sparsely(kind, dice);
    else
      test::store_in_segments(kind, inputs, dice);
  };
  for (const Case& c :
       {Case{Storage::kSparse, 16, 1, 3, 1, 0}, Case{Storage::kSparse, 8, 1, 3, 1, 1},
        Case{Storage::kSparse, 10, 2, 3, 1, 2, false, true}, Case{Storage::kSparse, 6, 6, 2, 2, 1},
        Case{Storage::kSparse, 9, 1, 1, 1, 0, true}, Case{Storage::kSegments, 12, 1, 3, 1, 1},
        Case{Storage::kSegments, 9, 1, 1, 1, 0},
        Case{Storage::kSegments, 12, 2, 2, 2, 1, false, true}}) {
    const ir::Shape in{c.channels, 5, 6, 3};
    ir::Conv2d conv;
    conv.window.kernel = {c.kernel, c.kernel};
    conv.window.dilation = {c.dilation, c.dilation};
    conv.window.pad = {c.pad, c.pad, c.pad, c.pad};
    conv.groups = c.groups;
    const ir::Shape out{6, conv.window.output_size(0, in.h), conv.window.output_size(1, in.w), 3};
    const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
    conv.weights = xt::xarray<std::int32_t>::from_shape(
        {size(out.c), size(c.kernel), size(c.kernel), size(c.channels / c.groups)});
    fill(conv, c, out, c.channels / c.groups);
    maker.add(conv, {maker.input(in, 8)}, out, 8);
  }
  for (const Case& c : {Case{Storage::kSparse, 7, 1, 1, 1, 0, false, true},
                        Case{Storage::kSparse, 4, 1, 1, 1, 0, true},
                        Case{Storage::kSegments, 7, 1, 1, 1, 0, false, true}}) {
    const ir::Shape in{c.channels, 2, 3, 1}, out{5, 1, 1, 1};
    ir::Linear linear;
    linear.weights =
        xt::xarray<std::int32_t>::from_shape({5, static_cast<std::size_t>(in.count())});
    fill(linear, c, out, c.channels);
    maker.add(linear, {maker.input(in, 8)}, out, 8);
  }
  ir::Linear nothing;
  nothing.sparse = true;
  nothing.weights = xt::xarray<std::int32_t>::from_shape({2, 9});
  nothing.weights.fill(0);
  nothing.bias = {5, -7};
  maker.add(nothing, {maker.input({9, 1, 1, 1}, 8)}, {2, 1, 1, 1}, 32);
  return maker.finish(false);
}

TEST_CASE("sparse weights and segments of every kind run as the IR says, as plan and as C") {
  const ir::Program program = stored_program();
  const std::vector<std::byte> plan = backends::write_plan(program);
  for (const auto& sample : samples_of(program)) {
    const auto expected = ir::evaluate(program, sample);
    const test::PlanRun run = test::run_plan(plan, sample);
    for (ir::ValueId id = 0; id < program.values.size(); ++id)
      CHECK_MESSAGE(run.at(program.values[id].node) == expected[id], program.values[id].node);
  }
  test::check_c(program, backends::emit_c_source(program, {}, "net", "generic", {}).files, "net",
                samples_of(program));
}

TEST_CASE("generated C tells which tensors are exact and gives the offsets of an output") {
  test::ProgramMaker maker;
  const ir::Shape shape{2, 1, 1, 1};
  ir::Linear linear;
  linear.weights = xt::xarray<std::int32_t>::from_shape({2, 2});
  linear.weights.fill(1);
  const ir::ValueId out = maker.add(linear, {maker.input(shape, 8)}, shape, 32);
  maker.value(out).exact = false;
  maker.value(out).offsets = {0.1F, -3.0F};
  const ir::Program program = maker.finish(false);

  const test::Folder folder;
  for (const auto& file : backends::emit_c_source(program, {}, "net", "generic", {}).files) {
    write_file_atomically(folder.path() / file.name, file.text);
    if (file.name == "net.c") CHECK(file.text.find("0x3dcccccdu, /* 0.1 */") != std::string::npos);
    if (file.name != "net_io.h") CHECK(file.text.find("float ") == std::string::npos);
  }
  write_file_atomically(folder.path() / "main.c", R"(#include <stdio.h>
#include <string.h>
#include "net.h"
int main(void) {
  float offsets[2];
  memcpy(offsets, net_tensors[1].offsets, sizeof offsets);
  printf("%d %d %d %.9g %.9g", net_tensors[0].flags, net_tensors[1].flags,
         net_tensors[0].offsets == 0, (double)offsets[0], (double)offsets[1]);
  return 0;
}
)");
  test::run(folder.path(),
            "gcc -std=c99 -Wall -Wextra -Werror main.c net.c -o main && ./main > out");
  CHECK(read_text_file(folder.path() / "out") == "5 2 1 0.100000001 -3");
}

}  // namespace
}  // namespace lockstep
