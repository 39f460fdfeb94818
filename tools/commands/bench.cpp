// lockstep bench: how long one inference takes here, or what generated C costs on emulated cores.
// Random codes, since no kernel may be faster on some codes than on others; the same ones in every
// run.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>

#include "tools/commands/bench_target.h"
#include "tools/commands/command.h"
#include "tools/support/console.h"
#include "tools/support/open_plan.h"
#include "tools/support/options.h"

namespace lockstep::cli {
namespace {

struct BenchOptions {
  std::filesystem::path plan;
  TargetBenchOptions on_targets;  // when it names any
  std::string kernels;
  double seconds = 2.0;
  OutputOptions output;
};

using Clock = std::chrono::steady_clock;

// Inputs may share memory with later tensors, so they are written anew before each run; that is not
// part of the measured time.
struct Input {
  std::uint32_t tensor;
  std::vector<std::int32_t> codes;
};

std::vector<Input> random_inputs(const OpenPlan& plan) {
  std::mt19937 random(1);  // its sequence is fixed by the C++ standard
  std::vector<Input> inputs;
  for (std::uint32_t i = 0; i < intrt_input_count(plan.plan()); ++i) {
    const std::uint32_t index = intrt_input(plan.plan(), i);
    const intrt_tensor tensor = plan.tensor(index);
    Input input{index, std::vector<std::int32_t>(tensor.element_count)};
    const auto codes = std::uint64_t{1} << tensor.bits;
    const std::int64_t lowest =
        tensor.type == INTRT_UINT8 ? 0 : -static_cast<std::int64_t>(codes / 2);
    for (std::int32_t& code : input.codes)
      code = static_cast<std::int32_t>(static_cast<std::int64_t>(random() % codes) + lowest);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

int bench_here(const BenchOptions& options) {
  const std::string kernels = kernel_variant(options.kernels);
  OpenPlan plan(options.plan);
  plan.prepare(kernels);

  const std::vector<Input> inputs = random_inputs(plan);
  const auto run_once = [&]() -> double {
    for (const Input& input : inputs)
      store_codes(plan.tensor(input.tensor), input.codes, plan.data(input.tensor));
    const Clock::time_point start = Clock::now();
    plan.run();
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  };

  // A tenth of the time warms caches and the CPU's clock up.
  const Clock::time_point begin = Clock::now();
  const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  do run_once();
  while (elapsed() < 0.1 * options.seconds);
  std::vector<double> microseconds;
  do microseconds.push_back(run_once());
  while (elapsed() < options.seconds && microseconds.size() < 10'000'000);

  std::ranges::sort(microseconds);
  const double minimum = microseconds.front(), median = microseconds[microseconds.size() / 2];
  Console console(options.output);
  console.print(fmt::format("{}: {} kernels, {} inferences\nmedian   {:.1f} us\nminimum  {:.1f} us",
                            plan.path(), kernels, microseconds.size(), median, minimum));
  console.print_json({{"plan", plan.path()},
                      {"kernels", kernels},
                      {"inferences", microseconds.size()},
                      {"median_us", median},
                      {"minimum_us", minimum}});
  return kExitOk;
}

int bench(BenchOptions& options) {
  if (options.on_targets.targets.empty()) return bench_here(options);
  options.on_targets.plan = options.plan;
  Console console(options.output);
  return bench_targets(options.on_targets, console);
}

}  // namespace

Action add_bench(CLI::App& verb) {
  auto options = std::make_shared<BenchOptions>();
  add_path(verb, "--plan", options->plan, "The plan", "FILE")->required();
  CLI::Option* const kernels =
      verb.add_option("--kernels", options->kernels,
                      "Kernel variant to use (default: the best this CPU can run)")
          ->type_name("NAME");
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
          ->excludes(verb.get_option("--seconds"))
          ->delimiter(',')
          ->check(CLI::IsMember(bench_target_names()))
          ->type_name("LIST");
  c_folder->needs(targets);
  add_path(verb, "--report", options->on_targets.report,
           "With --target: write the same as a page with charts", "FILE.html")
      ->needs(targets);
  add_output_options(verb, options->output);
  return [options] { return bench(*options); };
}

}  // namespace lockstep::cli
