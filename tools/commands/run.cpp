// lockstep run: one plan, .npy in, .npy out. All arrays are in PyTorch's axis order with the batch
// in front; codes are int32.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <memory>
#include <optional>

#include "compile/support/error.h"
#include "compile/support/npy.h"
#include "tools/commands/command.h"
#include "tools/support/console.h"
#include "tools/support/open_plan.h"
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

// A file given as FILE, which will do for a plan's only input or output, or as NAME=FILE. The first
// '=' ends the name, whatever the plan holds, so the files are known before the plan is read.
struct NamedFile {
  std::string name;  // empty: not given
  fs::path file;
};

std::vector<NamedFile> split_names(const std::vector<std::string>& arguments) {
  std::vector<NamedFile> files;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos)
      files.push_back({"", argument});
    else
      files.push_back({argument.substr(0, equals), argument.substr(equals + 1)});
  }
  return files;
}

struct Binding {
  std::uint32_t tensor;
  fs::path file;
};

// `files` of the option bound to `tensors`, the plan's inputs or outputs.
std::vector<Binding> bind_files(const OpenPlan& plan, const char* option,
                                const std::vector<NamedFile>& files,
                                const std::vector<std::uint32_t>& tensors) {
  std::map<std::string, std::uint32_t> by_name;
  std::string names;
  for (const std::uint32_t tensor : tensors) {
    by_name.emplace(plan.tensor(tensor).name, tensor);
    names += (names.empty() ? "" : ", ") + std::string(plan.tensor(tensor).name);
  }
  std::vector<Binding> bindings;
  for (const NamedFile& given : files) {
    const auto named = by_name.find(given.name);
    if (named == by_name.end() && !(given.name.empty() && tensors.size() == 1))
      throw InputError(given.name.empty()
                           ? fmt::format("{} {}: write NAME=FILE, where NAME is one of {}", option,
                                         given.file.string(), names)
                           : fmt::format("{} {}={}: the plan's names are {}", option, given.name,
                                         given.file.string(), names));
    const Binding binding{named == by_name.end() ? tensors.front() : named->second, given.file};
    for (const Binding& earlier : bindings)
      if (earlier.tensor == binding.tensor)
        throw InputError(fmt::format("{} {}: '{}' is given twice", option, given.file.string(),
                                     plan.tensor(binding.tensor).name));
    bindings.push_back(binding);
  }
  return bindings;
}

struct Samples {
  std::int64_t count = 0;
  std::vector<std::int32_t> codes;
};

std::string position_text(std::span<const std::int64_t> shape, std::size_t index) {
  std::vector<std::int64_t> position(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(shape[axis]);
    position[axis] = static_cast<std::int64_t>(index % extent);
    index /= extent;
  }
  return shape_text(position);
}

// What the .npy holds, as codes of `tensor`: integers are codes already, floats are quantized in
// the tensor's format, toward zero and clamped.
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

  const std::int64_t lo = -(std::int64_t{1} << (tensor.bits - 1)), hi = -lo - 1;
  if (const auto* integers = std::get_if<NpyArray<std::int64_t>>(&array)) {
    samples.codes.reserve(integers->values.size());
    for (std::size_t i = 0; i < integers->values.size(); ++i) {
      const std::int64_t code = integers->values[i];
      if (code < lo || code > hi)
        throw InputError(
            fmt::format("{}: element {} is {}, but input '{}' takes codes from {} to {}",
                        file.string(), position_text(shape, i), code, tensor.name, lo, hi));
      samples.codes.push_back(static_cast<std::int32_t>(code));
    }
    return samples;
  }
  const std::vector<float>& values = std::get<NpyArray<float>>(array).values;
  const std::size_t per_channel = std::size_t{tensor.height} * tensor.width;
  samples.codes.reserve(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i]))
      throw InputError(fmt::format("{}: element {} is not a finite number", file.string(),
                                   position_text(shape, i)));
    const std::size_t channel = i / per_channel % tensor.channels;
    const int decimal = tensor.decimals[tensor.decimal_count == 1 ? 0 : channel];
    // Exact in double: a float32 times a power of two of at most 7 bits of exponent.
    const double scaled = std::trunc(std::ldexp(static_cast<double>(values[i]), decimal));
    const double clamped =
        std::fmin(std::fmax(scaled, static_cast<double>(lo)), static_cast<double>(hi));
    samples.codes.push_back(static_cast<std::int32_t>(clamped));
  }
  return samples;
}

// Codes of one tensor over all samples, to be written to `file`.
struct Recording {
  std::uint32_t tensor;
  fs::path file;
  std::vector<std::int32_t> codes;
};

// <folder>/<node>.npy for every visible tensor. Names come from the plan, so they are checked.
std::vector<Binding> dump_files(const OpenPlan& plan, const fs::path& folder) {
  std::vector<Binding> files;
  for (std::uint32_t i = 0; i < intrt_tensor_count(plan.plan()); ++i) {
    const intrt_tensor tensor = plan.tensor(i);
    if ((tensor.flags & INTRT_TENSOR_NAMED) == 0) continue;
    const std::string name = tensor.name;
    if (name.empty() || name.find('/') != std::string::npos)
      throw InputError(
          fmt::format("{}: tensor name '{}' cannot be a file name", plan.path(), name));
    files.push_back({i, folder / (name + ".npy")});
  }
  return files;
}

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

int run(const RunOptions& options) {
  if (options.outputs.empty() && options.dump_folder.empty())
    throw InputError("run: give --output, --dump-layers or both, or nothing would be kept");
  if (!options.kernels.empty()) require_kernel_variant(options.kernels);

  const std::vector<NamedFile> input_files = split_names(options.inputs);
  const std::vector<NamedFile> output_files = split_names(options.outputs);
  std::vector<fs::path> read_files{options.plan};
  for (const NamedFile& input : input_files) read_files.push_back(input.file);
  Outputs outputs(read_files);
  for (const NamedFile& output : output_files) outputs.claim(output.file);

  OpenPlan plan(options.plan);
  std::vector<std::uint32_t> input_tensors, output_tensors;
  for (std::uint32_t i = 0; i < intrt_input_count(plan.plan()); ++i)
    input_tensors.push_back(intrt_input(plan.plan(), i));
  for (std::uint32_t i = 0; i < intrt_output_count(plan.plan()); ++i)
    output_tensors.push_back(intrt_output(plan.plan(), i));
  const std::vector<Binding> inputs = bind_files(plan, "--input", input_files, input_tensors);
  std::vector<Recording> recordings;
  for (const Binding& result : bind_files(plan, "--output", output_files, output_tensors))
    recordings.push_back({result.tensor, result.file, {}});
  if (!options.dump_folder.empty()) {
    outputs.make_folder(options.dump_folder);
    for (const Binding& dump : dump_files(plan, options.dump_folder)) {
      outputs.claim(dump.file);
      recordings.push_back({dump.tensor, dump.file, {}});
    }
  }
  for (const std::uint32_t tensor : input_tensors) {
    bool given = false;
    for (const Binding& input : inputs) given = given || input.tensor == tensor;
    if (!given)
      throw InputError(fmt::format("--input {}=FILE is missing", plan.tensor(tensor).name));
  }
  std::vector<Samples> samples;
  for (const Binding& input : inputs) {
    samples.push_back(read_samples(input.file, plan.tensor(input.tensor)));
    if (samples.back().count != samples.front().count)
      throw InputError(fmt::format("{}: {} samples, but {} holds {}", input.file.string(),
                                   samples.back().count, inputs.front().file.string(),
                                   samples.front().count));
  }
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
    plan.run({.kernels = options.kernels.empty() ? nullptr : options.kernels.c_str(),
              .observer = record,
              .observer_context = &observation});
  }

  Console console(options.output);
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (Recording& recording : recordings) {
    const intrt_tensor tensor = plan.tensor(recording.tensor);
    NpyArray<std::int32_t> array{.shape = logical_shape(tensor),
                                 .values = std::move(recording.codes)};
    array.shape.insert(array.shape.begin(), count);
    write_npy(recording.file, array);
    console.print(fmt::format("{}: '{}' {} int32", recording.file.string(), tensor.name,
                              shape_text(array.shape)));
    files.push_back(
        {{"file", recording.file.string()},
         {"tensor", tensor.name},
         {"shape", array.shape},
         {"decimals", std::vector<int>(tensor.decimals, tensor.decimals + tensor.decimal_count)}});
  }
  console.print_json({{"plan", plan.path()}, {"samples", count}, {"files", std::move(files)}});
  outputs.keep();
  return kExitOk;
}

}  // namespace

Action add_run(CLI::App& verb) {
  auto options = std::make_shared<RunOptions>();
  verb.add_option("--plan", options->plan, "The plan")->required()->type_name("FILE");
  verb.add_option("--input", options->inputs,
                  "Input codes (int8 to int64) or numbers (float32, quantized in the input's "
                  "format), shape (N,C,H,W) or (C,H,W); once per input")
      ->required()
      ->type_name("[NAME=]X.npy")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_option("--output", options->outputs,
                  "Output codes, int32 (N,C,H,W); value = code * 2^-decimal; once per output")
      ->type_name("[NAME=]Y.npy")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_option("--dump-layers", options->dump_folder,
                  "Write NODE.npy for every visible tensor into this folder")
      ->type_name("DIR");
  verb.add_option("--kernels", options->kernels,
                  "Kernel variant to use (default: the best this CPU can run)")
      ->type_name("NAME");
  add_output_options(verb, options->output);
  return [options] { return run(*options); };
}

}  // namespace lockstep::cli
