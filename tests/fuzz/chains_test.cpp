// Operators that run together, some rows at a time (intrt/chain.h): random networks whose tensors
// are large enough, on every variant of kernels and numbers of threads, observed and not.
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run.
#include <doctest/doctest.h>

#include <cstring>
#include <random>

#include "compile/compile.h"
#include "intrt/prepared.h"
#include "tests/fuzz/setting.h"
#include "tests/intrt/guarded_bytes.h"
#include "tests/support/plan_digest.h"
#include "tools/zoo/builder.h"
#include "tools/zoo/zoo.h"

namespace lockstep::test {
namespace {

using testing::GuardedBytes;
using zoo::Attributes;
using zoo::Value;

class RandomNetwork {
 public:
  explicit RandomNetwork(std::uint64_t seed)
      : engine_(seed),
        net_("chains", {pick({3, 8, 16}), between(45, 75), between(40, 60)},
             {.per_channel = between(0, 1) == 0, .sparsity = 0, .structured = false}) {}

  Graph build() {
    Value value = convolution(net_.input(), pick({16, 33, 48, 64}), 3, pick({1, 1, 2}), 1);
    for (std::int64_t i = between(2, 4); i > 0; --i)
      value = between(0, 3) == 0   ? pool(value)
              : between(0, 2) == 0 ? separable(value)
                                   : residual(value);
    return net_.finish(value);
  }

 private:
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least +
           static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(most - least + 1));
  }
  std::int64_t pick(std::initializer_list<std::int64_t> some) {
    return some.begin()[between(0, static_cast<std::int64_t>(some.size()) - 1)];
  }
  std::string name(const char* what) { return what + std::to_string(nodes_++); }

  Value act(const Value& value) {
    if (between(0, 2) == 0) return net_.quantize(value);
    return net_.quantize(net_.add(between(0, 1) == 0 ? "relu" : "relu6", name("relu"), {value}));
  }
  Value convolution(const Value& value, std::int64_t outputs, std::int64_t kernel,
                    std::int64_t stride, std::int64_t groups) {
    return act(net_.weighted(
        "conv2d", name("conv"), value,
        {{"out_channels", outputs},
         {"kernel_size", kernel},
         {"padding", kernel == 1 || between(0, 1) == 0 ? kernel / 2 : between(0, kernel + 1)},
         {"stride", stride},
         {"groups", groups}}));
  }
  Value pool(const Value& value) {
    const std::int64_t kernel = pick({2, 3});
    return net_.add(
        "max_pool2d", name("pool"), {value},
        {{"kernel_size", kernel}, {"stride", between(1, 3)}, {"padding", between(0, kernel / 2)}});
  }
  Value separable(const Value& value) {
    if (value.shape[1] < 12 || value.shape[2] < 12) return value;
    const Value deep =
        convolution(value, value.shape[0], pick({3, 3, 5}), pick({1, 1, 2}), value.shape[0]);
    return convolution(deep, pick({16, 24, 40, 64, 96}), 1, pick({1, 1, 1, 2, 3}), 1);
  }
  Value residual(const Value& value) {
    const std::int64_t wide = pick({32, 64, 80, 96, 112});
    const Value expanded = convolution(value, wide, 1, 1, 1);
    const std::int64_t kernel = pick({3, 5});
    const Value deep = act(net_.weighted("conv2d", name("conv"), expanded,
                                         {{"out_channels", wide},
                                          {"kernel_size", kernel},
                                          {"padding", kernel / 2},
                                          {"groups", wide}}));
    const Value projected = convolution(deep, value.shape[0], 1, 1, 1);
    return act(net_.add(
        "add", name("add"),
        between(0, 1) == 0 ? std::vector{value, projected} : std::vector{projected, value}));
  }

  std::mt19937_64 engine_;
  zoo::Builder net_;
  int nodes_ = 0;
};

struct Ran {
  std::vector<std::uint8_t> output;
  int chains = 0, divided_chains = 0;  // among two threads at least
};

// All memory ends, or begins, at a guard.
Ran run(const std::vector<std::uint8_t>& plan_bytes, const char* variant, std::uint64_t sample,
        bool at_end, const intrt_run_options& options) {
  const testing::AlignedBytes bytes(plan_bytes);
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  const GuardedBytes arena(intrt_arena_bytes(&plan), at_end);
  const GuardedBytes prepared(intrt_prepared_bytes(&plan, variant), at_end);
  std::memset(arena.data(), static_cast<int>(0x5A + sample), arena.size());
  std::memset(prepared.data(), 0x3C, prepared.size());
  testing::draw_inputs(plan, arena.data(), sample);
  REQUIRE(intrt_prepare(&plan, variant, prepared.data(), prepared.size()) == INTRT_OK);
  REQUIRE(intrt_run_prepared(&plan, prepared.data(), arena.data(), arena.size(), &options) ==
          INTRT_OK);
  Ran ran;
  const std::uint32_t output = intrt_output(&plan, 0);
  const auto* const data =
      static_cast<const std::uint8_t*>(intrt_tensor_data(&plan, arena.data(), output));
  const intrt_tensor info = intrt_tensor_info(&plan, output);
  ran.output.assign(data, data + std::size_t{info.element_count} * info.element_bytes);
  const auto& header =
      *static_cast<const intrt::PreparedHeader*>(static_cast<const void*>(prepared.data()));
  for (std::uint32_t op = 0; op < intrt_op_count(&plan); ++op) {
    const intrt::ChainLink& link = header.links()[op];
    CHECK(link.links == intrt_chain_links(prepared.data(), op));
    ran.chains += link.links > 1 ? 1 : 0;
    ran.divided_chains += link.links > 1 && link.most_parts > 1 ? 1 : 0;
  }
  return ran;
}

}  // namespace

TEST_CASE("chains compute what their operators compute one by one") {
  const intrt_observer observer = [](void*, std::uint32_t, const void*) {};
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1),
                      networks = setting("LOCKSTEP_FUZZ_NETWORKS", 30);
  int chains = 0, divided_chains = 0;
  for (std::uint64_t seed = first; seed < first + networks; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomNetwork(seed).build();
    const Compiled compiled = compile_network(graph, zoo::calibrated_state(graph, seed), {});
    std::vector<std::uint8_t> plan(compiled.plan.size());
    std::memcpy(plan.data(), compiled.plan.data(), plan.size());
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
      const char* const variant = intrt_kernel_variant(v);
      if (intrt_kernel_variant_runs_here(v) == 0 || std::string(variant) == "scalar") continue;
      INFO(variant);
      const bool at_end = seed % 2 == 0;
      const Ran expected = run(plan, variant, seed, at_end, {nullptr, observer, nullptr, nullptr});
      for (std::uint32_t threads = 1; threads <= 4; ++threads) {
        INFO("threads ", threads);
        const intrt_parallel parallel = testing::threads_in_turn(threads);
        const Ran ran = run(plan, variant, seed, at_end, {nullptr, nullptr, nullptr, &parallel});
        CHECK(ran.output == expected.output);
      }
      chains += expected.chains;
      divided_chains += expected.divided_chains;
    }
  }
  MESSAGE(chains, " chains, of them divided: ", divided_chains);
  if (std::string(intrt_kernel_variant(0)) == "scalar") return;
  CHECK(chains >= static_cast<int>(networks));
  CHECK(divided_chains >= static_cast<int>(networks / 2));
}

}  // namespace lockstep::test
