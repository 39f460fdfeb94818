// Runs a plan with the runtime and collects every tensor, for comparison with ir::evaluate.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "intrt/intrt.h"
#include "tests/support/plan_builder.h"

namespace lockstep::test {

// Codes in logical (C,H,W) order, by tensor name.
using PlanRun = std::map<std::string, std::vector<std::int64_t>>;

inline std::vector<std::int64_t> logical_codes(const intrt_tensor& tensor, const void* data) {
  const std::size_t channels = tensor.channels,
                    positions = std::size_t{tensor.height} * tensor.width;
  std::vector<std::int64_t> codes(tensor.element_count);
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const char* element = static_cast<const char*>(data) + i * tensor.element_bytes;
    std::int64_t code = 0;
    if (tensor.type == INTRT_INT8) {
      code = *reinterpret_cast<const std::int8_t*>(element);
    } else if (tensor.type == INTRT_UINT8) {
      code = *reinterpret_cast<const std::uint8_t*>(element);
    } else if (tensor.type == INTRT_INT16) {
      std::int16_t narrow = 0;
      std::memcpy(&narrow, element, sizeof narrow);
      code = narrow;
    } else {
      std::int32_t wide = 0;
      std::memcpy(&wide, element, sizeof wide);
      code = wide;
    }
    codes[i % channels * positions + i / channels] = code;
  }
  return codes;
}

inline void store_codes(const intrt_tensor& tensor, const std::vector<std::int64_t>& codes,
                        void* data) {
  REQUIRE(codes.size() == tensor.element_count);
  const std::size_t channels = tensor.channels,
                    positions = std::size_t{tensor.height} * tensor.width;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const std::int64_t code = codes[i % channels * positions + i / channels];
    std::memcpy(static_cast<char*>(data) + i * tensor.element_bytes, &code, tensor.element_bytes);
  }
}

// The codes of some channels of a tensor of `channels` channels; no list: of all.
template <typename List>
std::vector<std::int64_t> codes_of_channels(const std::vector<std::int64_t>& codes,
                                            std::size_t channels, const List& list) {
  if (list.empty()) return codes;
  const std::size_t plane = codes.size() / channels;
  std::vector<std::int64_t> result;
  for (const auto c : list) {
    const auto first =
        codes.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(c) * plane);
    result.insert(result.end(), first, first + static_cast<std::ptrdiff_t>(plane));
  }
  return result;
}

inline PlanRun run_plan(const std::vector<std::byte>& bytes,
                        const std::vector<std::vector<std::int64_t>>& inputs) {
  intrt_plan plan;
  std::uint32_t failed_op = 0;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), &failed_op) == INTRT_OK);
  testing::AlignedBytes arena(intrt_arena_bytes(&plan));
  REQUIRE(inputs.size() == intrt_input_count(&plan));
  for (std::uint32_t i = 0; i < inputs.size(); ++i) {
    const std::uint32_t tensor = intrt_input(&plan, i);
    store_codes(intrt_tensor_info(&plan, tensor), inputs[i],
                intrt_tensor_data(&plan, arena.data(), tensor));
  }
  struct Context {
    const intrt_plan* plan;
    PlanRun run;
  } context{&plan, {}};
  const intrt_run_options options{nullptr,
                                  [](void* opaque, std::uint32_t tensor, const void* data) {
                                    auto* c = static_cast<Context*>(opaque);
                                    const intrt_tensor info = intrt_tensor_info(c->plan, tensor);
                                    c->run[info.name] = logical_codes(info, data);
                                  },
                                  &context, nullptr};
  REQUIRE(intrt_run(&plan, arena.data(), arena.size(), &options) == INTRT_OK);
  // The outputs are still there at the end.
  for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
    const std::uint32_t tensor = intrt_output(&plan, i);
    const intrt_tensor info = intrt_tensor_info(&plan, tensor);
    CHECK(context.run.at(info.name) ==
          logical_codes(info, intrt_tensor_data(&plan, arena.data(), tensor)));
  }
  return context.run;
}

}  // namespace lockstep::test
