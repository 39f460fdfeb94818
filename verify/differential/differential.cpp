#include "verify/differential/differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "verify/differential/c_runner.h"
#include "verify/differential/output_names.h"
#include "verify/differential/samples.h"

namespace lockstep::verify {
namespace {

// How many codes of all nodes together a batch may hold: 64 MiB.
constexpr std::int64_t kCodesPerBatch = std::int64_t{8} << 20;
constexpr std::int64_t kMostSamplesPerBatch = 256;
constexpr std::int64_t kEmulatedSamples = 2;
constexpr std::int64_t kFewestCSamples = 8;

void append(Batch& batch, Batch more) {
  if (batch.empty()) {
    batch = std::move(more);
    return;
  }
  for (std::size_t i = 0; i < batch.size(); ++i)
    batch[i].codes.insert(batch[i].codes.end(), more[i].codes.begin(), more[i].codes.end());
}

// Index of the largest value; the first of equal ones.
template <typename ValueAt>
std::int64_t argmax(std::int64_t count, const ValueAt& value_at) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < count; ++i)
    if (value_at(i) > value_at(best)) best = i;
  return best;
}

class Run {
 public:
  Run(const ExactNetwork& network, const OpenPlan& plan, std::span<const Batch> data,
      const Options& options, WorstInputs worst)
      : network_(network),
        plan_(plan),
        options_(options),
        samples_(network, data, options, std::move(worst)) {}

  DifferentialResult run() {
    CProgram program;
    std::vector<CTarget> targets;
    prepare(program, targets);
    run_batches();
    for (const CTarget& target : targets) run_target(program, target);
    result_.samples = samples_.count();
    for (const WorstCase& worst : samples_.worst().cases)
      result_.worst_cases.push_back({worst.layer, worst.channel, worst.largest, worst.bound,
                                     worst.attained, samples_.worst_sample(worst.input)});
    return std::move(result_);
  }

 private:
  SampleName sample_name() const {
    return [this](std::int64_t sample) { return samples_.name(sample); };
  }

  void progress(const std::string& line) const {
    if (options_.progress) options_.progress(line);
  }

  // Before any work is done, so that a missing compiler is reported at once.
  void prepare(CProgram& program, std::vector<CTarget>& targets) const {
    if (options_.c_folder) {
      program = {*options_.c_folder, options_.c_prefix, options_.child_timeout};
      require_c_files(program);
      targets = c_targets(options_.targets);
      return;
    }
    program.plan = &plan_;
    program.timeout = options_.child_timeout;
    targets = plan_targets(options_.targets);
  }

  std::int64_t codes_per_sample() const {
    std::int64_t codes = 0;
    for (const GraphInput& input : network_.graph().inputs)
      codes += network_.format(input.name).element_count();
    for (const Node& node : network_.graph().nodes)
      codes += network_.format(node.name).element_count();
    return codes;
  }

  // C runs on all its samples at once, so that it is compiled once: as many as one batch may hold,
  // but not so few that data, random codes and corners do not each have their turn.
  std::int64_t most_c_samples() const {
    return std::max<std::int64_t>(kCodesPerBatch / codes_per_sample(), kFewestCSamples);
  }

  // The float path and the plan, on everything, batch by batch so that memory stays flat.
  void run_batches() {
    const std::int64_t batch_samples =
        std::clamp<std::int64_t>(kCodesPerBatch / codes_per_sample(), 1, kMostSamplesPerBatch);

    std::vector<Comparison> plans;
    const std::vector<std::string> variants = kernel_variants_here();
    for (const std::string& variant : variants)
      plans.emplace_back(network_, fmt::format("plan ({})", variant), sample_name());
    std::vector<bool> alive(variants.size(), true);
    Comparison floats(network_, "float (LibTorch)", sample_name()),
        doubles(network_, "float64 (LibTorch)", sample_name());
    const std::vector<std::string> float_nodes = nodes_for_float();
    const std::vector<std::string> double_layers = layers_for_double();

    for (std::int64_t first = 0; first < samples_.count();) {
      std::int64_t count = batch_samples;
      const Batch batch = samples_.take(first, count);
      const NodeValues exact = network_.evaluate(batch, count);
      for (std::size_t v = 0; v < variants.size(); ++v) {
        if (!alive[v]) continue;
        const PlanRun ran = run_plan(plan_, variants[v], network_.graph(), batch, count);
        if (!ran.seen) {
          fail(plans[v], ran.failure);
          alive[v] = false;
          continue;
        }
        plans[v].compare_codes(*ran.seen, exact, first);
        plans[v].add_samples(count);
        if (v == 0) predict(*ran.seen, first);
      }
      if (options_.float_path != nullptr)
        run_floats(floats, float_nodes, batch, exact, first, count);
      if (!double_layers.empty())
        run_doubles(doubles, float_nodes, double_layers, batch, exact, first, count);
      first += count;
    }
    for (std::size_t v = 0; v < variants.size(); ++v) {
      if (alive[v] && samples_.count() > 0) require_outputs(plans[v]);
      finish(plans[v], result_.first_divergence);
    }
    if (options_.float_path != nullptr) finish(floats, result_.first_float_divergence);
    if (!double_layers.empty()) finish(doubles, result_.first_double_divergence);
  }

  // What bytes become, every quantize node, every tensor that the plan shows, and the outputs.
  std::vector<std::string> nodes_for_float() const {
    std::vector<std::string> shown;
    for (std::uint32_t t = 0; t < intrt_tensor_count(plan_.get()); ++t) {
      const VisibleTensor tensor = plan_.tensor(t);
      if (tensor.named || !tensor.offsets.empty()) shown.push_back(tensor.name);
    }
    std::vector<std::string> names;
    for (const GraphInput& input : network_.graph().inputs)
      if (input.raw) names.push_back(input.name);
    for (const Node& node : network_.graph().nodes)
      if (node.op == "quantize" || std::ranges::find(shown, node.name) != shown.end() ||
          std::ranges::find(network_.graph().outputs, node.name) != network_.graph().outputs.end())
        names.push_back(node.name);
    return names;
  }

  void run_floats(Comparison& floats, const std::vector<std::string>& nodes, const Batch& batch,
                  const NodeValues& exact, std::int64_t first, std::int64_t count) {
    const std::vector<std::vector<float>> values = options_.float_path->run(batch, count, nodes);
    LOCKSTEP_ASSERT(values.size() == nodes.size());
    for (std::size_t n = 0; n < nodes.size(); ++n)
      floats.compare_floats<float>(nodes[n], values[n], exact, count, first);
    floats.add_samples(count);
    const auto output = std::ranges::find(nodes, network_.graph().outputs[0]);
    if (output == nodes.end()) return;  // the output is an input
    const std::vector<float>& scores = values[static_cast<std::size_t>(output - nodes.begin())];
    const std::int64_t elements = network_.format(*output).element_count();
    for (std::int64_t s = 0; s < count && first + s < samples_.data_count(); ++s)
      result_.float_predictions.push_back(argmax(elements, [&](std::int64_t i) {
        return scores[static_cast<std::size_t>(s * elements + i)];
      }));
  }

  // The unstable layers, if double holds the sums of all of them exactly; else none.
  std::vector<std::string> layers_for_double() const {
    constexpr std::int64_t kDoubleSteps = std::int64_t{1} << 53;
    if (options_.float_path == nullptr) return {};
    std::vector<std::string> layers = unstable_layers(network_);
    const bool all = std::ranges::all_of(layers, [&](const std::string& layer) {
      return network_.constants(layer)->largest_sum <= kDoubleSteps;
    });
    return all ? layers : std::vector<std::string>{};
  }

  void run_doubles(Comparison& doubles, const std::vector<std::string>& nodes,
                   const std::vector<std::string>& layers, const Batch& batch,
                   const NodeValues& exact, std::int64_t first, std::int64_t count) const {
    const std::vector<std::vector<double>> values =
        options_.float_path->run_in_double(batch, count, nodes, layers);
    LOCKSTEP_ASSERT(values.size() == nodes.size());
    for (std::size_t n = 0; n < nodes.size(); ++n)
      doubles.compare_floats<double>(nodes[n], values[n], exact, count, first);
    doubles.add_samples(count);
  }

  void predict(const Observations& seen, std::int64_t first) {
    if (seen.outputs.empty()) return;
    const std::uint32_t output = seen.outputs[0];
    const VisibleTensor& tensor = seen.tensors[output];
    const std::int64_t elements = tensor.element_count();
    for (std::int64_t s = 0; s < seen.samples && first + s < samples_.data_count(); ++s)
      result_.plan_predictions.push_back(argmax(elements, [&](std::int64_t i) {
        const std::int64_t code = seen.codes[output][static_cast<std::size_t>(s * elements + i)];
        const double value = std::ldexp(static_cast<double>(code), -tensor.decimal(i));
        if (tensor.offsets.empty()) return value;
        const std::int64_t plane = std::int64_t{tensor.height} * tensor.width;
        return static_cast<double>(enter_float(code, tensor.decimal(i)) +
                                   tensor.offsets[static_cast<std::size_t>(i / plane)]);
      }));
  }

  // The plan may hide tensors inside fused operators, but not the network's outputs.
  void require_outputs(Comparison& comparison) const {
    const auto& outputs = network_.graph().outputs;
    const std::uint32_t count = intrt_output_count(plan_.get());
    if (count != outputs.size())
      comparison.refute(
          outputs[0], fmt::format("the plan has {} outputs, the graph {}", count, outputs.size()));
    for (std::uint32_t i = 0; i < count && i < outputs.size(); ++i) {
      const std::string name = plan_.tensor(intrt_output(plan_.get(), i)).name;
      if (!is_output_name(network_.graph(), outputs[i], name))
        comparison.refute(outputs[i], fmt::format("the plan's output {} is '{}'", i, name));
    }
  }

  void run_target(const CProgram& program, const CTarget& target) {
    const std::int64_t wanted = target.emulated != nullptr
                                    ? std::min(options_.c_samples, kEmulatedSamples)
                                    : std::min(options_.c_samples, most_c_samples());
    const std::vector<std::int64_t> chosen = samples_.choose(wanted);
    Comparison comparison(network_, target.name, [&](std::int64_t i) {
      return samples_.name(chosen[static_cast<std::size_t>(i)]);
    });
    const auto count = static_cast<std::int64_t>(chosen.size());
    if (count == 0) {
      fail(comparison, "no samples");
      finish(comparison, result_.first_divergence);
      return;
    }
    Batch batch;
    for (const std::int64_t sample : chosen) {
      std::int64_t one = 1;
      append(batch, samples_.take(sample, one));
    }
    const NodeValues exact = network_.evaluate(batch, count);
    const CRun ran = run_c(target, program, network_.graph(), plan_table(plan_), batch, count);
    if (ran.difference) comparison.refute(ran.difference->layer, ran.difference->text);
    if (!ran.failure.empty()) fail(comparison, ran.failure);
    if (ran.seen) {
      comparison.compare_codes(*ran.seen, exact, 0);
      comparison.add_samples(count);
      if (ran.deployed) comparison.compare_codes(*ran.deployed, exact, 0);
      comparison.report().cost = ran.cost;
    }
    finish(comparison, result_.first_divergence);
  }

  void fail(Comparison& comparison, const std::string& reason) {
    comparison.report().failure = reason;
    result_.failures.push_back({comparison.report().path, reason});
  }

  void finish(const Comparison& comparison, std::optional<Divergence>& first) {
    const PathReport& report = comparison.report();
    result_.paths.push_back(report);
    const std::optional<Divergence>& divergence = comparison.first_divergence();
    if (divergence && (!first || divergence->order < first->order)) first = divergence;
    progress(fmt::format("{}: {} samples, {} tensors, {} values, {} differing", report.path,
                         report.samples, report.tensors, report.values, report.differing));
  }

  const ExactNetwork& network_;
  const OpenPlan& plan_;
  const Options& options_;
  Samples samples_;
  DifferentialResult result_;
};

}  // namespace

DifferentialResult run_differential(const ExactNetwork& network, const OpenPlan& plan,
                                    std::span<const Batch> data, const Options& options,
                                    WorstInputs worst) {
  return Run(network, plan, data, options, std::move(worst)).run();
}

}  // namespace lockstep::verify
