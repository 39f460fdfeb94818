// tanh, sigmoid, elu and softplus never fall, as functions of float32 numbers. The verifier and the
// checker rely on that where they look at the ends of an interval alone; here each float32 number
// is held against the next.
//
// What stands for all parameters, of which there are too many to try:
//   elu       fl(fl(exp(x)) - 1) * alpha for x <= 0 rises with fl(exp(x)) - 1, which is at most 0:
//             a product with alpha >= 0, rounded, keeps the order. alpha = 1 shows the rest.
//   softplus  Let h(s) = fl(log1p(fl(exp(s)))), which beta = 1 and a threshold of 88 show for all
//             s <= 88: h never falls, and h(s) = s from 16 on. With s = fl(x * beta), which rises
//             with x, h(s) / beta never falls up to the threshold t. Where it ends, h(s) <= h(t) =
//             t since t >= 16. For x' beyond, t < fl(x' * beta), so that t lies no higher than the
//             float32 number below, and hence t <= x' * beta: fl(t / beta) <= x', as x' is one.
//
// LOCKSTEP_LEMMAS=all walks through all 2^32 numbers, and takes minutes. Without it, every number
// is walked through where a function bends; below, where it is constant or the identity but for
// rounding, and beyond, where it has reached its limit, 32 numbers in a row out of each 65536.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "verify/checker/functions.h"
#include "verify/semantics/float_function.h"

namespace lockstep::test {
namespace {

using verify::FloatFunction;

// One function as the checker and as the verifier have it.
struct Function {
  const char* name;  // of the checker
  FloatFunction function;
  float a, b;

  checker::Step step() const { return checker::float_step(name, a, b); }
  verify::FloatStep float_step() const { return {.function = function, .a = a, .b = b}; }
};

// Finite float32 numbers in their order, -kMost .. kMost; 0 is 0.
constexpr std::int64_t kMost = 0x7F7FFFFF;
float number(std::int64_t place) {
  const float magnitude = std::bit_cast<float>(static_cast<std::uint32_t>(std::abs(place)));
  return place < 0 ? -magnitude : magnitude;
}

constexpr std::int64_t kChunk = 65536, kSample = 32;

// Where each number is walked through: bend_from <= |x| <= bend_to.
struct Walk {
  float bend_from, bend_to;
};

bool walks_all() {
  const char* const wish = std::getenv("LOCKSTEP_LEMMAS");
  return wish != nullptr && std::string_view(wish) == "all";
}

struct Outcome {
  std::int64_t looks = 0;
  std::string fault;  // empty: none
};

// The numbers at first .. first + kChunk, or the sample, and the first of the next chunk.
Outcome walk_chunk(const Function& f, const Walk& walk, std::int64_t first) {
  const checker::Step step = f.step();
  const verify::FloatStep float_step = f.float_step();
  const std::int64_t last = std::min(first + kChunk, kMost);
  const float one = std::fabs(number(first)), other = std::fabs(number(last));
  const bool bends = std::max(one, other) >= walk.bend_from && std::min(one, other) <= walk.bend_to;
  const bool is_whole = bends || walks_all();
  Outcome outcome;
  float before = 0;
  for (std::int64_t place = first; place <= last; ++place) {
    if (!is_whole && place == first + kSample) place = last;
    const float x = number(place), y = step.apply({0, 0, x, true}).real;
    outcome.looks += 1;
    if (y != float_step.apply(x))
      return {outcome.looks, fmt::format("at {:.9g}: the checker says {:.9g}, the verifier {:.9g}",
                                         x, y, float_step.apply(x))};
    if (place != first && !(before <= y))
      return {outcome.looks, fmt::format("falls from {:.9g} to {:.9g} at {:.9g}", before, y, x)};
    before = y;
  }
  return outcome;
}

// Through all finite numbers, in two threads.
Outcome walk_through(const Function& f, const Walk& walk) {
  std::atomic<std::int64_t> next = -kMost;
  std::mutex mutex;
  Outcome all;
  const auto work = [&] {
    for (;;) {
      const std::int64_t first = next.fetch_add(kChunk);
      if (first >= kMost) return;
      const Outcome one = walk_chunk(f, walk, first);
      const std::lock_guard lock(mutex);
      all.looks += one.looks;
      if (all.fault.empty()) all.fault = one.fault;
    }
  };
  std::thread other(work);
  work();
  other.join();
  return all;
}

void check_never_falls(const Function& f, const Walk& walk) {
  const std::string text = f.float_step().text();
  CAPTURE(text);
  CHECK(f.step().rises());
  CHECK(f.float_step().monotony() == verify::Monotony{true, false});
  const Outcome outcome = walk_through(f, walk);
  CHECK(outcome.fault == "");
  CHECK(outcome.looks > 2'000'000);
  CHECK(f.step().apply({0, 0, -0.0F, true}).real == f.step().apply({0, 0, 0.0F, true}).real);
  if (outcome.looks > 100'000'000) MESSAGE(text, ": ", outcome.looks, " numbers");
}

constexpr Walk kSampled = {INFINITY, -INFINITY};
// fl(exp(x)) is 1 where |x| < 2^-25, 0 below -104.
constexpr Walk kExp = {0x1p-26F, 106};

}  // namespace

TEST_CASE("tanh never falls from one float32 number to the next") {
  // x - x^3 / 3 rounds to x where |x| < 2^-12; from 9.02 on, tanh rounds to 1.
  check_never_falls({"tanh", FloatFunction::kTanh, 0, 0}, {0x1p-13F, 10});
}

TEST_CASE("sigmoid never falls from one float32 number to the next") {
  check_never_falls({"sigmoid", FloatFunction::kSigmoid, 0, 0}, kExp);
}

TEST_CASE("elu never falls from one float32 number to the next") {
  check_never_falls({"elu", FloatFunction::kElu, 1, 0}, kExp);
  for (const float alpha : {0.0F, 1e-40F, 0.7F, 1.6732632F, 3e38F})
    check_never_falls({"elu", FloatFunction::kElu, alpha, 0}, kSampled);
  const Function negative = {"elu", FloatFunction::kElu, -0.5F, 0};
  CHECK_FALSE(negative.step().rises());
  CHECK_FALSE(negative.float_step().monotony().never_decreases);
}

TEST_CASE("softplus never falls from one float32 number to the next") {
  check_never_falls({"softplus", FloatFunction::kSoftplus, 1, 88}, kExp);
  for (const float beta : {0.0001F, 0.3F, 1.0F, 1.3F, 2.0F, 1e6F})
    for (const float threshold : {16.0F, 17.3F, 20.0F, 88.0F})
      check_never_falls({"softplus", FloatFunction::kSoftplus, beta, threshold}, kSampled);
  for (const auto& [beta, threshold] :
       {std::pair{1.0F, 15.9F}, std::pair{1.0F, 88.1F}, std::pair{-1.0F, 20.0F}}) {
    const Function other = {"softplus", FloatFunction::kSoftplus, beta, threshold};
    CHECK_FALSE(other.step().rises());
    CHECK_FALSE(other.float_step().monotony().never_decreases);
  }
}

TEST_CASE("softplus is the identity from 16 to 88") {
  const checker::Step step = Function{"softplus", FloatFunction::kSoftplus, 1, 88}.step();
  std::int64_t count = 0, other = 0;
  for (float x = 16; x <= 88; x = std::nextafter(x, INFINITY)) {
    count += 1;
    other += step.apply({0, 0, x, true}).real == x ? 0 : 1;
  }
  CHECK(other == 0);
  CHECK(count == 19 * (std::int64_t{1} << 20) + 1);  // 2.375 octaves of 2^23
}

TEST_CASE("a function that falls by one unit once is found") {
  // Just above a threshold of 1 softplus is 1, just below it is 1.31.
  const Outcome outcome =
      walk_through({"softplus", FloatFunction::kSoftplus, 1, 1}, {0.99F, 1.01F});
  CHECK(outcome.fault.starts_with("falls from 1.313261"));
  CHECK(outcome.fault.ends_with(" to 1.00000012 at 1.00000012"));
}

}  // namespace lockstep::test
