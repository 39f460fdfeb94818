#include "verify/verify.h"

#include <fmt/format.h>

#include <algorithm>

#include "verify/differential/differential.h"
#include "verify/probes/layer_probes.h"
#include "verify/proof/constants.h"
#include "verify/semantics/exact_network.h"
#include "verify/worst/worst_inputs.h"

namespace lockstep::verify {
namespace {

// The unstable layers, and every node that is one or behind one.
struct UnstableNodes {
  std::vector<std::string> layers;
  std::vector<std::string> affected;
};
UnstableNodes find_unstable(const ExactNetwork& network) {
  UnstableNodes result = {unstable_layers(network), {}};
  const auto is_affected = [&](const std::string& name) {
    return std::ranges::find(result.affected, name) != result.affected.end();
  };
  for (const Node& node : network.graph().nodes) {
    const bool unstable = std::ranges::find(result.layers, node.name) != result.layers.end();
    if (unstable || std::ranges::any_of(node.inputs, is_affected))
      result.affected.push_back(node.name);
  }
  return result;
}

std::string unstable_text(const ExactNetwork& network, const UnstableNodes& unstable) {
  std::string text;
  for (const std::string& layer : unstable.layers)
    text += fmt::format(
        "; float32 is not order-stable in layer '{}': its sums reach {} steps, 2^24 or more", layer,
        network.constants(layer)->largest_sum);
  return text;
}

// Only where the constants are proved and the C agreed: probes rest on the first, and are of no use
// without the second. On the fastest code of the first compiler, of the host if that is a target:
// the constants are the same in all.
std::optional<ProbeResult> probe_c(const OpenPlan& plan, const ConstantsResult& constants,
                                   const DifferentialResult& run, const Options& options) {
  if (!options.c_folder || options.c_probes == 0 || run.samples == 0 || constants.refuted ||
      constants.unknown || run.first_divergence || !run.failures.empty())
    return std::nullopt;
  const CProgram program = {*options.c_folder, options.c_prefix, options.child_timeout};
  const std::vector<CTarget> targets = c_targets(options.targets);
  auto target = std::ranges::find_if(targets, [](const CTarget& one) {
    return one.emulated == nullptr && one.optimization == "-O3";
  });
  if (target == targets.end()) target = targets.begin();
  return run_layer_probes(plan, constants.held, *target, program, options);
}

// How far the paths agreed, in words.
std::string agreement_text(const DifferentialResult& run, const Options& options) {
  std::string text = fmt::format("agreed on {} inputs", run.samples);
  if (!options.proof) text += ", not proved";
  if (options.float_path == nullptr) text += "; float path not compared";
  const auto least = std::ranges::min_element(run.paths, {}, &PathReport::samples);
  if (least != run.paths.end() && least->samples < run.samples)
    text +=
        fmt::format("; the least tested path, {}, ran on {} of them", least->path, least->samples);
  return text;
}

// Of a plan that the checker proved and whose paths agreed.
Verdict verdict_of_proof(const ProofOutcome& proof, const std::string& agreement,
                         const Options& options) {
  if (proof.kind == ProofOutcome::Kind::kUnknown)
    return Unknown{fmt::format("not proved: obligation '{}': {}; {}", proof.obligation, proof.text,
                               agreement)};
  const bool has_c_proof = options.c_proof && options.c_proof->kind == ProofOutcome::Kind::kProved;
  if (options.c_folder && !has_c_proof)
    return Unknown{fmt::format("the plan is proved, but not its C: {}; {}",
                               options.c_proof ? options.c_proof->text : "no proof was asked for",
                               agreement)};
  std::string reference = "float32";
  for (const std::string& layer : proof.unstable_layers)
    reference += fmt::format("{} '{}'",
                             &layer == proof.unstable_layers.data()
                                 ? ", and double where float32 is not order-stable, in"
                                 : ",",
                             layer);
  return Proved{fmt::format("for every input, against {}; {}", reference, agreement)};
}

Verdict judge(const ExactNetwork& network, const ConstantsResult& constants,
              const DifferentialResult& run, const std::optional<ProbeResult>& probes,
              const Options& options, Report& report) {
  if (constants.refuted) return *constants.refuted;
  if (options.proof && options.proof->kind == ProofOutcome::Kind::kRefuted)
    return Refuted{options.proof->layer, options.proof->text};
  if (run.first_divergence) return Refuted{run.first_divergence->layer, run.first_divergence->text};
  if (run.first_double_divergence)
    return Refuted{run.first_double_divergence->layer, run.first_double_divergence->text};
  if (probes && probes->refuted) return *probes->refuted;
  const UnstableNodes unstable = find_unstable(network);
  if (run.first_float_divergence) {
    const Divergence& divergence = *run.first_float_divergence;
    if (std::ranges::find(unstable.affected, divergence.layer) == unstable.affected.end())
      return Refuted{divergence.layer, divergence.text};
    report.float32_witness = divergence.text;
    // What was proved is proved against double there.
    if (!options.proof || options.proof->kind != ProofOutcome::Kind::kProved)
      return Unknown{divergence.text + unstable_text(network, unstable)};
  }
  if (constants.unknown)
    return Unknown{fmt::format("the plan is not understood: {}", *constants.unknown)};
  if (!run.failures.empty())
    return Unknown{fmt::format("{}: {}", run.failures[0].path, run.failures[0].reason)};
  if (probes && !probes->failure.empty())
    return Unknown{fmt::format("{}: {}", probes->report.path, probes->failure)};
  if (run.samples == 0) return Unknown{"nothing was compared: no samples"};
  report.agreed = true;
  const std::string agreement = agreement_text(run, options);
  if (options.proof) return verdict_of_proof(*options.proof, agreement, options);
  return Unknown{agreement + unstable_text(network, unstable)};
}

}  // namespace

Report verify_plan(const Graph& graph, const StateDict& state, std::span<const Batch> data,
                   const Options& options) {
  const Parameters parameters = bind_parameters(graph, state);
  const ExactNetwork network(graph, parameters);
  const OpenPlan plan(options.plan);

  const ConstantsResult constants = check_constants(network, parameters, plan);
  if (options.progress)
    options.progress(fmt::format("constants: {} numbers re-derived from graph and state dict",
                                 constants.checked));
  WorstInputs worst = worst_inputs_for(network, options);
  if (options.progress)
    options.progress(fmt::format("worst-case inputs: {} cases of {} channels searched, {} inputs",
                                 worst.cases.size(), worst.channels, worst.inputs.size()));
  const std::int64_t channels = worst.channels;
  const DifferentialResult run = run_differential(network, plan, data, options, std::move(worst));

  const std::optional<ProbeResult> probes = probe_c(plan, constants, run, options);
  if (probes && options.progress)
    options.progress(fmt::format("{}: {} probes", probes->report.path, probes->report.probes));

  Report report;
  if (probes) report.c_probes = probes->report;
  report.verdict = judge(network, constants, run, probes, options, report);
  report.samples = run.samples;
  report.worst_cases = run.worst_cases;
  report.channels = channels;
  report.paths = run.paths;
  report.constants_checked = constants.checked;
  report.constants_agree = !constants.refuted && !constants.unknown;
  report.float_predictions = run.float_predictions;
  report.plan_predictions = run.plan_predictions;
  return report;
}

}  // namespace lockstep::verify
