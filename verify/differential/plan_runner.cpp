#include "verify/differential/plan_runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "compile/support/error.h"
#include "intrt/plan_format.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::verify {
namespace {

struct ObserverContext {
  Observations* seen;
  std::vector<int> times_seen;  // per tensor, in the sample that runs
  std::size_t sample;
};

void observe(void* context, std::uint32_t tensor, const void* data) {
  auto& observer = *static_cast<ObserverContext*>(context);
  const VisibleTensor& info = observer.seen->tensors[tensor];
  decode_tensor(info, static_cast<const std::byte*>(data),
                observer.seen->codes[tensor].data() +
                    observer.sample * static_cast<std::size_t>(info.element_count()));
  observer.times_seen[tensor] += 1;
}

struct alignas(INTRT_ARENA_ALIGNMENT) ArenaBlock {
  std::byte bytes[INTRT_ARENA_ALIGNMENT];
};

struct alignas(INTRT_PREPARED_ALIGNMENT) PreparedBlock {
  std::byte bytes[INTRT_PREPARED_ALIGNMENT];
};

// Threads that run their parts one after the other, the last first.
intrt_parallel threads_in_turn(std::uint32_t threads) {
  return {[](void*, std::uint32_t parts, void (*part)(void*, std::uint32_t), void* work) {
            while (parts > 0) part(work, --parts);
          },
          nullptr, threads};
}

// Runs the samples of a batch, twice each: observed, and as programs run them, when operators may
// run together (intrt_chain_links).
class SampleRunner {
 public:
  // `observed_only`: for kernels that run one by one in any case.
  SampleRunner(const OpenPlan& plan, const std::vector<PreparedBlock>& prepared, const Batch& batch,
               Observations& seen, bool observed_only)
      : observed_only_(observed_only),
        plan_(plan),
        prepared_(prepared),
        batch_(batch),
        seen_(seen),
        arena_(intrt_arena_bytes(plan.get()) / INTRT_ARENA_ALIGNMENT + 1) {}

  // Returns what went wrong, or nothing.
  std::string run(std::int64_t sample) {
    ObserverContext context = {&seen_, std::vector<int>(seen_.tensors.size(), 0),
                               static_cast<std::size_t>(sample)};
    load(sample);
    std::string failure = run({nullptr, observe, &context, nullptr});
    if (!failure.empty()) return failure;
    for (std::size_t t = 0; t < seen_.tensors.size(); ++t)
      if (context.times_seen[t] != 1)
        return fmt::format("tensor '{}' was reported {} times", seen_.tensors[t].name,
                           context.times_seen[t]);
    if (observed_only_) return "";
    // One, two and three threads in turn.
    const auto threads = static_cast<std::uint32_t>(1 + sample % 3);
    const intrt_parallel parallel = threads_in_turn(threads);
    load(sample);
    failure = run({nullptr, nullptr, nullptr, &parallel});
    return failure.empty() ? compare_outputs(sample, threads) : failure;
  }

 private:
  void load(std::int64_t sample) {
    // Nothing may depend on what the arena held before.
    std::memset(static_cast<void*>(arena_.data()), sample % 2 == 0 ? 0x55 : 0xAA,
                arena_.size() * sizeof(ArenaBlock));
    for (std::uint32_t i = 0; i < batch_.size(); ++i) {
      const std::uint32_t tensor = intrt_input(plan_.get(), i);
      const VisibleTensor& info = seen_.tensors[tensor];
      encode_tensor(info, batch_[i].codes.data() + sample * info.element_count(),
                    static_cast<std::byte*>(intrt_tensor_data(plan_.get(), arena_.data(), tensor)));
    }
  }

  std::string run(const intrt_run_options& options) {
    const intrt_status status = intrt_run_prepared(plan_.get(), prepared_.data(), arena_.data(),
                                                   intrt_arena_bytes(plan_.get()), &options);
    return status == INTRT_OK ? ""
                              : fmt::format("the runtime stopped: {}", intrt_status_text(status));
  }

  std::string compare_outputs(std::int64_t sample, std::uint32_t threads) {
    for (const std::uint32_t tensor : seen_.outputs) {
      const VisibleTensor& info = seen_.tensors[tensor];
      const auto count = static_cast<std::size_t>(info.element_count());
      std::vector<std::int64_t> codes(count);
      decode_tensor(
          info,
          static_cast<const std::byte*>(intrt_tensor_data(plan_.get(), arena_.data(), tensor)),
          codes.data());
      const auto* const observed =
          seen_.codes[tensor].data() + static_cast<std::size_t>(sample) * count;
      if (!std::equal(codes.begin(), codes.end(), observed))
        return fmt::format(
            "output '{}' of sample {} is another when nothing observes the run, with {} threads",
            info.name, sample, threads);
    }
    return "";
  }

  bool observed_only_;
  const OpenPlan& plan_;
  const std::vector<PreparedBlock>& prepared_;
  const Batch& batch_;
  Observations& seen_;
  std::vector<ArenaBlock> arena_;
};

// The plan's inputs must be the graph's, in its order, or there is nothing to feed.
std::string check_inputs(const OpenPlan& plan, const Graph& graph, const Observations& seen,
                         const Batch& batch) {
  const std::uint32_t count = intrt_input_count(plan.get());
  if (count != graph.inputs.size())
    return fmt::format("the plan has {} inputs, the graph {}", count, graph.inputs.size());
  for (std::uint32_t i = 0; i < count; ++i) {
    const VisibleTensor& tensor = seen.tensors[intrt_input(plan.get(), i)];
    const GraphInput& input = graph.inputs[i];
    const bool raw = input.raw.has_value();
    if (tensor.bytes != raw)
      return fmt::format("the plan's input {} takes {}, the graph's '{}' {}", i,
                         tensor.bytes ? "raw bytes" : "codes", input.name,
                         raw ? "raw bytes" : "codes");
    const std::int64_t bits = raw ? 8 : input.bits;
    if (tensor.name != input.name || tensor.element_count() != batch[i].element_count() ||
        static_cast<std::int64_t>(tensor.bits) != bits)
      return fmt::format(
          "the plan's input {} is '{}' with {} elements of {} bits, the graph's '{}' has {} of {}",
          i, tensor.name, tensor.element_count(), tensor.bits, input.name, batch[i].element_count(),
          bits);
  }
  return "";
}

}  // namespace

OpenPlan::OpenPlan(std::span<const std::byte> bytes)
    : storage_(bytes.size() / sizeof(Block) + 1), size_(bytes.size()) {
  std::memcpy(static_cast<void*>(storage_.data()), bytes.data(), bytes.size());
  std::uint32_t failed_op = UINT32_MAX;
  const intrt_status status = intrt_open(&plan_, storage_.data(), bytes.size(), &failed_op);
  if (status == INTRT_OK) return;
  if (failed_op == UINT32_MAX)
    throw InputError(fmt::format("plan: does not open: {}", intrt_status_text(status)));
  throw InputError(
      fmt::format("plan: does not open: operator {}: {}", failed_op, intrt_status_text(status)));
}

VisibleTensor OpenPlan::tensor(std::uint32_t index) const {
  const intrt_tensor info = intrt_tensor_info(&plan_, index);
  VisibleTensor tensor;
  tensor.name = info.name;
  tensor.element_bytes = info.element_bytes;
  tensor.bits = info.bits;
  tensor.logical_rank = info.logical_rank;
  tensor.channels = info.channels;
  tensor.height = info.height;
  tensor.width = info.width;
  tensor.decimals.assign(info.decimals, info.decimals + info.decimal_count);
  tensor.named = (info.flags & INTRT_TENSOR_NAMED) != 0;
  tensor.bytes = info.type == INTRT_UINT8;
  if (info.offsets != nullptr) tensor.offsets.assign(info.offsets, info.offsets + info.channels);
  if (info.channel_map != nullptr)
    tensor.channel_map.assign(info.channel_map, info.channel_map + info.channels);
  return tensor;
}

intrt_tensor_record OpenPlan::tensor_record(std::uint32_t index) const {
  intrt_plan_header header;
  std::memcpy(&header, bytes(), sizeof header);
  intrt_tensor_record record;
  std::memcpy(&record, bytes() + header.tensors_offset + index * sizeof record, sizeof record);
  return record;
}

std::vector<std::string> kernel_variants_here() {
  std::vector<std::string> variants;
  for (std::uint32_t i = 0; intrt_kernel_variant(i) != nullptr; ++i)
    if (intrt_kernel_variant_runs_here(i) != 0) variants.emplace_back(intrt_kernel_variant(i));
  return variants;
}

namespace {

// Of every tensor, with room for the codes of all samples.
Observations nothing_seen(const OpenPlan& plan, std::int64_t samples) {
  Observations seen;
  seen.samples = samples;
  for (std::uint32_t t = 0; t < intrt_tensor_count(plan.get()); ++t) {
    seen.tensors.push_back(plan.tensor(t));
    seen.codes.emplace_back(
        static_cast<std::size_t>(seen.tensors.back().element_count() * samples));
  }
  for (std::uint32_t i = 0; i < intrt_output_count(plan.get()); ++i)
    seen.outputs.push_back(intrt_output(plan.get(), i));
  return seen;
}

}  // namespace

PlanRun run_plan(const OpenPlan& plan, const std::string& kernels, const Graph& graph,
                 const Batch& batch, std::int64_t samples) {
  PlanRun run;
  run.failure = check_inputs(plan, graph, nothing_seen(plan, 0), batch);
  return run.failure.empty() ? run_plan(plan, kernels, batch, samples) : run;
}

PlanRun run_plan(const OpenPlan& plan, const std::string& kernels, const Batch& batch,
                 std::int64_t samples) {
  Observations seen = nothing_seen(plan, samples);
  PlanRun run;
  const std::size_t bytes = intrt_prepared_bytes(plan.get(), kernels.c_str());
  std::vector<PreparedBlock> prepared(bytes / sizeof(PreparedBlock) + 1);
  const intrt_status status = intrt_prepare(plan.get(), kernels.c_str(), prepared.data(), bytes);
  if (status != INTRT_OK) {
    run.failure = fmt::format("the runtime stopped: {}", intrt_status_text(status));
    return run;
  }
  std::vector<std::string> failures(2);  // one per half of the samples
  share_range(samples, [&](std::int64_t first, std::int64_t last) {
    SampleRunner runner(plan, prepared, batch, seen, kernels == "scalar");
    std::string& failure = failures[first == 0 ? 0 : 1];
    for (std::int64_t s = first; s < last && failure.empty(); ++s) failure = runner.run(s);
  });
  run.failure = failures[0].empty() ? failures[1] : failures[0];
  if (run.failure.empty()) run.seen = std::move(seen);
  return run;
}

}  // namespace lockstep::verify
