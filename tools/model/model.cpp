#include "lockstep/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>

#include "compile/support/files.h"
#include "tools/model/operators.h"
#include "tools/model/plan_tensors.h"
#include "tools/model/tensor_codes.h"
#include "tools/model/thread_pool.h"

namespace lockstep {
namespace {

struct alignas(INTRT_PREPARED_ALIGNMENT) Block {
  std::byte bytes[INTRT_PREPARED_ALIGNMENT];
};
std::vector<Block> memory_of(std::size_t bytes) {
  return std::vector<Block>((bytes + sizeof(Block) - 1) / sizeof(Block));
}

TensorInfo info_of(const intrt_tensor& tensor) {
  return {.name = tensor.name,
          .shape = logical_shape(tensor),
          .elements = tensor.element_count,
          .bits = static_cast<int>(tensor.bits),
          .is_bytes = tensor.type == INTRT_UINT8,
          .decimals = axis_decimals(tensor),
          .offsets = offsets_of(tensor),
          .channel_map = channel_map_of(tensor)};
}

std::size_t size_of(const auto& spans) {
  return std::visit([](const auto& span) { return span.size(); }, spans);
}

void require(intrt_status status, const std::string& plan) {
  if (status != INTRT_OK) throw InputError(fmt::format("{}: {}", plan, intrt_status_text(status)));
}

}  // namespace

// What does not change behind the constructor.
struct Model::Shared {
  Shared(std::vector<std::byte> owned_, std::span<const std::byte> bytes,
         const ModelOptions& options_, const std::string& file_)
      : owned(std::move(owned_)),
        file(file_),
        options(options_),
        plan(open_plan(bytes, file)),
        name(intrt_network_name(&plan) == nullptr ? "" : intrt_network_name(&plan)),
        kernels(kernel_variant(options.kernels)) {
    if (options.parallel == nullptr && (options.threads < 1 || options.threads > 1024))
      throw InputError(fmt::format("threads {}: 1 to 1024 are possible", options.threads));
    if (options.parallel != nullptr && options.parallel->threads < 1)
      throw InputError("threads of the caller: 0, and at least 1 is needed");
    const std::size_t prepared_bytes = intrt_prepared_bytes(&plan, kernels.c_str());
    prepared = memory_of(prepared_bytes);
    require(intrt_prepare(&plan, kernels.c_str(), prepared.data(), prepared_bytes), file);
    for (std::uint32_t i = 0; i < intrt_input_count(&plan); ++i) {
      const intrt_tensor tensor = intrt_tensor_info(&plan, intrt_input(&plan, i));
      inputs.emplace_back(intrt_input(&plan, i), tensor);
      input_infos.push_back(info_of(tensor));
    }
    for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
      const intrt_tensor tensor = intrt_tensor_info(&plan, intrt_output(&plan, i));
      outputs.emplace_back(intrt_output(&plan, i), tensor);
      output_infos.push_back(info_of(tensor));
    }
    for (std::uint32_t i = 0; i < intrt_tensor_count(&plan); ++i) {
      const intrt_tensor tensor = intrt_tensor_info(&plan, i);
      if ((tensor.flags & INTRT_TENSOR_NAMED) == 0) continue;
      layers.emplace_back(i, tensor);
      layer_infos.push_back(info_of(tensor));
    }
    operators = operators_of(plan, prepared.data());
  }

  std::vector<std::byte> owned;  // the plan, where it was copied
  std::string file;
  ModelOptions options;
  intrt_plan plan;
  std::string name, kernels;
  std::vector<Block> prepared;
  std::vector<InputTensor> inputs;
  std::vector<ReadTensor> outputs, layers;
  std::vector<TensorInfo> input_infos, output_infos, layer_infos;
  std::vector<OperatorInfo> operators;
};

struct Model::Working {
  explicit Working(const Shared& shared_) : shared(shared_) {
    if (shared.options.parallel != nullptr) {
      parallel = *shared.options.parallel;
    } else {
      pool = std::make_unique<ThreadPool>(shared.options.threads);
      parallel = pool->parallel();
    }
  }

  std::vector<Block>& arena(std::size_t i) {
    while (arenas.size() <= i) arenas.push_back(memory_of(intrt_arena_bytes(&shared.plan)));
    return arenas[i];
  }

  void load(std::span<const ModelInput> inputs, std::size_t sample, void* arena) const {
    for (std::size_t i = 0; i < inputs.size(); ++i)
      shared.inputs[i].load(inputs[i], sample,
                            intrt_tensor_data(&shared.plan, arena, shared.inputs[i].index()));
  }
  void run(void* arena, const intrt_run_options& options) const {
    require(intrt_run_prepared(&shared.plan, shared.prepared.data(), arena,
                               intrt_arena_bytes(&shared.plan), &options),
            shared.file);
  }
  void store(std::span<const ModelOutput> outputs, std::size_t sample, void* arena) const {
    for (std::size_t i = 0; i < outputs.size(); ++i)
      shared.outputs[i].store(intrt_tensor_data(&shared.plan, arena, shared.outputs[i].index()),
                              outputs[i], sample);
  }

  void run_one_by_one(std::span<const ModelInput> inputs, std::span<const ModelOutput> outputs,
                      std::size_t samples);
  void run_side_by_side(std::span<const ModelInput> inputs, std::span<const ModelOutput> outputs,
                        std::size_t samples);

  const Shared& shared;
  std::unique_ptr<ThreadPool> pool;
  intrt_parallel parallel;
  std::vector<std::vector<Block>> arenas;
  Observer observer;
  std::vector<std::int32_t> observed;
};

namespace {

// How many samples there are; all inputs and outputs have room for as many.
std::size_t samples_in(std::span<const ModelInput> inputs, std::span<const TensorInfo> infos,
                       std::span<const ModelOutput> outputs,
                       std::span<const TensorInfo> output_infos) {
  if (inputs.size() != infos.size() || outputs.size() != output_infos.size())
    throw InputError(
        fmt::format("the network has {} inputs and {} outputs, and was given {} and {}",
                    infos.size(), output_infos.size(), inputs.size(), outputs.size()));
  const std::size_t samples = size_of(inputs[0]) / infos[0].elements;
  const auto check = [&](const char* what, const TensorInfo& info, std::size_t size) {
    if (size != samples * info.elements)
      throw InputError(fmt::format("{} '{}': {} elements, but {} samples of {} are {}", what,
                                   info.name, size, samples, info.elements,
                                   samples * info.elements));
  };
  for (std::size_t i = 0; i < inputs.size(); ++i) check("input", infos[i], size_of(inputs[i]));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    check("output", output_infos[i], size_of(outputs[i]));
    if (output_infos[i].bits > 8 && std::holds_alternative<std::span<std::int8_t>>(outputs[i]))
      throw InputError(fmt::format("output '{}': its codes have {} bits, and int8 holds 8",
                                   output_infos[i].name, output_infos[i].bits));
  }
  return samples;
}

}  // namespace

void Model::Working::run_one_by_one(std::span<const ModelInput> inputs,
                                    std::span<const ModelOutput> outputs, std::size_t samples) {
  struct Context {
    Working& working;
    std::size_t sample = 0;
  } context{*this};
  const auto observe = [](void* opaque, std::uint32_t tensor, const void* data) {
    const Context& seen = *static_cast<const Context*>(opaque);
    const std::vector<ReadTensor>& layers = seen.working.shared.layers;
    const auto found = std::ranges::find(layers, tensor, &ReadTensor::index);
    if (found == layers.end()) return;
    std::vector<std::int32_t>& codes = seen.working.observed;
    codes.resize(found->elements());
    found->store(data, std::span(codes), 0);
    seen.working.observer(seen.sample, static_cast<std::size_t>(found - layers.begin()), codes);
  };
  const intrt_run_options options{.kernels = nullptr,
                                  .observer = observer ? +observe : nullptr,
                                  .observer_context = &context,
                                  .parallel = &parallel};
  void* const data = arena(0).data();
  for (; context.sample < samples; ++context.sample) {
    load(inputs, context.sample, data);
    run(data, options);
    store(outputs, context.sample, data);
  }
}

// Each thread takes the next sample; samples are taken in order, so the first that is refused is
// always the same.
void Model::Working::run_side_by_side(std::span<const ModelInput> inputs,
                                      std::span<const ModelOutput> outputs, std::size_t samples) {
  struct Batch {
    Working& working;
    std::span<const ModelInput> inputs;
    std::span<const ModelOutput> outputs;
    std::size_t samples;
    std::atomic<std::size_t> next = 0;
    std::mutex mutex = {};  // of what follows
    std::size_t refused = SIZE_MAX;
    std::exception_ptr why = {};

    void run(std::uint32_t part) {
      void* const data = working.arenas[part].data();
      const intrt_run_options options{nullptr, nullptr, nullptr, nullptr};
      for (std::size_t sample; (sample = next.fetch_add(1)) < samples;) {
        try {
          working.load(inputs, sample, data);
          working.run(data, options);
          working.store(outputs, sample, data);
        } catch (...) {
          next.store(samples);
          const std::lock_guard lock(mutex);
          if (sample < refused) {
            refused = sample;
            why = std::current_exception();
          }
        }
      }
    }
  } batch{*this, inputs, outputs, samples};
  arena(parallel.threads - 1);
  parallel.run(
      parallel.pool, parallel.threads,
      [](void* work, std::uint32_t part) { static_cast<Batch*>(work)->run(part); }, &batch);
  if (batch.why) std::rethrow_exception(batch.why);
}

Model::Model(std::shared_ptr<const Shared> shared)
    : shared_(std::move(shared)), working_(std::make_unique<Working>(*shared_)) {}

Model::Model(const std::filesystem::path& plan, const ModelOptions& options)
    : Model(own(read_file(plan, UINT32_MAX), options, plan.string())) {}

// The system gives memory at multiples of INTRT_PLAN_ALIGNMENT.
Model Model::own(std::vector<std::byte> plan, const ModelOptions& options,
                 const std::string& name) {
  const std::span<const std::byte> bytes = plan;
  return Model(std::make_shared<const Shared>(std::move(plan), bytes, options, name));
}

Model Model::copy(std::span<const std::byte> plan, const ModelOptions& options,
                  const std::string& name) {
  return own({plan.begin(), plan.end()}, options, name);
}

Model Model::view(std::span<const std::byte> plan, const ModelOptions& options,
                  const std::string& name) {
  return Model(std::make_shared<const Shared>(std::vector<std::byte>(), plan, options, name));
}

Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Model Model::clone() const { return Model(shared_); }

const std::string& Model::name() const { return shared_->name; }
const std::string& Model::kernels() const { return shared_->kernels; }
int Model::threads() const { return static_cast<int>(working_->parallel.threads); }
std::span<const TensorInfo> Model::inputs() const { return shared_->input_infos; }
std::span<const TensorInfo> Model::outputs() const { return shared_->output_infos; }
std::span<const TensorInfo> Model::layers() const { return shared_->layer_infos; }
std::span<const OperatorInfo> Model::operators() const { return shared_->operators; }

void Model::run(const ModelInput& input, const ModelOutput& output) {
  run(std::span(&input, 1), std::span(&output, 1));
}

void Model::run(std::span<const ModelInput> inputs, std::span<const ModelOutput> outputs) {
  const std::size_t samples =
      samples_in(inputs, shared_->input_infos, outputs, shared_->output_infos);
  if (working_->parallel.threads > 1 && samples >= working_->parallel.threads &&
      !working_->observer)
    working_->run_side_by_side(inputs, outputs, samples);
  else
    working_->run_one_by_one(inputs, outputs, samples);
}

void Model::observe(Observer observer) { working_->observer = std::move(observer); }

double Model::time(std::span<const ModelInput> inputs, std::span<double> of_operators) {
  if (inputs.size() != shared_->inputs.size() ||
      (!of_operators.empty() && of_operators.size() != shared_->operators.size()))
    throw InputError(fmt::format(
        "the network has {} inputs and {} operators, and was given {} inputs and room for {} times",
        shared_->inputs.size(), shared_->operators.size(), inputs.size(), of_operators.size()));
  for (std::size_t i = 0; i < inputs.size(); ++i)
    if (size_of(inputs[i]) != shared_->input_infos[i].elements)
      throw InputError(fmt::format("input '{}': {} elements, but one sample is {}",
                                   shared_->input_infos[i].name, size_of(inputs[i]),
                                   shared_->input_infos[i].elements));
  using Clock = std::chrono::steady_clock;
  // Inputs are observed first, and then the output of each operator.
  struct Stopwatch {
    std::size_t inputs_left;
    double* next;
    Clock::time_point last;
  } stopwatch{inputs.size(), of_operators.data(), {}};
  const auto observe = [](void* opaque, std::uint32_t, const void*) {
    Stopwatch& watch = *static_cast<Stopwatch*>(opaque);
    if (watch.inputs_left > 0)
      --watch.inputs_left;
    else
      *watch.next++ = std::chrono::duration<double>(Clock::now() - watch.last).count();
    watch.last = Clock::now();
  };
  void* const data = working_->arena(0).data();
  working_->load(inputs, 0, data);
  const Clock::time_point start = Clock::now();
  working_->run(data, {.kernels = nullptr,
                       .observer = of_operators.empty() ? nullptr : +observe,
                       .observer_context = &stopwatch,
                       .parallel = &working_->parallel});
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace lockstep
