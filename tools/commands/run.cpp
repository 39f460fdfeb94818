// lockstep run: one plan, .npy in, .npy out. All arrays are in PyTorch's axis order with the batch
// in front; codes are int32.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>

#include "compile/support/error.h"
#include "compile/support/input_codes.h"
#include "compile/support/npy.h"
#include "lockstep/model.h"
#include "tools/commands/command.h"
#include "tools/model/plan_tensors.h"
#include "tools/run/named_files.h"
#include "tools/support/console.h"
#include "tools/support/model_options.h"
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
  ModelOptions model;
  OutputOptions output;
};

// What the .npy holds, as codes of the input: one sample or more.
std::vector<std::int32_t> read_samples(const fs::path& file, const TensorInfo& input) {
  const AnyNpyArray array = read_npy(file);
  const std::vector<std::int64_t> shape =
      std::visit([](const auto& any) { return any.shape; }, array);
  if (shape != input.shape) {
    std::vector<std::int64_t> with_batch = input.shape;
    with_batch.insert(with_batch.begin(), shape.empty() ? 0 : shape.front());
    if (shape != with_batch)
      throw InputError(
          fmt::format("{}: shape {}, but input '{}' takes {} with or without a batch "
                      "dimension in front",
                      file.string(), shape_text(shape), input.name, shape_text(input.shape)));
  }
  const std::size_t channels = static_cast<std::size_t>(input.shape.front());
  return input_codes(file.string(), array,
                     {.name = input.name,
                      .bits = input.bits,
                      .bytes = input.is_bytes,
                      .decimals = input.decimals,
                      .elements_per_channel = input.elements / channels});
}

// In the order of the model's inputs; all hold the same number of samples.
std::vector<std::vector<std::int32_t>> read_inputs(const Model& model,
                                                   const std::vector<Binding>& files) {
  std::vector<std::vector<std::int32_t>> inputs(model.inputs().size());
  std::size_t samples = 0;
  for (const Binding& file : files) {
    const TensorInfo& input = model.inputs()[file.tensor];
    inputs[file.tensor] = read_samples(file.file, input);
    const std::size_t count = inputs[file.tensor].size() / input.elements;
    if (&file == &files.front()) samples = count;
    if (count != samples)
      throw InputError(fmt::format("{}: {} samples, but {} holds {}", file.file.string(), count,
                                   files.front().file.string(), samples));
  }
  return inputs;
}

// Every input of the model with its file.
std::vector<Binding> bind_inputs(const Model& model, const std::vector<NamedFile>& files) {
  std::vector<Binding> inputs = bind_files("--input", files, model.inputs());
  for (std::size_t i = 0; i < model.inputs().size(); ++i)
    if (std::ranges::find(inputs, i, &Binding::tensor) == inputs.end())
      throw InputError(fmt::format("--input {}=FILE is missing", model.inputs()[i].name));
  return inputs;
}

// Codes of one tensor over all samples, to be written to `file`.
struct Recording {
  TensorInfo tensor;
  fs::path file;
  std::vector<std::int32_t> codes;
};

// Runs all samples. Returns what belongs into the files of outputs and layers.
std::vector<Recording> run_samples(Model& model,
                                   const std::vector<std::vector<std::int32_t>>& inputs,
                                   std::size_t samples, const std::vector<Binding>& output_files,
                                   const std::vector<Binding>& layer_files) {
  std::vector<std::vector<std::int32_t>> outputs;
  for (const TensorInfo& output : model.outputs()) outputs.emplace_back(samples * output.elements);
  std::vector<std::vector<std::int32_t>> layers;
  if (!layer_files.empty()) {
    for (const TensorInfo& layer : model.layers()) layers.emplace_back(samples * layer.elements);
    model.observe([&](std::size_t sample, std::size_t layer, std::span<const std::int32_t> codes) {
      std::ranges::copy(codes,
                        layers[layer].begin() + static_cast<std::ptrdiff_t>(sample * codes.size()));
    });
  }
  model.run(std::vector<ModelInput>(inputs.begin(), inputs.end()),
            std::vector<ModelOutput>(outputs.begin(), outputs.end()));

  std::vector<Recording> recordings;
  for (const Binding& file : output_files)
    recordings.push_back({model.outputs()[file.tensor], file.file, outputs[file.tensor]});
  for (const Binding& file : layer_files)
    recordings.push_back({model.layers()[file.tensor], file.file, std::move(layers[file.tensor])});
  return recordings;
}

// Writes the files and tells of them; returns what --json says.
nlohmann::ordered_json write_recordings(std::size_t samples, std::vector<Recording> recordings,
                                        Console& console) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (Recording& recording : recordings) {
    const TensorInfo& tensor = recording.tensor;
    NpyArray<std::int32_t> array{.shape = tensor.shape, .values = std::move(recording.codes)};
    array.shape.insert(array.shape.begin(), static_cast<std::int64_t>(samples));
    write_npy(recording.file, array);
    console.print(fmt::format(
        "{}: '{}' {} int32{}{}", recording.file.string(), tensor.name, shape_text(array.shape),
        tensor.offsets.empty() ? "" : ", values need their offsets (--json)",
        tensor.channel_map.empty()
            ? ""
            : fmt::format(", channels {} of it", fmt::join(tensor.channel_map, ", "))));
    files.push_back({{"file", recording.file.string()},
                     {"tensor", tensor.name},
                     {"shape", array.shape},
                     {"decimals", tensor.decimals},
                     {"offsets", tensor.offsets},
                     {"channel_map", tensor.channel_map}});
  }
  return files;
}

int run(const RunOptions& options) {
  if (options.outputs.empty() && options.dump_folder.empty())
    throw InputError("run: give --output, --dump-layers or both, or nothing would be kept");
  ModelOptions model_options = options.model;
  model_options.kernels = kernel_variant(options.model.kernels);  // before old outputs go
  const std::vector<NamedFile> input_files = split_names("--input", options.inputs);
  const std::vector<NamedFile> output_files = split_names("--output", options.outputs);
  std::vector<fs::path> read_files{options.plan};
  for (const NamedFile& input : input_files) read_files.push_back(input.file);
  Outputs outputs(read_files);
  for (const NamedFile& output : output_files) outputs.claim(output.file);

  Model model(options.plan, model_options);
  const std::vector<Binding> bound_inputs = bind_inputs(model, input_files);
  const std::vector<Binding> bound_outputs = bind_files("--output", output_files, model.outputs());
  std::vector<Binding> bound_layers;
  if (!options.dump_folder.empty()) {
    outputs.make_folder(options.dump_folder);
    bound_layers = dump_files(model.layers(), options.dump_folder);
    require_no_other_arrays(options.dump_folder, bound_layers, bound_inputs);
    for (const Binding& layer : bound_layers) outputs.claim(layer.file);
  }

  const std::vector<std::vector<std::int32_t>> inputs = read_inputs(model, bound_inputs);
  const std::size_t samples = inputs.front().size() / model.inputs().front().elements;
  std::vector<Recording> recordings =
      run_samples(model, inputs, samples, bound_outputs, bound_layers);
  Console console(options.output);
  const nlohmann::ordered_json files = write_recordings(samples, std::move(recordings), console);
  console.print_json({{"plan", options.plan.string()}, {"samples", samples}, {"files", files}});
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
  add_model_options(verb, options->model);
  add_output_options(verb, options->output);
  return [options] { return run(*options); };
}

}  // namespace lockstep::cli
