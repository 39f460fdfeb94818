// lockstep run: one plan, .npy in, .npy out. All arrays are in PyTorch's axis order with the batch
// in front; codes are int32.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "compile/support/error.h"
#include "compile/support/input_codes.h"
#include "compile/support/npy.h"
#include "tools/commands/command.h"
#include "tools/run/named_files.h"
#include "tools/support/console.h"
#include "tools/support/open_plan.h"
#include "tools/support/options.h"
#include "tools/support/outputs.h"

namespace lockstep::cli {
namespace {

namespace fs = std::filesystem;

struct RunOptions {
  fs::path plan;
  std::vector<std::string> inputs, outputs;
  fs::path dump_folder;
  std::string kernels;
  OutputOptions output;
};

struct Samples {
  std::int64_t count = 0;
  std::vector<std::int32_t> codes;
};

// What the .npy holds, as codes of `tensor`.
Samples read_samples(const fs::path& file, const intrt_tensor& tensor) {
  const AnyNpyArray array = read_npy(file);
  const std::vector<std::int64_t> shape =
      std::visit([](const auto& any) { return any.shape; }, array);

  std::vector<std::int64_t> expected = logical_shape(tensor);
  Samples samples;
  if (shape == expected) {
    samples.count = 1;
  } else {
    std::vector<std::int64_t> with_batch = expected;
    with_batch.insert(with_batch.begin(), shape.empty() ? 0 : shape.front());
    if (shape != with_batch)
      throw InputError(
          fmt::format("{}: shape {}, but input '{}' takes {} with or without a batch "
                      "dimension in front",
                      file.string(), shape_text(shape), tensor.name, shape_text(expected)));
    samples.count = shape.front();
  }

  const std::vector<int> decimals(tensor.decimals, tensor.decimals + tensor.decimal_count);
  samples.codes = input_codes(file.string(), array,
                              {.name = tensor.name,
                               .bits = static_cast<int>(tensor.bits),
                               .bytes = tensor.type == INTRT_UINT8,
                               .decimals = decimals,
                               .elements_per_channel = std::size_t{tensor.height} * tensor.width});
  return samples;
}

// One per file, all with the same number of samples.
std::vector<Samples> read_inputs(const OpenPlan& plan, const std::vector<Binding>& inputs) {
  std::vector<Samples> samples;
  for (const Binding& input : inputs) {
    samples.push_back(read_samples(input.file, plan.tensor(input.tensor)));
    if (samples.back().count != samples.front().count)
      throw InputError(fmt::format("{}: {} samples, but {} holds {}", input.file.string(),
                                   samples.back().count, inputs.front().file.string(),
                                   samples.front().count));
  }
  return samples;
}

// Codes of one tensor over all samples, to be written to `file`.
struct Recording {
  std::uint32_t tensor;
  fs::path file;
  std::vector<std::int32_t> codes;
};

struct Observation {
  OpenPlan* plan;
  std::vector<Recording>* recordings;
  std::int64_t sample;
};

void record(void* context, std::uint32_t tensor, const void* data) {
  auto* observation = static_cast<Observation*>(context);
  for (Recording& recording : *observation->recordings) {
    if (recording.tensor != tensor) continue;
    const intrt_tensor info = observation->plan->tensor(tensor);
    load_codes(info, data,
               std::span(recording.codes)
                   .subspan(static_cast<std::size_t>(observation->sample) * info.element_count,
                            info.element_count));
  }
}

std::vector<std::uint32_t> input_tensors(const OpenPlan& plan) {
  std::vector<std::uint32_t> tensors;
  for (std::uint32_t i = 0; i < intrt_input_count(plan.plan()); ++i)
    tensors.push_back(intrt_input(plan.plan(), i));
  return tensors;
}

std::vector<std::uint32_t> output_tensors(const OpenPlan& plan) {
  std::vector<std::uint32_t> tensors;
  for (std::uint32_t i = 0; i < intrt_output_count(plan.plan()); ++i)
    tensors.push_back(intrt_output(plan.plan(), i));
  return tensors;
}

// Every input of the plan with its file.
std::vector<Binding> bind_inputs(const OpenPlan& plan, const std::vector<NamedFile>& files) {
  const std::vector<std::uint32_t> tensors = input_tensors(plan);
  std::vector<Binding> inputs = bind_files(plan, "--input", files, tensors);
  for (const std::uint32_t tensor : tensors)
    if (std::ranges::find(inputs, tensor, &Binding::tensor) == inputs.end())
      throw InputError(fmt::format("--input {}=FILE is missing", plan.tensor(tensor).name));
  return inputs;
}

// Runs all samples; `recordings` then hold the codes of all of them.
void run_samples(OpenPlan& plan, const std::vector<Binding>& inputs,
                 const std::vector<Samples>& samples, std::vector<Recording>& recordings) {
  const std::int64_t count = samples.front().count;
  for (Recording& recording : recordings)
    recording.codes.resize(static_cast<std::size_t>(count) *
                           plan.tensor(recording.tensor).element_count);
  for (std::int64_t sample = 0; sample < count; ++sample) {
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const intrt_tensor tensor = plan.tensor(inputs[i].tensor);
      store_codes(tensor,
                  std::span(samples[i].codes)
                      .subspan(static_cast<std::size_t>(sample) * tensor.element_count,
                               tensor.element_count),
                  plan.data(inputs[i].tensor));
    }
    Observation observation{&plan, &recordings, sample};
    plan.run(record, &observation);
  }
}

// Writes the files and tells of them; returns what --json says.
nlohmann::ordered_json write_recordings(const OpenPlan& plan, std::int64_t samples,
                                        std::vector<Recording>& recordings, Console& console) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (Recording& recording : recordings) {
    const intrt_tensor tensor = plan.tensor(recording.tensor);
    NpyArray<std::int32_t> array{.shape = logical_shape(tensor),
                                 .values = std::move(recording.codes)};
    array.shape.insert(array.shape.begin(), samples);
    write_npy(recording.file, array);
    const std::vector<float> offsets = offsets_of(tensor);
    const std::vector<int> channels = channel_map_of(tensor);
    console.print(fmt::format(
        "{}: '{}' {} int32{}{}", recording.file.string(), tensor.name, shape_text(array.shape),
        offsets.empty() ? "" : ", values need their offsets (--json)",
        channels.empty() ? "" : fmt::format(", channels {} of it", fmt::join(channels, ", "))));
    files.push_back({{"file", recording.file.string()},
                     {"tensor", tensor.name},
                     {"shape", array.shape},
                     {"decimals", axis_decimals(tensor)},
                     {"offsets", offsets},
                     {"channel_map", channels}});
  }
  return files;
}

int run(const RunOptions& options) {
  if (options.outputs.empty() && options.dump_folder.empty())
    throw InputError("run: give --output, --dump-layers or both, or nothing would be kept");
  const std::string kernels = kernel_variant(options.kernels);

  const std::vector<NamedFile> input_files = split_names("--input", options.inputs);
  const std::vector<NamedFile> output_files = split_names("--output", options.outputs);
  std::vector<fs::path> read_files{options.plan};
  for (const NamedFile& input : input_files) read_files.push_back(input.file);
  Outputs outputs(read_files);
  for (const NamedFile& output : output_files) outputs.claim(output.file);

  OpenPlan plan(options.plan);
  const std::vector<Binding> inputs = bind_inputs(plan, input_files);
  std::vector<Recording> recordings;
  for (const Binding& result : bind_files(plan, "--output", output_files, output_tensors(plan)))
    recordings.push_back({result.tensor, result.file, {}});
  if (!options.dump_folder.empty()) {
    outputs.make_folder(options.dump_folder);
    const std::vector<Binding> dumps = dump_files(plan, options.dump_folder);
    require_no_other_arrays(options.dump_folder, dumps, inputs);
    for (const Binding& dump : dumps) {
      outputs.claim(dump.file);
      recordings.push_back({dump.tensor, dump.file, {}});
    }
  }

  const std::vector<Samples> samples = read_inputs(plan, inputs);
  plan.prepare(kernels);
  run_samples(plan, inputs, samples, recordings);
  Console console(options.output);
  const std::int64_t count = samples.front().count;
  const nlohmann::ordered_json files = write_recordings(plan, count, recordings, console);
  console.print_json({{"plan", plan.path()}, {"samples", count}, {"files", files}});
  outputs.keep();
  return kExitOk;
}

}  // namespace

Action add_run(CLI::App& verb) {
  auto options = std::make_shared<RunOptions>();
  add_path(verb, "--plan", options->plan, "The plan", "FILE")->required();
  verb.add_option("--input", options->inputs,
                  "Input codes (int8 to int64), numbers (float32, quantized in the input's format) "
                  "or the bytes of a raw input, shape (N,C,H,W) or (C,H,W); once per input")
      ->required()
      ->type_name("[NAME=]X.npy")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_option("--output", options->outputs,
                  "Output codes, int32 (N,C,H,W); value = code * 2^-decimal, + offset where --json "
                  "gives offsets; once per output")
      ->type_name("[NAME=]Y.npy")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  add_path(verb, "--dump-layers", options->dump_folder,
           "Write NODE.npy for every visible tensor into this folder, which may hold no other .npy",
           "DIR");
  verb.add_option("--kernels", options->kernels,
                  "Kernel variant to use (default: the best this CPU can run)")
      ->type_name("NAME");
  add_output_options(verb, options->output);
  return [options] { return run(*options); };
}

}  // namespace lockstep::cli
