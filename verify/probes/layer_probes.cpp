#include "verify/probes/layer_probes.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <random>

#include "verify/differential/c_build.h"
#include "verify/differential/harness_stream.h"
#include "verify/probes/op_runner.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
namespace {

constexpr std::int64_t kCodesPerRun = std::int64_t{2} << 20;  // of one run of the child
constexpr std::int64_t kFewestProbes = 32;
// Of all probes together, so that a large network has fewer instead of taking hours.
constexpr std::int64_t kMultiplications = std::int64_t{20'000'000'000};
constexpr std::int64_t kEmulatedProbes = 128;
constexpr std::int64_t kEmulatedMultiplications = std::int64_t{500'000'000};

class LayerProbes {
 public:
  LayerProbes(const OpenPlan& plan, const std::vector<ElementFacts>& held, const CTarget& target,
              const Options& options)
      : table_(plan_table(plan)),
        held_(held),
        target_(target),
        most_(target.emulated != nullptr ? std::min(options.c_probes, kEmulatedProbes)
                                         : options.c_probes),
        random_(options.seed) {
    order_ = table_.inputs;
    std::int64_t multiplications = 1;
    for (std::uint32_t k = 0; k < intrt_op_count(plan.get()); ++k) {
      operators_.emplace_back(read_op(plan, k), table_.tensors);
      const PlanOp& op = operators_.back().op();
      const VisibleTensor& output = table_.tensors[op.output];
      order_.push_back(op.output);
      if (op.is_weighted())
        multiplications += output.element_count() / output.channels * std::ssize(op.weights);
    }
    for (const VisibleTensor& tensor : table_.tensors) codes_per_probe_ += tensor.element_count();
    const std::int64_t all =
        target.emulated != nullptr ? kEmulatedMultiplications : kMultiplications;
    most_ = std::min(most_, std::max(all / multiplications, kFewestProbes));
  }

  ProbeResult run(const CProgram& program) {
    CBuild build(target_, program, CBuildKind::kProbed);
    result_.report.path = fmt::format("{} layer probes", target_.name);
    const std::int64_t batch = std::max<std::int64_t>(kCodesPerRun / codes_per_probe_, 1);
    while (made_ < most_ && !result_.refuted && result_.failure.empty()) {
      std::vector<Probe> probes;
      while (std::ssize(probes) < batch && made_ < most_) probes.push_back(make_probe());
      run_batch(build, probes);
    }
    return std::move(result_);
  }

 private:
  Probe make_probe() {
    Probe probe;
    for (const ElementFacts& facts : held_) probe.push_back(random_codes(facts));
    made_ += 1;
    return probe;
  }

  // In the first two probes all lowest and all highest codes, then in turn codes of the whole range
  // and extremes.
  std::vector<std::int64_t> random_codes(const ElementFacts& facts) {
    std::vector<std::int64_t> codes(facts.lo.size());
    for (std::size_t e = 0; e < codes.size(); ++e) {
      const std::uint64_t number = random_();
      const std::int64_t lo = facts.lo[e], hi = facts.hi[e];
      const bool low = made_ < 2 ? made_ == 0 : (number >> 40 & 1) != 0;
      if (made_ < 2 || made_ % 4 == 3)
        codes[e] = low ? lo : hi;
      else
        codes[e] = lo + static_cast<std::int64_t>(number % static_cast<std::uint64_t>(hi - lo + 1));
    }
    return codes;
  }

  void run_batch(CBuild& build, const std::vector<Probe>& probes) {
    const std::vector<std::byte> input = probe_input(table_, order_, probes);
    const CBuild::Output output = build.run(input, kOutputSlackBytes + 4 * input.size());
    const auto count = static_cast<std::int64_t>(probes.size());
    HarnessOutput parsed;
    if (output.failure.empty()) parsed = parse_harness_output(output.bytes, count, true);
    if (!parsed.seen) {
      result_.failure = output.failure.empty() ? parsed.failure : output.failure;
      return;
    }
    for (std::int64_t p = 0; p < count; ++p)
      for (const OpRunner& one : operators_)
        if (!result_.refuted) compare(one, probes[at(p)], *parsed.seen, p);
    result_.report.probes += count;
  }

  // What the operator made of the codes that it was given.
  void compare(const OpRunner& one, const Probe& probe, const Observations& seen, std::int64_t p) {
    const std::uint32_t target = one.op().output;
    const VisibleTensor& output = table_.tensors[target];
    const std::vector<std::int64_t> expected = one.run(probe);
    for (std::int64_t e = 0; e < output.element_count(); ++e) {
      const std::int64_t found = seen.codes[target][at(p * output.element_count() + e)];
      if (found == expected[at(e)]) continue;
      const int decimal = output.decimal(e);
      result_.refuted = Refuted{
          one.op().node,
          fmt::format("{}: layer '{}', {} of '{}', probe {}: expected {} * 2^{}, found {} * 2^{}",
                      result_.report.path, one.op().node, place_text(output, e), output.name,
                      result_.report.probes + p, expected[at(e)], -decimal, found, -decimal)};
      return;
    }
  }

  NetTable table_;
  const std::vector<ElementFacts>& held_;
  const CTarget& target_;
  std::int64_t most_, made_ = 0, codes_per_probe_ = 0;
  std::mt19937_64 random_;
  std::vector<std::uint32_t> order_;  // tensors as the C reports them
  std::deque<OpRunner> operators_;
  ProbeResult result_;
};

}  // namespace

ProbeResult run_layer_probes(const OpenPlan& plan, const std::vector<ElementFacts>& held,
                             const CTarget& target, const CProgram& program,
                             const Options& options) {
  return LayerProbes(plan, held, target, options).run(program);
}

}  // namespace lockstep::verify
