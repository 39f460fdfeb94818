// Operators that run together, some rows at a time (intrt/chain.h): random networks whose tensors
// are large enough, on every variant of kernels and numbers of threads, observed and not.
// LOCKSTEP_FUZZ_NETWORKS and LOCKSTEP_FUZZ_SEED (the first seed) widen a run.
#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <optional>
#include <random>

#include "compile/compile.h"
#include "tests/fuzz/setting.h"
#include "tests/intrt/chain_watch.h"
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
             {.per_channel = between(0, 1) == 0, .sparsity = between(0, 2) == 0 ? 0.6 : 0}) {}

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
    if (between(0, 2) == 0) return net_.settle(value);
    return net_.settle(net_.add(between(0, 1) == 0 ? "relu" : "relu6", name("relu"), {value}));
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

// A plan made ready for a variant; all memory ends, or begins, at a guard.
class ReadyPlan {
 public:
  ReadyPlan(const std::vector<std::uint8_t>& plan, const char* variant, bool at_end)
      : at_end_(at_end), bytes_(plan) {
    REQUIRE(intrt_open(&plan_, bytes_.data(), bytes_.size(), nullptr) == INTRT_OK);
    prepared_.emplace(intrt_prepared_bytes(&plan_, variant), at_end);
    std::memset(prepared_->data(), 0x3C, prepared_->size());
    REQUIRE(intrt_prepare(&plan_, variant, prepared_->data(), prepared_->size()) == INTRT_OK);
  }

  std::vector<std::uint8_t> observed(std::uint64_t sample) const {
    const intrt_run_options options{nullptr, [](void*, std::uint32_t, const void*) {}, nullptr,
                                    nullptr};
    return output(sample, [&](const GuardedBytes& arena) {
      return intrt_run_prepared(&plan_, prepared_->data(), arena.data(), arena.size(), &options);
    });
  }
  std::vector<std::uint8_t> watched(std::uint64_t sample, testing::ChainWatch& watch) const {
    return output(sample, [&](const GuardedBytes& arena) {
      return watch.run(plan_, prepared_->data(), arena.data(), arena.size());
    });
  }

  // That so many threads run, or are divided among them.
  int chains(std::uint32_t threads) const {
    const auto& header =
        *static_cast<const intrt::PreparedHeader*>(static_cast<const void*>(prepared_->data()));
    int chains = 0;
    for (std::uint32_t op = 0; op < intrt_op_count(&plan_); ++op) {
      const intrt::ChainLink& link = header.links()[op];
      CHECK(link.links == intrt_chain_links(prepared_->data(), op));
      if (link.links > 1 && (threads == 1 || threads <= link.most_parts)) ++chains;
    }
    return chains;
  }

 private:
  template <typename Run>
  std::vector<std::uint8_t> output(std::uint64_t sample, const Run& run) const {
    const GuardedBytes arena(intrt_arena_bytes(&plan_), at_end_);
    std::memset(arena.data(), static_cast<int>(0x5A + sample), arena.size());
    testing::draw_inputs(plan_, arena.data(), sample);
    REQUIRE(run(arena) == INTRT_OK);
    const std::uint32_t output = intrt_output(&plan_, 0);
    const auto* const data =
        static_cast<const std::uint8_t*>(intrt_tensor_data(&plan_, arena.data(), output));
    const intrt_tensor info = intrt_tensor_info(&plan_, output);
    return {data, data + std::size_t{info.element_count} * info.element_bytes};
  }

  bool at_end_;
  testing::AlignedBytes bytes_;
  intrt_plan plan_;
  std::optional<GuardedBytes> prepared_;
};

}  // namespace

TEST_CASE("chains compute what their operators compute one by one") {
  const std::uint64_t first = setting("LOCKSTEP_FUZZ_SEED", 1),
                      networks = setting("LOCKSTEP_FUZZ_NETWORKS", 30);
  struct Seen {
    int chains = 0, divided = 0;
  };
  std::map<std::string, Seen> seen;  // by variant
  for (std::uint64_t seed = first; seed < first + networks; ++seed) {
    CAPTURE(seed);
    const Graph graph = RandomNetwork(seed).build();
    const Compiled compiled = compile_network(graph, zoo::calibrated_state(graph, seed), {});
    std::vector<std::uint8_t> plan(compiled.plan.size());
    std::memcpy(plan.data(), compiled.plan.data(), plan.size());
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
      const std::string variant = intrt_kernel_variant(v);
      if (intrt_kernel_variant_runs_here(v) == 0 || variant == "scalar") continue;
      INFO(variant);
      const ReadyPlan ready(plan, variant.c_str(), seed % 2 == 0);
      const std::vector<std::uint8_t> expected = ready.observed(seed);
      for (std::uint32_t threads = 1; threads <= 4; ++threads) {
        INFO("threads ", threads);
        testing::ChainWatch watch(threads);
        CHECK(ready.watched(seed, watch) == expected);
        if (threads <= 2) CHECK(watch.chains() == ready.chains(threads));
        seen[variant].chains += threads == 1 ? watch.chains() : 0;
        seen[variant].divided += threads == 2 ? watch.divided() : 0;
      }
    }
  }
  for (const auto& [variant, of] : seen) {
    INFO(variant);
    MESSAGE(of.chains, " chains, and ", of.divided, " that two threads share");
    CHECK(of.chains >= static_cast<int>(networks / 3));
    CHECK(of.divided >= static_cast<int>(networks / 3));
  }
}

}  // namespace lockstep::test
