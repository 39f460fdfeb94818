#include "verify/differential/emulated_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "compile/support/error.h"
#include "verify/differential/c_build.h"
#include "verify/differential/harness_stream.h"

namespace lockstep::verify {
namespace {

struct Failed {
  std::string reason;
};

class Bench {
 public:
  Bench(const CTarget& target, const CProgram& program, const OpenPlan& plan, const Batch& inputs)
      : target_(target),
        program_(program),
        plan_(plan),
        inputs_(inputs),
        table_(plan_table(plan)),
        input_(harness_input(table_, inputs, 1)) {}

  EmulatedBench run() const {
    EmulatedBench result;
    const PlanRun expected = run_plan(plan_, "scalar", inputs_, 1);
    if (!expected.seen) throw Failed{expected.failure};
    CBuild observed(target_, program_, CBuildKind::kObserved);
    // A C of another plan says so.
    result.arena_bytes =
        run_samples(observed, harness_input(table_, {}, 0), 0, true).table.arena_bytes;
    const std::vector<std::uint32_t> order = run_build(observed, true, *expected.seen).order;

    CBuild deployed(target_, program_, CBuildKind::kDeployed);
    result.whole.stack_bytes = run_build(deployed, false, *expected.seen).stack_bytes;
    result.whole.counts = counts_of(deployed, 1).front();
    result.whole.opening = deployed.opening();
    const std::optional<ObjectSizes> sizes = deployed.sizes();
    if (!sizes) throw Failed{"the compiled network is no object file"};
    result.whole.code_bytes = sizes->code_bytes;
    result.whole.constant_bytes = sizes->constant_bytes;
    result.whole.stack_bound_bytes = deployed.stack_bound_bytes();
    const auto bounds = deployed.stack_bounds();
    for (const Symbol& symbol : deployed.symbols()) {
      const auto bound = bounds.find(symbol.name);
      result.symbols.push_back(
          {symbol.name, symbol.bytes, symbol.is_code,
           bound == bounds.end() ? std::nullopt : std::optional(bound->second)});
    }

    CBuild marked(target_, program_, CBuildKind::kMarked);
    run_build(marked, false, *expected.seen);
    const std::vector<ExecutionCounts> regions = counts_of(marked, std::ssize(order) + 1);
    result.outside = regions.back();
    for (std::size_t i = 0; i < order.size(); ++i)
      if (std::ranges::find(table_.inputs, order[i]) != table_.inputs.end())
        add(result.outside, regions[i]);
      else
        result.operators.push_back({order[i], regions[i]});
    return result;
  }

 private:
  static void add(ExecutionCounts& sum, const ExecutionCounts& more) {
    for (const auto member : kExecutionCounts) sum.*member += more.*member;
  }

  // Whatever the build says about itself must be the plan's.
  HarnessOutput run_samples(CBuild& build, std::span<const std::byte> input, std::int64_t samples,
                            bool every_tensor) const {
    const CBuild::Output output = build.run(input, kOutputSlackBytes + input.size() * 4096);
    if (!output.failure.empty()) throw Failed{output.failure};
    HarnessOutput parsed = parse_harness_output(output.bytes, samples, every_tensor);
    if (!parsed.seen) throw Failed{parsed.failure};
    if (const auto difference = first_difference(table_, parsed.table, build.subject()))
      throw Failed{fmt::format("layer '{}': {}", difference->layer, difference->text)};
    return parsed;
  }

  HarnessOutput run_build(CBuild& build, bool every_tensor, const Observations& expected) const {
    HarnessOutput parsed = run_samples(build, input_, 1, every_tensor);
    const std::vector<std::vector<std::int64_t>>& codes = parsed.seen->codes;
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const std::size_t tensor = every_tensor ? i : of_output(i);
      if (codes[i] != expected.codes[tensor])
        throw Failed{fmt::format("tensor '{}' is not what the plan computes",
                                 expected.tensors[tensor].name)};
    }
    return parsed;
  }

  // Of the outputs in the order of the tensors, as a build that reports no more has them.
  std::size_t of_output(std::size_t index) const {
    std::vector<std::uint32_t> outputs = table_.outputs;
    std::ranges::sort(outputs);
    const auto last = std::ranges::unique(outputs).begin();
    LOCKSTEP_ASSERT(static_cast<std::ptrdiff_t>(index) < last - outputs.begin());
    return outputs[index];
  }

  std::vector<ExecutionCounts> counts_of(const CBuild& build, std::int64_t regions) const {
    std::optional<std::vector<ExecutionCounts>> counts = build.counts(regions);
    if (!counts) throw Failed{"the instruction counter gave no result"};
    return *std::move(counts);
  }

  const CTarget& target_;
  const CProgram& program_;
  const OpenPlan& plan_;
  const Batch& inputs_;
  NetTable table_;
  std::vector<std::byte> input_;
};

}  // namespace

Batch random_inputs(const OpenPlan& plan, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const NetTable table = plan_table(plan);
  Batch batch;
  for (const std::uint32_t input : table.inputs) {
    const VisibleTensor& tensor = table.tensors[input];
    TensorCodes codes{.shape = {tensor.channels, tensor.height, tensor.width},
                      .decimals = tensor.decimals,
                      .codes = {}};
    const std::uint64_t count = std::uint64_t{1} << tensor.bits;
    const std::int64_t lowest = tensor.bytes ? 0 : -static_cast<std::int64_t>(count / 2);
    for (std::int64_t i = 0; i < tensor.element_count(); ++i)
      codes.codes.push_back(static_cast<std::int64_t>(random() % count) + lowest);
    batch.push_back(std::move(codes));
  }
  return batch;
}

EmulatedBench run_emulated(const CTarget& target, const CProgram& program, const OpenPlan& plan,
                           const Batch& inputs) {
  LOCKSTEP_ASSERT(target.emulated != nullptr);
  try {
    return Bench(target, program, plan, inputs).run();
  } catch (const Failed& failed) {
    EmulatedBench none;
    none.failure = failed.reason;
    return none;
  }
}

}  // namespace lockstep::verify
