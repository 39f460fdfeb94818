#include "verify/mutate/run_outputs.h"

#include <cstring>
#include <memory>

#include "intrt/intrt.h"
#include "verify/mutate/plan_mutants.h"

namespace lockstep::mutate {
namespace {

// Memory that begins where plans and arenas must.
class Aligned {
 public:
  explicit Aligned(std::size_t bytes) : words_(std::make_unique<Word[]>(bytes / 16 + 1)) {}
  explicit Aligned(std::span<const std::byte> bytes) : Aligned(bytes.size()) {
    std::memcpy(data(), bytes.data(), bytes.size());
  }
  std::byte* data() { return words_[0].bytes; }

 private:
  struct alignas(16) Word {
    std::byte bytes[16];
  };
  std::unique_ptr<Word[]> words_;
};

}  // namespace

std::optional<std::vector<std::byte>> run_outputs(std::span<const std::byte> bytes, int runs,
                                                  std::uint64_t seed) {
  Aligned copy(bytes);
  intrt_plan plan;
  if (intrt_open(&plan, copy.data(), bytes.size(), nullptr) != INTRT_OK) return std::nullopt;
  const std::size_t arena_bytes = intrt_arena_bytes(&plan);
  Aligned arena(arena_bytes);
  Random random(seed);
  std::vector<std::byte> outputs;
  for (int run = 0; run < runs; ++run) {
    for (std::uint32_t i = 0; i < intrt_input_count(&plan); ++i) {
      const intrt_tensor tensor = intrt_tensor_info(&plan, intrt_input(&plan, i));
      auto* const data =
          static_cast<std::byte*>(intrt_tensor_data(&plan, arena.data(), intrt_input(&plan, i)));
      for (std::uint32_t e = 0; e < tensor.element_count; ++e) {
        const std::int64_t half = std::int64_t{1} << (tensor.bits - 1);
        const std::int64_t code = random.between(-half, half - 1);  // bytes: any 8 bits
        std::memcpy(data + std::size_t{e} * tensor.element_bytes, &code, tensor.element_bytes);
      }
    }
    if (intrt_run(&plan, arena.data(), arena_bytes, nullptr) != INTRT_OK) return std::nullopt;
    for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
      const intrt_tensor tensor = intrt_tensor_info(&plan, intrt_output(&plan, i));
      const auto* const data = static_cast<const std::byte*>(
          intrt_tensor_data(&plan, arena.data(), intrt_output(&plan, i)));
      outputs.insert(outputs.end(), data,
                     data + std::size_t{tensor.element_count} * tensor.element_bytes);
    }
  }
  return outputs;
}

}  // namespace lockstep::mutate
