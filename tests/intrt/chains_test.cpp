// Which operators run together (intrt/find_chains.cpp), on arenas laid out in every way that a plan
// may have.
#include "tests/intrt/chain_watch.h"
#include "tests/intrt/fast_plans.h"

namespace lockstep::testing {
namespace {

// Tensors of one size; they lie at multiples of it.
class ChainPlan {
 public:
  explicit ChainPlan(std::uint8_t type) : type_(type) {}

  std::uint32_t input(int place) { return builder_.input(spec(place)); }
  std::uint32_t between(int place) { return builder_.tensor(spec(place)); }
  std::uint32_t output(int place) { return builder_.output(spec(place)); }

  // Of windows of one pixel; larger ones are those of a depthwise convolution.
  void convolve(std::uint32_t from, std::uint32_t to, std::uint32_t kernel) {
    intrt_conv2d_params p{};
    p.kernel_h = p.kernel_w = kernel;
    p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
    p.groups = kernel == 1 ? 1 : kChannels;
    p.pad_top = p.pad_left = p.pad_bottom = p.pad_right = kernel / 2;
    p.weight_type = INTRT_INT8;
    const std::int64_t count = std::int64_t{kChannels} * kernel * kernel * kChannels / p.groups;
    std::vector<std::int64_t> weights;
    for (std::int64_t i = 0; i < count; ++i) weights.push_back(random_.between(-9, 9));
    p.weights_offset = builder_.weights(weights, INTRT_INT8);
    p.post = post(6);
    builder_.op(k_conv2d, from, to, p);
  }
  void add(std::uint32_t a, std::uint32_t b, std::uint32_t to) {
    intrt_add_params p{};
    p.multipliers_offset = builder_.array(std::vector<std::int32_t>(2 * std::size_t{kChannels}, 3));
    p.post = post(2);
    builder_.op(k_add, std::vector<std::uint32_t>{a, b}, to, p);
  }
  std::vector<std::uint8_t> finish() { return builder_.finish(); }

 private:
  static constexpr std::uint32_t kChannels = 32, kSide = 68;

  TensorSpec spec(int place) const {
    TensorSpec spec;
    spec.channels = kChannels;
    spec.height = spec.width = kSide;
    spec.type = type_;
    spec.bits = type_ == INTRT_INT8 ? 8 : 16;
    spec.arena_offset =
        std::int64_t{place} * kChannels * kSide * kSide * (type_ == INTRT_INT8 ? 1 : 2);
    return spec;
  }
  intrt_post_record post(std::int8_t shift) {
    Post post;
    post.kind = INTRT_POST_SHIFT;
    post.shifts = {shift};
    post.lo = -100;
    post.hi = 120;
    return post_record(builder_, post, Logical(kChannels, kSide, kSide));
  }

  std::uint8_t type_;
  Random random_{1};
  PlanBuilder builder_;
};

// On every variant, with `chains` chains; all outputs as when the operators run one by one.
void check(const std::vector<std::uint8_t>& bytes, int chains) {
  const AlignedBytes plan_bytes(bytes);
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), nullptr) == INTRT_OK);
  for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
    const std::string variant = intrt_kernel_variant(v);
    if (intrt_kernel_variant_runs_here(v) == 0 || variant == "scalar") continue;
    INFO(variant);
    const GuardedBytes prepared(intrt_prepared_bytes(&plan, variant.c_str()), true);
    REQUIRE(intrt_prepare(&plan, variant.c_str(), prepared.data(), prepared.size()) == INTRT_OK);
    const auto outputs = [&](const auto& run) {
      const GuardedBytes arena(intrt_arena_bytes(&plan), true);
      Random random(7);
      for (std::size_t i = 0; i < arena.size(); ++i)
        arena.data()[i] = static_cast<std::uint8_t>(random.between(0, 255));
      CHECK(run(arena) == INTRT_OK);
      std::vector<std::uint8_t> all;
      for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
        const intrt_tensor info = intrt_tensor_info(&plan, intrt_output(&plan, i));
        const auto* const data = static_cast<const std::uint8_t*>(
            intrt_tensor_data(&plan, arena.data(), intrt_output(&plan, i)));
        all.insert(all.end(), data, data + std::size_t{info.element_count} * info.element_bytes);
      }
      return all;
    };
    const intrt_run_options observed{nullptr, [](void*, std::uint32_t, const void*) {}, nullptr,
                                     nullptr};
    const std::vector<std::uint8_t> expected = outputs([&](const GuardedBytes& arena) {
      return intrt_run_prepared(&plan, prepared.data(), arena.data(), arena.size(), &observed);
    });
    for (const std::uint32_t threads : {1, 2}) {
      INFO("threads: ", threads);
      ChainWatch watch(threads);
      CHECK(outputs([&](const GuardedBytes& arena) {
              return watch.run(plan, prepared.data(), arena.data(), arena.size());
            }) == expected);
      CHECK(watch.chains() == chains);
      CHECK(watch.divided() == (threads > 1 ? chains : 0));
    }
  }
}

// Where the tensors lie of two convolutions and an addition of what the second gives and a value
// from elsewhere.
struct Places {
  int from, first, second, other, result;
  bool residual = false;        // the other value is the first one's input, not an input of its own
  bool other_is_first = false;  // of the two that are added
  bool first_is_output = false;
};

std::vector<std::uint8_t> plan_of(std::uint8_t type, const Places& places) {
  ChainPlan plan(type);
  const std::uint32_t from = plan.input(places.from),
                      other = places.residual ? from : plan.input(places.other),
                      first = places.first_is_output ? plan.output(places.first)
                                                     : plan.between(places.first),
                      second = plan.between(places.second), result = plan.output(places.result);
  plan.convolve(from, first, 1);
  plan.convolve(first, second, 3);
  plan.add(places.other_is_first ? other : second, places.other_is_first ? second : other, result);
  return plan.finish();
}

}  // namespace

TEST_CASE("chains are found where the arena leaves memory, and nowhere else") {
  // Of 8 bits two tensors between are large enough for a chain, of 16 bits one.
  const struct {
    const char* name;
    Places places;
    int chains, wide_chains;
  } cases[] = {{"each in its own place", {0, 1, 2, 3, 4}, 1, 1},
               {"the other value comes first", {0, 1, 2, 3, 4, false, true}, 1, 1},
               {"in place on what the convolution gave", {0, 1, 2, 3, 2}, 1, 1},
               {"in place on the other value", {0, 1, 2, 3, 3}, 0, 1},
               {"in place of the input, which nobody needs any more", {0, 1, 2, 3, 0}, 0, 1},
               {"a tensor between lies where the input was", {2, 1, 2, 3, 4}, 1, 1},
               {"the result lies where a tensor between was", {0, 1, 2, 3, 1}, 1, 1},
               {"all but one place are used twice", {2, 1, 2, 3, 1}, 0, 0},
               {"residual", {0, 1, 2, 0, 3, true}, 1, 1},
               {"residual, in place on the input", {0, 1, 2, 0, 0, true}, 0, 1},
               {"somebody else reads a tensor between", {0, 1, 2, 3, 4, false, false, true}, 0, 1}};
  for (const auto& one : cases) {
    INFO(std::string(one.name));
    check(plan_of(INTRT_INT8, one.places), one.chains);
    check(plan_of(INTRT_INT16, one.places), one.wide_chains);
  }
}

TEST_CASE("an addition begins a chain, in place on one of its inputs") {
  ChainPlan plan(INTRT_INT8);
  const std::uint32_t a = plan.input(0), b = plan.input(1), sum = plan.between(1),
                      middle = plan.between(2), result = plan.output(3);
  plan.add(a, b, sum);
  plan.convolve(sum, middle, 3);
  plan.convolve(middle, result, 1);
  check(plan.finish(), 1);
}

TEST_CASE("a value that is added to itself is read twice") {
  ChainPlan plan(INTRT_INT8);
  const std::uint32_t a = plan.input(0), first = plan.between(1), middle = plan.between(2),
                      result = plan.output(3);
  plan.convolve(a, first, 1);
  plan.convolve(first, middle, 1);
  plan.add(middle, middle, result);
  check(plan.finish(), 0);
}

}  // namespace lockstep::testing
