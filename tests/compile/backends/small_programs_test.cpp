// Each operator by itself, with every kind of post-op: generated C and the plan on the runtime
// compute the codes of ir::evaluate at every tensor.
#include <doctest/doctest.h>

#include <set>

#include "compile/backends/c_source/emit.h"
#include "compile/backends/plan/writer.h"
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

// How `program` ends its operators, so that every way is seen.
void note_posts(const ir::Program& program, std::set<std::string>& seen) {
  for (const ir::Op& op : program.ops) {
    std::visit(
        [&](const auto& kind) {
          if constexpr (requires { kind.wide; })
            if (kind.wide) seen.insert("wide");
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
    CHECK(posts == expected);
  }
}

TEST_CASE("the C of every operator computes the codes of the IR at every tensor") {
  for (const std::string_view op : test::kOperators)
    for (std::uint64_t seed = 0; seed < kCPrograms; ++seed) {
      CAPTURE(op);
      CAPTURE(seed);
      const ir::Program program = test::random_program(op, kFirstCSeed + seed);
      test::check_c(program, backends::emit_c_source(program, {}, "net"), "net",
                    samples_of(program));
    }
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
  for (const auto& file : backends::emit_c_source(program, {}, "net")) {
    write_file_atomically(folder.path() / file.name, file.text);
    if (file.name == "net.c") CHECK(file.text.find("0x3dcccccdu, /* 0.1 */") != std::string::npos);
    CHECK(file.text.find("float ") == std::string::npos);
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
