// The layer functions against what QSPARSE 1.0.1 computed; see tests/golden/layers/README.md.
#include <fmt/format.h>

#include <cmath>

#include "tests/support/torch_doctest.h"
#include "tests/train/golden_group.h"
#include "train/decimal_search.h"
#include "train/linear_quantize.h"
#include "train/prune_masks.h"

using lockstep::test::GoldenGroup;
using lockstep::test::has_golden_groups;
using lockstep::test::same_values;
using nlohmann::json;

namespace {

void print_count(const GoldenGroup& group, std::int64_t values) {
  fmt::print("{}: {} cases, {} values compared\n", group.name, group.cases.size(), values);
}

}  // namespace

TEST_CASE("linear_quantize computes QSPARSE's values and gradients in every recorded case") {
  if (!has_golden_groups()) return;
  const GoldenGroup group("quantize_callback");
  if (group.is_committed()) REQUIRE(group.cases.size() == 105);
  std::int64_t values = 0;
  for (std::size_t i = 0; i < group.cases.size(); ++i) {
    const json& one = group.cases[i];
    CAPTURE(i);
    CAPTURE(one.dump());
    const torch::Tensor decimals =
        one.at("decimal").contains("scalar")
            ? torch::full({1}, one.at("decimal").at("scalar").get<double>(), torch::kFloat32)
            : group.tensor(one.at("decimal").at("tensor"));
    const torch::Tensor x = group.tensor(one.at("input")).requires_grad_();
    const torch::Tensor grad_output = group.tensor(one.at("grad_output"));
    const torch::Tensor kept = grad_output.clone();
    bool fits = true;
    const torch::Tensor y =
        lockstep::train::linear_quantize(x, decimals, one.at("bits"), one.at("channel_index"),
                                         lockstep::Rounding::kTowardZero, &fits);
    y.backward(grad_output);
    CHECK(same_values(y.detach(), group.tensor(one.at("output"))));
    CHECK(same_values(x.grad(), group.tensor(one.at("grad_input"))));
    values += 2 * y.numel();
    CHECK(same_values(grad_output, kept));  // nothing is modified in place
    if (one.at("tag").get<std::string>() != "quirk_int32_overflow") CHECK(fits);
  }
  print_count(group, values);
}

TEST_CASE("search_decimals finds QSPARSE's decimal in every recorded case") {
  if (!has_golden_groups()) return;
  const GoldenGroup group("decimal_search");
  if (group.is_committed()) REQUIRE(group.cases.size() == 116);
  std::int64_t values = 0;
  for (std::size_t i = 0; i < group.cases.size(); ++i) {
    const json& one = group.cases[i];
    CAPTURE(i);
    CAPTURE(one.dump());
    lockstep::QuantizeSpec spec;
    spec.decimal_lo = one.at("decimal_range")[0];
    spec.decimal_hi = one.at("decimal_range")[1];
    spec.saturate_lo = one.at("saturate_range")[0];
    spec.saturate_hi = one.at("saturate_range")[1];
    const torch::Tensor input = group.tensor(one.at("input"));
    const torch::Tensor kept = input.clone();
    const int bits = one.at("bits");
    const std::optional<int> found =
        lockstep::train::search_decimals(input.reshape({1, -1}), bits, spec)[0];
    CHECK(same_values(input, kept));  // nothing is modified in place
    const torch::Tensor saturated =
        lockstep::train::saturate(input.reshape(-1), spec.saturate_lo, spec.saturate_hi);
    CHECK(same_values(saturated, group.tensor(one.at("saturated"))));
    std::vector<float> errors;
    for (std::int64_t n = spec.decimal_lo; n < spec.decimal_hi; ++n)
      errors.push_back(lockstep::train::decimal_error(saturated.to(torch::kFloat32), bits,
                                                      spec.rounding, static_cast<int>(n)));
    if (!one.at("fragile").get<bool>()) {
      if (one.at("expect").is_null()) {
        CHECK(!found.has_value());
      } else {
        REQUIRE(found.has_value());
        CHECK(*found == one.at("expect").get<int>());
      }
    }
    // The last bits depend on the CPU's vector width, as they do in QSPARSE.
    const torch::Tensor expected = group.tensor(one.at("errors"));
    REQUIRE(expected.numel() == static_cast<std::int64_t>(errors.size()));
    values += input.numel() + 1 + expected.numel();
    for (std::size_t n = 0; n < errors.size(); ++n) {
      const double wanted = expected[static_cast<std::int64_t>(n)].item<double>();
      if (std::isfinite(wanted)) {
        CHECK(std::abs(errors[n] - wanted) <= 2e-6 * std::abs(wanted));
      } else {
        CHECK(std::isnan(errors[n]) == std::isnan(wanted));
      }
    }
  }
  print_count(group, values);
}

TEST_CASE("the prune masks are QSPARSE's in every recorded case") {
  if (!has_golden_groups()) return;
  const GoldenGroup group("prune_masks");
  if (group.is_committed()) REQUIRE(group.cases.size() == 111);
  std::int64_t values = 0;
  for (std::size_t i = 0; i < group.cases.size(); ++i) {
    const json& one = group.cases[i];
    CAPTURE(i);
    CAPTURE(one.dump());
    std::vector<torch::Tensor> window;
    for (const json& key : one.at("inputs")) window.push_back(group.tensor(key));
    const double sparsity = one.at("sparsity");
    torch::Tensor mask;
    if (one.at("callback").is_object()) {
      const auto dims = one.at("callback").at("structured").get<std::vector<std::int64_t>>();
      mask = lockstep::train::structured_mask(window, dims, sparsity);
    } else {
      mask = lockstep::train::unstructured_mask(window, sparsity);
    }
    const bool is_bool = mask.scalar_type() == torch::kBool;
    CHECK(is_bool);
    CHECK(same_values(mask, group.tensor(one.at("mask"))));
    CHECK(mask.numel() - mask.sum().item<std::int64_t>() == one.at("n_pruned").get<std::int64_t>());
    values += mask.numel() + 1;
  }
  print_count(group, values);
}
