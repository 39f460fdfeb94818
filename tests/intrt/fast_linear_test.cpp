// Linear layers of 8 bits on the variants that need prepared memory, against the scalar kernel, and
// where those leave out zeros one by one.
#include <map>

#include "intrt/cpu_features.h"
#include "intrt/kernels/vector/linear_header.h"
#include "tests/intrt/fast_plans.h"

using namespace lockstep::testing;

namespace {

// The variants that can leave out zeros one by one, of those that this CPU runs.
std::vector<std::string> variants_without_zeros() {
  std::vector<std::string> variants;
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    const std::string variant = intrt_kernel_variant(v);
    bool can = intrt_kernel_variant_runs_here(v) != 0 && variant != "scalar";
#ifdef INTRT_WITH_AVX512VNNI
    can = can && (variant != "avx512vnni" || intrt::has_avx512vbmi());
#endif
    if (can) variants.push_back(variant);
  }
  return variants;
}

// Whether the variant does so in the plan's last operator, a linear layer.
bool multiplies_nonzeros_alone(const std::vector<std::uint8_t>& plan, const std::string& variant) {
  const std::vector<std::uint8_t> memory =
      GuardedPlan(plan, true).prepared_over(variant.c_str(), 0);
  const auto& prepared =
      *static_cast<const intrt::PreparedHeader*>(static_cast<const void*>(memory.data()));
  intrt::LinearHeader header;
  std::memcpy(&header, prepared.memory_of(prepared.op_count - 1), sizeof header);
  return header.nonzeros_alone;
}

// How many of some plans each variant multiplies without zeros.
class NonzerosCount {
 public:
  NonzerosCount() {
    for (const std::string& variant : variants_without_zeros()) counts_[variant] = 0;
  }
  void add(const std::vector<std::uint8_t>& plan) {
    for (auto& [variant, count] : counts_)
      count += multiplies_nonzeros_alone(plan, variant) ? 1 : 0;
  }
  void check(int least, int most) const {
    for (const auto& [variant, count] : counts_) {
      INFO(variant, ": ", count, " plans without zeros");
      CHECK(count >= least);
      CHECK(count <= most);
    }
  }

 private:
  std::map<std::string, int> counts_;
};

// Outputs are the sums themselves; weights are drawn output by output.
template <typename Draw>
std::vector<std::uint8_t> linear_sums_plan(std::int64_t inputs, std::int64_t outputs, bool clamped,
                                           const Draw& draw_weight) {
  TensorSpec input;
  input.channels = static_cast<std::uint32_t>(inputs);
  PlanBuilder builder;
  const Tensors tensors = add_tensors_of_sums(builder, input, clamped, Logical(outputs, 1, 1));
  std::vector<std::int64_t> weights;
  for (std::int64_t i = 0; i < outputs * inputs; ++i) weights.push_back(draw_weight());
  intrt_linear_params p{};
  p.weight_type = INTRT_INT8;
  p.weights_offset = builder.weights(weights, INTRT_INT8);
  builder.op(k_linear, tensors.from, tensors.to, p);
  return builder.finish();
}

}  // namespace

TEST_CASE("fast linear equals scalar for 1 to 130 outputs") {
  for (std::int64_t outputs = 1; outputs <= 130; ++outputs) {
    const auto seed = static_cast<std::uint64_t>(outputs);
    CAPTURE(seed);
    Random random(seed);
    compare_variants(linear_plan(random, outputs), seed, true);
  }
}

TEST_CASE("fast linear equals scalar where most weights are 0") {
  NonzerosCount count;
  for (std::int64_t outputs = 1; outputs <= 130; ++outputs)
    for (const int nonzero_in : {4, 8, outputs % 2 == 0 ? 10 : 1000}) {
      const auto seed = static_cast<std::uint64_t>(outputs * 1000 + nonzero_in);
      CAPTURE(seed);
      Random random(seed);
      const std::vector<std::uint8_t> plan = linear_plan(random, outputs, {}, nonzero_in);
      compare_variants(plan, seed, true);
      count.add(plan);
    }
  count.check(100, 370);
}

// As many inputs as fit a band, and one less and more.
TEST_CASE("fast linear equals scalar for the most inputs, most weights 0") {
  for (const std::int64_t inputs : {49151, 49152, 49153}) {
    CAPTURE(inputs);
    Random random(static_cast<std::uint64_t>(inputs));
    std::int64_t number = 0;
    const std::vector<std::uint8_t> plan = linear_sums_plan(inputs, 9, false, [&] {
      const std::int64_t i = number++ % inputs;
      return i > inputs - 3 || random.one_in(40) ? random.between(-128, 127) : 0;
    });
    compare_variants(plan, 1, inputs <= 49152);
    if (inputs <= 49152)
      for (const std::string& variant : variants_without_zeros())
        CHECK(multiplies_nonzeros_alone(plan, variant));
  }
}

// Where they lie together, the quads that are not 0 are read without their places.
TEST_CASE("fast linear equals scalar with three of four quads of all outputs 0") {
  constexpr std::int64_t kOutputs = 16, kInputs = 512;
  for (const bool together : {true, false}) {
    Random random(7);
    std::int64_t number = 0;
    const std::vector<std::uint8_t> plan = linear_sums_plan(kInputs, kOutputs, false, [&] {
      const std::int64_t o = number / kInputs, i = number % kInputs;
      ++number;
      return (i / 4 + (together ? 0 : o)) % 4 == 0 ? random.between(1, 127) : 0;
    });
    compare_variants(plan, 7, true);
    for (const std::string& variant : variants_without_zeros()) {
      CAPTURE(variant);
      CHECK(multiplies_nonzeros_alone(plan, variant) == !together);
    }
  }
}

// Of layers that are multiplied without zeros: weights find places where avx2's sums of 16 bits
// have room for them.
TEST_CASE("linear weights that add up to what sums of 16 bits hold, and to a little more") {
  NonzerosCount count;
  for (std::uint64_t seed = 1; seed <= 60; ++seed)
    for (const bool clamped : {false, true})
      for (const std::int64_t inputs : {5, 16, 17, 40, 100, 300})
        for (const Codes codes : {Codes::kGreatest, Codes::kLeast}) {
          CAPTURE(seed);
          CAPTURE(clamped);
          CAPTURE(inputs);
          Random random(seed);
          const int nonzero_in = random.pick({5, 8, 20});
          const bool has_one_sign = random.one_in(2);
          const auto weight = [&]() -> std::int64_t {
            if (!random.one_in(nonzero_in)) return 0;
            const std::int64_t size = random.pick({1, 2, 3, 63, 64, 65, 124, 125, 126, 127, 128});
            return has_one_sign || random.one_in(2) ? -size : std::min<std::int64_t>(size, 127);
          };
          const std::vector<std::uint8_t> plan =
              linear_sums_plan(inputs, random.between(1, 70), clamped, weight);
          compare_variants(plan, seed, true, codes);
          if (codes == Codes::kGreatest) count.add(plan);
        }
  count.check(150, 710);
}
