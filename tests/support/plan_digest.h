// What a plan computes from drawn inputs, as one number for each variant of kernels: observed, and
// once more as programs run it, with one thread and more, when operators may run together.
#pragma once

#include <cstdint>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "intrt/intrt.h"
#include "tests/support/plan_builder.h"
#include "tests/support/run_variant.h"

namespace lockstep::testing {

struct PlanDigest {
  std::uint64_t digest = 14695981039346656037u;  // FNV-1a of the bytes of all that is seen
  std::uint64_t values = 0;

  void add(const intrt_tensor& tensor, const void* data) {
    const std::size_t size = std::size_t{tensor.element_count} * tensor.element_bytes;
    for (std::size_t i = 0; i < size; ++i)
      digest = (digest ^ static_cast<const std::uint8_t*>(data)[i]) * 1099511628211u;
    values += tensor.element_count;
  }
};

// Threads whose parts run one after the other, the last first.
inline intrt_parallel threads_in_turn(std::uint32_t threads) {
  return {[](void*, std::uint32_t parts, void (*part)(void*, std::uint32_t), void* work) {
            while (parts > 0) part(work, --parts);
          },
          nullptr, threads};
}

// Fills the inputs with drawn codes of their range; sample 0 with their least ones.
inline void draw_inputs(const intrt_plan& plan, std::uint8_t* arena, std::uint64_t sample) {
  std::mt19937_64 engine(sample);
  for (std::uint32_t i = 0; i < intrt_input_count(&plan); ++i) {
    const std::uint32_t tensor = intrt_input(&plan, i);
    const intrt_tensor info = intrt_tensor_info(&plan, tensor);
    void* const data = intrt_tensor_data(&plan, arena, tensor);
    const std::int64_t range = std::int64_t{1} << info.bits;
    for (std::uint32_t k = 0; k < info.element_count; ++k) {
      const auto drawn =
          sample == 0 ? 0 : static_cast<std::int64_t>(engine() % static_cast<std::uint64_t>(range));
      const std::int64_t code = drawn - range / 2;
      if (info.element_bytes == 1)
        static_cast<std::int8_t*>(data)[k] = static_cast<std::int8_t>(code);
      else if (info.element_bytes == 2)
        static_cast<std::int16_t*>(data)[k] = static_cast<std::int16_t>(code);
      else
        throw std::runtime_error("an input of 32 bits");
    }
  }
}

// std::runtime_error when the plan does not open or run.
inline PlanDigest digest_of(const std::vector<std::uint8_t>& bytes, const std::string& variant,
                            std::uint64_t samples) {
  const AlignedBytes plan_bytes(bytes);
  intrt_plan plan;
  intrt_status status = intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), nullptr);
  if (status != INTRT_OK) throw std::runtime_error(intrt_status_text(status));
  struct Context {
    const intrt_plan* plan;
    PlanDigest result;
  } context{&plan, {}};
  const auto run = [&](std::uint64_t sample, AlignedBytes& arena, intrt_run_options options) {
    draw_inputs(plan, arena.data(), sample);
    options.kernels = variant.c_str();
    status = run_variant(plan, arena.data(), arena.size(), options);
    if (status != INTRT_OK) throw std::runtime_error(intrt_status_text(status));
  };
  const intrt_observer observer = [](void* opaque, std::uint32_t tensor, const void* data) {
    auto* const c = static_cast<Context*>(opaque);
    c->result.add(intrt_tensor_info(c->plan, tensor), data);
  };
  for (std::uint64_t sample = 0; sample < samples; ++sample) {
    AlignedBytes arena(intrt_arena_bytes(&plan)), other_arena(intrt_arena_bytes(&plan));
    run(sample, arena, {nullptr, observer, &context, nullptr});
    const intrt_parallel parallel = threads_in_turn(static_cast<std::uint32_t>(1 + sample % 4));
    run(sample, other_arena, {nullptr, nullptr, nullptr, &parallel});
    for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
      const std::uint32_t tensor = intrt_output(&plan, i);
      context.result.add(intrt_tensor_info(&plan, tensor),
                         intrt_tensor_data(&plan, other_arena.data(), tensor));
    }
  }
  return context.result;
}

// "VARIANT DIGEST VALUES", a line for each variant that this CPU runs.
inline std::string digest_lines(const std::vector<std::uint8_t>& bytes, std::uint64_t samples) {
  std::string lines;
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    if (intrt_kernel_variant_runs_here(v) == 0) continue;
    const PlanDigest found = digest_of(bytes, intrt_kernel_variant(v), samples);
    lines += std::string(intrt_kernel_variant(v)) + " " + std::to_string(found.digest) + " " +
             std::to_string(found.values) + "\n";
  }
  return lines;
}

}  // namespace lockstep::testing
