// The mutation score of the proof of generated C: what it accepts of changed C computes the same.
// The networks are random ones with so few input bits that every input can be run.
//
// LOCKSTEP_C_MUTANTS and LOCKSTEP_FUZZ_SEED widen a run.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "tests/support/input_error.h"
#include "verify/c_proof/c_proof.h"
#include "verify/checker/plan.h"
#include "verify/differential/child_process.h"
#include "verify/differential/private_folder.h"
#include "verify/mutate/c_score.h"

namespace lockstep::test {
namespace {

constexpr std::int64_t kMostBits = 14, kMutantsPerNetwork = 80;
constexpr std::size_t kLongestSource = 60'000;

// Runs net_run() on every input, finding tensors as the tables say, and prints one hash of all
// outputs and tables. Counts of elements are the plan's, written behind it.
constexpr const char* kDriver = R"(
#include <stdio.h>
#include <string.h>
#include "net.h"
static uint64_t hash = 14695981039346656037u;
static void take(const void *data, size_t size) {
  const unsigned char *bytes = (const unsigned char *)data;
  for (size_t i = 0; i < size; ++i) hash = (hash ^ bytes[i]) * 1099511628211u;
}
static void take_tables(void) {
  for (unsigned i = 0; i < NET_TENSOR_COUNT; ++i) {
    const net_tensor *t = &net_tensors[i];
    const uint32_t numbers[] = {t->type, t->bits, t->logical_rank, t->decimal_count > 1, t->channels,
                                t->height, t->width, t->arena_offset, t->flags};
    take(t->name, strlen(t->name));
    take(numbers, sizeof numbers);
    for (uint32_t c = 0; c < t->channels; ++c) take(&t->decimals[t->decimal_count == 1 ? 0 : c], 1);
    if (t->offsets) take(t->offsets, 4 * t->channels);
    if (t->channel_map) take(t->channel_map, 2 * t->channels);
  }
  take(net_inputs, sizeof net_inputs);
  take(net_outputs, sizeof net_outputs);
}
static _Alignas(16) unsigned char arena[NET_ARENA_BYTES];
int main(void) {
  static const struct { int count, bits, bytes, first; } inputs[] = {INPUTS};
  static const int outputs[] = {OUTPUTS};
  take_tables();
  for (uint64_t number = 0; number < UINT64_C(1) << BITS; ++number) {
    uint64_t rest = number;
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; ++i)
      for (int e = 0; e < inputs[i].count; ++e) {
        const int32_t code = (int32_t)(rest & ((UINT64_C(1) << inputs[i].bits) - 1)) + inputs[i].first;
        rest >>= inputs[i].bits;
        memcpy(arena + net_tensors[net_inputs[i]].arena_offset + e * inputs[i].bytes, &code,
               (size_t)inputs[i].bytes);
      }
    net_run(arena);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; ++i)
      take(arena + net_tensors[net_outputs[i]].arena_offset, (size_t)outputs[i]);
  }
  printf("%llx\n", (unsigned long long)hash);
  return 0;
}
)";

struct Subject {
  std::string name, header, source;
  checker::Plan plan;
};

std::int64_t input_bits(const checker::Plan& plan) {
  std::int64_t bits = 0;
  for (const std::size_t input : plan.inputs)
    bits += plan.tensors[input].count() * plan.tensors[input].bits;
  return bits;
}

std::string driver_of(const checker::Plan& plan) {
  std::string inputs, outputs;
  for (const std::size_t t : plan.inputs) {
    const checker::PlanTensor& tensor = plan.tensors[t];
    inputs += fmt::format("{{{}, {}, {}, {}}},", tensor.count(), tensor.bits,
                          tensor.bytes / tensor.count(),
                          tensor.is_raw ? 0 : -(std::int64_t{1} << (tensor.bits - 1)));
  }
  for (const std::size_t t : plan.outputs) outputs += fmt::format("{},", plan.tensors[t].bytes);
  return fmt::format("#define BITS {}\n#define INPUTS {}\n#define OUTPUTS {}\n", input_bits(plan),
                     inputs, outputs) +
         kDriver;
}

// What the C prints; "" where it does not compile, fails, or does what C leaves undefined.
std::string run_all(const Subject& subject, const std::string& source) {
  const auto compiler = verify::find_program("gcc");
  if (!compiler) throw InputError("gcc is missing; apt-get install gcc");
  const verify::PrivateFolder folder;
  const auto& path = folder.path();
  write_file_atomically(path / "net.h", subject.header);
  write_file_atomically(path / "net.c", source);
  write_file_atomically(path / "driver.c", driver_of(subject.plan));
  const verify::ChildResult compiled = verify::run_child(
      {.program = *compiler,
       .arguments = {"-std=c11", "-O0", "-w", "-fsanitize=address,undefined",
                     "-fno-sanitize-recover=all", "driver.c", "net.c", "-o", "run"},
       .working_folder = path,
       .input = {},
       .output = {},
       .timeout = std::chrono::minutes(5)});
  if (!compiled.succeeded) return "";
  const verify::ChildResult ran = verify::run_child({.program = path / "run",
                                                     .arguments = {},
                                                     .working_folder = path,
                                                     .input = {},
                                                     .output = path / "out",
                                                     .timeout = std::chrono::minutes(5)});
  if (!ran.succeeded) return "";
  const std::vector<std::byte> text = read_file(path / "out");
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

// Nothing for a network that the compiler refuses, or that has too many inputs to try them all.
std::optional<Subject> subject_of(std::uint64_t seed, const std::string& target) {
  const Network network = random_graph(seed);
  try {
    const Compiled compiled = compile_network(network.graph, network.state, {});
    Subject subject{fmt::format("random {}", seed), "", "", checker::read_plan(compiled.plan)};
    if (input_bits(subject.plan) > kMostBits) return std::nullopt;
    for (const CSourceFile& file : emit_c(compiled, {.prefix = "net", .target = target})) {
      if (file.name == "net.c") subject.source = file.text;
      if (file.name == "net.h") subject.header = file.text;
    }
    if (subject.source.size() > kLongestSource) return std::nullopt;
    return subject;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

mutate::Score score_of(const Subject& subject, std::int64_t count, std::uint64_t seed) {
  const auto prove = [&](const std::string& source) {
    (void)c_proof::prove_c({"net.h", subject.header, source, "net"}, subject.plan);
  };
  return mutate::score_c(subject.source,
                         {.count = count,
                          .seed = seed,
                          .network = subject.name,
                          .prove = prove,
                          .run_all = [&](const std::string& c) { return run_all(subject, c); }});
}

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace

TEST_CASE("changed C that the proof accepts gives the same outputs on every input") {
  const auto mutants = static_cast<std::int64_t>(setting("LOCKSTEP_C_MUTANTS", 400));
  const std::uint64_t seed = setting("LOCKSTEP_FUZZ_SEED", 1);
  mutate::Score sum;
  for (std::uint64_t number = 0; sum.total().made < mutants; ++number)
    if (const auto subject = subject_of(number, "generic"))
      sum += score_of(*subject, kMutantsPerNetwork, seed + number);
  MESSAGE(mutate::to_text(sum));
  CHECK(sum.survivors.empty());
  CHECK(sum.total().unjudged > mutants / 2);
  CHECK(sum.total().equal > mutants / 20);
}

// The same of C that calls micro-kernels, which random networks this small seldom do.
TEST_CASE("changed C with micro-kernels that the proof accepts gives the same outputs") {
  const auto mutants = static_cast<std::int64_t>(setting("LOCKSTEP_C_MUTANTS", 400)) / 2;
  const std::uint64_t seed = setting("LOCKSTEP_FUZZ_SEED", 1);
  mutate::Score sum;
  for (std::uint64_t number = 0; number < 3000 && sum.total().made < mutants; ++number)
    for (const char* const target : {"cortex-m4", "cortex-m3"}) {
      const auto subject = subject_of(number, target);
      if (subject && contains(subject->source, "#define INTRT_MICRO_"))
        sum += score_of(*subject, kMutantsPerNetwork, seed + number);
    }
  MESSAGE(mutate::to_text(sum));
  CHECK(sum.survivors.empty());
}

}  // namespace lockstep::test
