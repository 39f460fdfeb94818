// lockstep::Model on the recorded networks: numbers and codes, one sample and many, its own threads
// and the caller's, and what it refuses.
#include "lockstep/model.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "compile/compile.h"
#include "tests/tools/model/model_networks.h"

namespace lockstep::test {
namespace {

std::string refusal(const auto& action) {
  try {
    action();
    return "(no error)";
  } catch (const InputError& error) {
    return error.what();
  }
}

// An input of 8 bits with decimal 7, and an output.
const std::vector<std::byte>& lenet() {
  static const std::vector<std::byte> plan = zoo_plan("lenet");
  return plan;
}

std::vector<float> numbers(std::size_t count, std::uint32_t seed) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    seed = seed * 1664525 + 1013904223;
    values.push_back(static_cast<float>(static_cast<std::int32_t>(seed) >> 16) / 30000.0F);
  }
  return values;
}

}  // namespace

TEST_CASE("a model says what goes in and what comes out") {
  const Model model = Model::copy(lenet());
  REQUIRE(model.inputs().size() == 1);
  REQUIRE(model.outputs().size() == 1);
  CHECK(model.name() == "lenet");
  const TensorInfo& input = model.inputs()[0];
  CHECK(input.shape == std::vector<std::int64_t>{1, 28, 28});
  CHECK(input.elements == 784);
  CHECK(input.bits == 8);
  CHECK(!input.is_bytes);
  REQUIRE(input.decimals.size() == 1);
  CHECK(model.outputs()[0].shape == std::vector<std::int64_t>{10});
  CHECK(model.threads() == 1);
  std::uint64_t macs = 0;
  for (const OperatorInfo& op : model.operators()) macs += op.macs;
  CHECK(macs == 416520);
}

TEST_CASE("numbers are quantized in the input's format and come out as code * 2^-decimal") {
  Model model = Model::copy(lenet());
  const TensorInfo &in = model.inputs()[0], &out = model.outputs()[0];
  const std::vector<float> values = numbers(3 * in.elements, 1);
  std::vector<std::int32_t> codes;
  for (const float value : values) {
    const double scaled = std::trunc(std::ldexp(static_cast<double>(value), in.decimals[0]));
    codes.push_back(static_cast<std::int32_t>(std::min(127.0, std::max(-128.0, scaled))));
  }
  const std::vector<std::int8_t> bytes(codes.begin(), codes.end());

  std::vector<std::int32_t> expected(3 * out.elements), from_bytes(3 * out.elements);
  model.run(codes, expected);
  std::vector<std::int32_t> from_numbers(3 * out.elements);
  model.run(values, from_numbers);
  model.run(bytes, from_bytes);
  CHECK(from_numbers == expected);
  CHECK(from_bytes == expected);
  std::vector<float> result(3 * out.elements);
  model.run(values, result);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const int decimal = out.decimals[out.decimals.size() == 1 ? 0 : i % out.elements];
    float value = std::ldexp(static_cast<float>(expected[i]), -decimal);
    if (!out.offsets.empty()) value += out.offsets[i % out.elements];
    CHECK(result[i] == value);
  }
}

TEST_CASE("many samples give what each of them gives, for any number of threads") {
  Model one = Model::copy(lenet());
  const std::size_t in = one.inputs()[0].elements, out = one.outputs()[0].elements;
  for (const std::size_t samples : {0U, 1U, 2U, 3U, 6U, 20U}) {
    const std::vector<float> values = numbers(samples * in, 7);
    std::vector<std::int32_t> expected(samples * out);
    for (std::size_t i = 0; i < samples; ++i)
      one.run(std::span(values).subspan(i * in, in), std::span(expected).subspan(i * out, out));
    for (const int threads : {1, 2, 3, 7}) {
      Model model = Model::copy(lenet(), {.threads = threads});
      std::vector<std::int32_t> found(samples * out, -1);
      model.run(values, found);
      INFO(samples, " samples, ", threads, " threads");
      CHECK(found == expected);
    }
  }
}

TEST_CASE("an observer sees the same layers with one thread and with several") {
  const std::vector<float> values = numbers(3 * 784, 3);
  std::vector<std::vector<std::int32_t>> first;
  for (const int threads : {1, 3}) {
    Model model = Model::copy(lenet(), {.threads = threads});
    std::vector<std::vector<std::int32_t>> seen;
    model.observe([&](std::size_t, std::size_t layer, std::span<const std::int32_t> codes) {
      CHECK(codes.size() == model.layers()[layer].elements);
      seen.emplace_back(codes.begin(), codes.end());
    });
    std::vector<float> scores(30);
    model.run(values, scores);
    CHECK(seen.size() == 3 * model.layers().size());
    if (threads == 1) first = seen;
    CHECK(seen == first);
    model.observe({});
    model.run(values, scores);
    CHECK(seen.size() == first.size());
  }
}

TEST_CASE("clones run at the same time") {
  Model model = Model::copy(lenet());
  const std::vector<float> values = numbers(784, 5);
  std::vector<float> expected(10);
  model.run(values, expected);
  std::vector<std::vector<float>> found(4, std::vector<float>(10));
  std::vector<std::thread> threads;
  for (std::vector<float>& scores : found)
    threads.emplace_back([&scores, &values, clone = model.clone()]() mutable {
      for (int i = 0; i < 20; ++i) clone.run(values, scores);
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<float>& scores : found) CHECK(scores == expected);
}

TEST_CASE("a plan is used where it lies") {
  alignas(INTRT_PLAN_ALIGNMENT) static std::byte place[1 << 20];
  REQUIRE(lenet().size() < sizeof place);
  std::memcpy(place, lenet().data(), lenet().size());
  Model model = Model::view(std::span(place).first(lenet().size()));
  std::vector<float> values = numbers(784, 5), here(10), there(10);
  model.run(values, here);
  Model::copy(lenet()).run(values, there);
  CHECK(here == there);
  std::memmove(place + 8, place, lenet().size());
  CHECK(refusal([&] {
          Model::view(std::span(place).subspan(8, lenet().size()));
        }).find("aligned") != std::string::npos);
}

TEST_CASE("the caller's threads are used in place of own ones") {
  struct Pool {
    int calls = 0;
    std::uint32_t parts = 0;
  } pool;
  const intrt_parallel parallel{
      [](void* opaque, std::uint32_t parts, void (*part)(void*, std::uint32_t), void* work) {
        Pool& mine = *static_cast<Pool*>(opaque);
        ++mine.calls;
        mine.parts += parts;
        for (std::uint32_t i = parts; i-- > 0;) part(work, i);
      },
      &pool, 4};
  Model model = Model::copy(lenet(), {.parallel = &parallel});
  CHECK(model.threads() == 4);
  const std::vector<float> values = numbers(5 * 784, 5);
  std::vector<float> found(50), expected(50);
  model.run(values, found);
  CHECK(pool.calls == 1);  // samples side by side
  CHECK(pool.parts == 4);
  Model::copy(lenet()).run(values, expected);
  CHECK(found == expected);
}

TEST_CASE("times are measured without changing what comes out") {
  Model model = Model::copy(lenet(), {.threads = 2});
  const std::vector<float> values = numbers(784, 5);
  const ModelInput input = std::span(values);
  std::vector<double> seconds(model.operators().size(), -1);
  CHECK(model.time({&input, 1}) > 0);
  const double all = model.time({&input, 1}, seconds);
  double sum = 0;
  for (const double time : seconds) {
    CHECK(time >= 0);
    sum += time;
  }
  CHECK(sum <= all);
}

TEST_CASE("what does not fit is refused by name, value and what is allowed") {
  Model model = Model::copy(lenet(), {.threads = 2});
  std::vector<float> values = numbers(784 * 4, 1), scores(40);
  const auto run = [&](const ModelInput& in, const ModelOutput& out) {
    return refusal([&] { model.run(in, out); });
  };
  CHECK(run(values, scores) == "(no error)");
  const std::string input = model.inputs()[0].name;
  CHECK(run(std::span(values).first(783), std::span(scores).first(10)).find("'" + input + "'") !=
        std::string::npos);
  CHECK(run(values, std::span(scores).first(39)).find("39 elements, but 4 samples of 10 are 40") !=
        std::string::npos);
  CHECK(run(std::vector<std::int32_t>(784, 128), std::span(scores).first(10)).find("128") !=
        std::string::npos);
  // The first that is wrong, however many threads look.
  for (int i = 0; i < 20; ++i) {
    values[3 * 784 + 1] = 1e30F;
    values[2 * 784 + 29] = std::numeric_limits<float>::quiet_NaN();
    const std::string text = run(values, scores);
    CHECK(text.find("element (0, 1, 1) of sample 2 is nan") != std::string::npos);
  }
  CHECK(refusal([] { Model("/no/such.plan"); }).find("/no/such.plan") != std::string::npos);
  CHECK(refusal([] { Model::copy(lenet(), {.threads = 0}); }).find("threads 0") !=
        std::string::npos);
  CHECK(refusal([] { Model::copy(lenet(), {.kernels = "abacus"}); }).find("abacus") !=
        std::string::npos);
  std::vector<std::byte> broken = lenet();
  broken[100] ^= std::byte{1};
  CHECK(refusal([&] { Model::copy(broken, {}, "mine"); }).find("mine: ") == 0);
}

}  // namespace lockstep::test
