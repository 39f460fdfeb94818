// lockstep bench: how long one inference takes here, or what generated C costs on emulated cores.
// Random codes, since no kernel may be faster on some codes than on others; the same ones in every
// run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "lockstep/model.h"
#include "tools/commands/bench_target.h"
#include "tools/commands/command.h"
#include "tools/model/plan_tensors.h"
#include "tools/profile/profile.h"
#include "tools/report/profile_page.h"
#include "tools/support/console.h"
#include "tools/support/model_options.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"

namespace lockstep::cli {
namespace {

struct BenchOptions {
  std::filesystem::path plan;
  TargetBenchOptions on_targets;  // when it names any
  ModelOptions model;
  bool profile = false;
  std::filesystem::path report;  // empty: none
  double seconds = 2.0;
  OutputOptions output;
};

using Clock = std::chrono::steady_clock;

std::vector<std::vector<std::int32_t>> random_inputs(const Model& model) {
  std::mt19937 random(1);  // its sequence is fixed by the C++ standard
  std::vector<std::vector<std::int32_t>> inputs;
  for (const TensorInfo& input : model.inputs()) {
    const auto codes = std::uint64_t{1} << input.bits;
    const std::int64_t lowest = input.is_bytes ? 0 : -static_cast<std::int64_t>(codes / 2);
    inputs.emplace_back(input.elements);
    for (std::int32_t& code : inputs.back())
      code = static_cast<std::int32_t>(static_cast<std::int64_t>(random() % codes) + lowest);
  }
  return inputs;
}

int bench_here(const BenchOptions& options) {
  Model model(options.plan, options.model);
  const std::vector<std::vector<std::int32_t>> codes = random_inputs(model);
  const std::vector<ModelInput> inputs(codes.begin(), codes.end());

  // A tenth of the time warms caches and the CPU's clock up.
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  do model.time(inputs);
  while (elapsed() < 0.1 * options.seconds);
  std::vector<double> microseconds;
  do microseconds.push_back(1e6 * model.time(inputs));
  while (elapsed() < options.seconds && microseconds.size() < 10'000'000);

  std::ranges::sort(microseconds);
  const double minimum = microseconds.front(), median = microseconds[microseconds.size() / 2];
  Console console(options.output);
  const std::string plan = options.plan.string();
  console.print(fmt::format(
      "{}: {} kernels, {} thread{}, {} inferences\nmedian   {:.1f} us\nminimum  {:.1f} us", plan,
      model.kernels(), model.threads(), model.threads() == 1 ? "" : "s", microseconds.size(),
      median, minimum));
  console.print_json({{"plan", plan},
                      {"kernels", model.kernels()},
                      {"threads", model.threads()},
                      {"inferences", microseconds.size()},
                      {"median_us", median},
                      {"minimum_us", minimum}});
  return kExitOk;
}

int profile_here(const BenchOptions& options) {
  ModelOptions model_options = options.model;
  model_options.kernels = kernel_variant(options.model.kernels);  // before an old report goes
  Outputs outputs({options.plan});
  if (!options.report.empty()) outputs.claim(options.report);
  Model model(options.plan, model_options);
  const std::vector<std::vector<std::int32_t>> codes = random_inputs(model);
  const std::vector<ModelInput> inputs(codes.begin(), codes.end());
  const Profile profile = profile_of(model, inputs, options.seconds);

  Console console(options.output);
  console.print(profile_text(profile));
  nlohmann::ordered_json json = profile_json(profile);
  json["plan"] = options.plan.string();
  if (!options.report.empty()) {
    write_file_atomically(options.report, profile_page(profile));
    console.print(fmt::format("\nreport  {}", options.report.string()));
    json["report"] = options.report.string();
  }
  console.print_json(json);
  outputs.keep();
  return kExitOk;
}

int bench(BenchOptions& options) {
  if (options.on_targets.targets.empty()) {
    if (!options.report.empty() && !options.profile)
      throw InputError("bench: --report needs --profile or --target, which measure what it shows");
    return options.profile ? profile_here(options) : bench_here(options);
  }
  options.on_targets.plan = options.plan;
  options.on_targets.report = options.report;
  Console console(options.output);
  return bench_targets(options.on_targets, console);
}

}  // namespace

Action add_bench(CLI::App& verb) {
  auto options = std::make_shared<BenchOptions>();
  add_path(verb, "--plan", options->plan, "The plan", "FILE")->required();
  CLI::Option* const kernels = add_model_options(verb, options->model);
  add_positive_real(verb, "--seconds", options->seconds, 3600.0, "How long to measure", "S");
  CLI::Option* const c_folder =
      add_path(verb, "--c", options->on_targets.c_folder,
               "With --target: the C of the plan, to run in its place", "DIR");
  verb.add_option("--prefix", options->on_targets.prefix, "Prefix of the C files")
      ->needs(c_folder)
      ->capture_default_str()
      ->type_name("NAME");
  CLI::Option* const targets =
      verb.add_option(
              "--target", options->on_targets.targets,
              "Count, operator by operator, what the plan, or its C, executes on emulated "
              "cores, comma-separated: cortex-m0, -m3, -m4, -m7, -m33 and -m55, rv32imc, aarch64, "
              "or all")
          ->excludes(kernels)
          ->excludes(verb.get_option("--threads"))
          ->excludes(verb.get_option("--seconds"))
          ->delimiter(',')
          ->check(CLI::IsMember(bench_target_names()))
          ->type_name("LIST");
  c_folder->needs(targets);
  verb.add_flag("--profile", options->profile,
                "Also the time of each operator, next to what this machine can multiply and read")
      ->excludes(targets);
  add_path(verb, "--report", options->report,
           "With --profile or --target: write the same as a page with charts", "FILE.html");
  add_output_options(verb, options->output);
  return [options] { return bench(*options); };
}

}  // namespace lockstep::cli
