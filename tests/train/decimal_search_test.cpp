// The search for decimals, which looks at few candidates, against its definition: the float32 error
// of every candidate, the strictly smallest one, the lowest of equals.
#include <cmath>

#include "tests/support/torch_doctest.h"
#include "train/decimal_search.h"

using lockstep::QuantizeSpec;
using lockstep::Rounding;
using lockstep::train::decimal_error;
using lockstep::train::search_decimals;

namespace {

std::optional<int> by_definition(const torch::Tensor& data, int bits, const QuantizeSpec& spec) {
  std::optional<int> best;
  float least = INFINITY;
  for (std::int64_t n = spec.decimal_lo; n < spec.decimal_hi; ++n) {
    const float error = decimal_error(data, bits, spec.rounding, static_cast<int>(n));
    if (error < least) least = error, best = static_cast<int>(n);
  }
  return best;
}

// Rows of data of many kinds: smooth, long-tailed, on a grid, constant, sparse, tiny, huge.
std::vector<torch::Tensor> kinds_of_data(std::int64_t n) {
  const torch::Tensor normal = torch::randn({n});
  torch::Tensor outlier = torch::randn({n}) * 0.01;
  outlier[0] = 100.0f;
  torch::Tensor power = torch::rand({n}) * 0.3, negative_power = power.clone();
  power[n - 1] = 1.0f;
  negative_power[n - 1] = -1.0f;
  torch::Tensor infinite = normal.clone(), bad = normal.clone();
  infinite[n / 2] = INFINITY;
  bad[n / 2] = NAN;
  return {normal,
          normal * 1e-3,
          normal * 1e4,
          normal * 1e9,
          normal * 3e18,
          normal * 1e25,
          normal * 1e-30,
          normal.exp(),
          torch::pow(torch::rand({n}) + 1e-3, -3),
          torch::rand({n}),
          -torch::rand({n}),
          (normal * 8).round() / 8,
          (normal * 300).round() / 16,
          torch::full({n}, 0.3f),
          torch::full({n}, 0.75f),
          torch::full({n}, -1e9f),
          torch::zeros({n}),
          normal * (torch::rand({n}) > 0.9).to(torch::kFloat32),
          outlier,
          power,
          negative_power,
          power * 65536,
          infinite,
          bad};
}

}  // namespace

TEST_CASE("search_decimals finds what trying every candidate finds, for data of every kind") {
  torch::manual_seed(11);
  std::int64_t searches = 0, none = 0;
  for (const std::int64_t length : {1, 5, 33, 1000, 70000}) {
    const std::vector<torch::Tensor> kinds = kinds_of_data(length);
    for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
      for (const int bits : {1, 2, 4, 8, 16, 31, 32})
        for (const auto& [lo, hi] :
             {std::pair(0, 20), std::pair(-40, 30), std::pair(5, 6), std::pair(-140, -120)}) {
          if (length > 1000 && (hi != 20 || bits == 31)) continue;  // takes long, adds nothing
          QuantizeSpec spec;
          spec.rounding = rounding, spec.decimal_lo = lo, spec.decimal_hi = hi;
          const std::vector<std::optional<int>> found =
              search_decimals(torch::stack(kinds), bits, spec);
          REQUIRE(found.size() == kinds.size());
          for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
            CAPTURE(length);
            CAPTURE(static_cast<int>(rounding));
            CAPTURE(bits);
            CAPTURE(lo);
            CAPTURE(kind);
            const std::optional<int> expected = by_definition(kinds[kind], bits, spec);
            const bool same = found[kind] == expected;
            CHECK(same);
            ++searches;
            none += expected.has_value() ? 0 : 1;
          }
        }
  }
  MESSAGE(searches, " searches, ", none, " without a decimal");
  CHECK(none > 0);
}

TEST_CASE("rows are searched by themselves, and without elements the lowest decimal wins") {
  torch::manual_seed(12);
  const torch::Tensor rows =
      torch::randn({5, 400}) * torch::tensor({1, 2, 8, 64, 500}).view({5, 1});
  const QuantizeSpec spec;
  const std::vector<std::optional<int>> together = search_decimals(rows, 8, spec);
  for (std::int64_t i = 0; i < 5; ++i) {
    const bool same =
        together[static_cast<std::size_t>(i)] == search_decimals(rows[i].unsqueeze(0), 8, spec)[0];
    CHECK(same);
  }
  const bool fell = together[0].value() > together[4].value();
  CHECK(fell);
  const bool lowest = search_decimals(torch::empty({1, 0}), 8, spec)[0] == 0;
  CHECK(lowest);
}

TEST_CASE("a saturated row is searched between its quantiles") {
  torch::manual_seed(13);
  torch::Tensor row = torch::rand({1, 5000});
  row[0][7] = 1000.0f;
  QuantizeSpec spec;
  const int with_outlier = search_decimals(row, 8, spec)[0].value();
  spec.saturate_lo = 0.001, spec.saturate_hi = 0.999;
  const int without = search_decimals(row, 8, spec)[0].value();
  CHECK(without == 7);
  CHECK(with_outlier < without);
}
