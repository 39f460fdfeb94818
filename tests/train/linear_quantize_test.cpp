// Two ways of computing the same: single passes on the CPU, tensor operations elsewhere. Here both
// run on the CPU and must agree in every bit, with masks and relu, forward and backward.
#include <cmath>

#include "tests/support/torch_doctest.h"
#include "train/linear_quantize.h"

using lockstep::Rounding;
using lockstep::train::apply_mask;
using lockstep::train::AroundQuantize;
using lockstep::train::linear_quantize;
using lockstep::train::Relu;
namespace tensor_ops = lockstep::train::tensor_ops;

namespace {

bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor first = a.detach().contiguous(), second = b.detach().contiguous();
  return first.sizes() == second.sizes() && first.dtype() == second.dtype() &&
         std::memcmp(first.data_ptr(), second.data_ptr(), first.nbytes()) == 0;
}

struct Case {
  std::vector<std::int64_t> shape, mask_shape;  // no mask when empty
  std::vector<float> decimals;
  std::int64_t axis;
};

std::vector<Case> cases() {
  const std::vector<float> three = {3, -2, 11}, two = {0, 5}, five = {1, 2, 3, 4, 5};
  return {{{4, 3, 20, 9}, {}, {5}, -1},
          {{4, 3, 20, 9}, {3, 20, 9}, {5}, -1},
          {{4, 3, 20, 9}, {3, 20, 9}, three, 1},
          {{4, 3, 20, 9}, {3, 1, 1}, three, 1},
          {{4, 3, 20, 9}, {1, 20, 1}, {2.5f}, -1},
          {{3, 2, 5}, {3, 2, 5}, three, 0},
          {{3, 2, 5}, {3, 2, 5}, two, 1},
          {{3, 2, 5}, {2, 5}, five, 2},
          {{3, 2, 5}, {}, five, -1},
          {{7, 5}, {5}, five, 1},
          {{3, 40000}, {40000}, three, 0},
          {{1, 3, 1, 1}, {3, 1, 1}, three, 1}};
}

}  // namespace

TEST_CASE("tensor operations and single passes give the same bits, forward and backward") {
  torch::manual_seed(21);
  for (const Case& one : cases())
    for (const Rounding rounding : {Rounding::kTowardZero, Rounding::kFloor, Rounding::kHalfEven})
      for (const int bits : {1, 2, 8, 16})
        for (const Relu relu : {Relu::kNone, Relu::kBefore, Relu::kAfter}) {
          CAPTURE(one.shape);
          CAPTURE(bits);
          CAPTURE(static_cast<int>(relu));
          const torch::Tensor decimals = torch::tensor(one.decimals);
          torch::Tensor x = torch::randn(one.shape) * 20;
          // Ties and exact codes, too.
          x = torch::where(torch::rand(one.shape) < 0.5, x, (x * 4).round() / 4);
          x.set_requires_grad(true);
          AroundQuantize around = {.relu = relu};
          if (!one.mask_shape.empty()) around.mask = torch::rand(one.mask_shape) < 0.5;
          const torch::Tensor gy = torch::randn(one.shape) * 100;
          bool fits = false, fits_by_ops = false;
          const torch::Tensor y =
              linear_quantize(x, decimals, bits, one.axis, rounding, &fits, around);
          y.backward(gy);
          const torch::Tensor by_ops = tensor_ops::quantize(x.detach(), decimals, bits, one.axis,
                                                            rounding, &fits_by_ops, around);
          CHECK(same_bits(y, by_ops));
          CHECK(fits);
          CHECK(fits_by_ops);
          const torch::Tensor gate = relu == Relu::kBefore ? x.detach() : by_ops;
          CHECK(same_bits(
              x.grad(), tensor_ops::quantize_gradient(gy, gate, decimals, bits, one.axis, around)));
        }
}

TEST_CASE("mask, Q and relu in one pass are the three one after the other") {
  torch::manual_seed(22);
  for (const Case& one : cases()) {
    if (one.mask_shape.empty()) continue;
    CAPTURE(one.shape);
    const torch::Tensor decimals = torch::tensor(one.decimals);
    const torch::Tensor mask = torch::rand(one.mask_shape) < 0.5;
    const torch::Tensor data = torch::randn(one.shape) * 20, gy = torch::randn(one.shape) * 100;
    for (const Relu relu : {Relu::kBefore, Relu::kAfter}) {
      const torch::Tensor fused_x = data.clone().set_requires_grad(true),
                          plain_x = data.clone().set_requires_grad(true);
      const torch::Tensor fused = linear_quantize(fused_x, decimals, 8, one.axis,
                                                  Rounding::kTowardZero, nullptr, {mask, relu});
      const torch::Tensor from = relu == Relu::kBefore ? plain_x.relu() : plain_x;
      torch::Tensor plain = linear_quantize(from * mask.to(torch::kFloat32), decimals, 8, one.axis,
                                            Rounding::kTowardZero);
      if (relu == Relu::kAfter) plain = plain.relu();
      fused.backward(gy);
      plain.backward(gy);
      CHECK(same_bits(fused, plain));
      CHECK(same_bits(fused_x.grad(), plain_x.grad()));
    }
  }
}

TEST_CASE("apply_mask is the product, and so is its gradient") {
  torch::manual_seed(23);
  for (const auto& mask_shape : {std::vector<std::int64_t>{3, 4, 5}, {4, 5}, {1, 5}, {4, 1}}) {
    const torch::Tensor mask = torch::rand(mask_shape) < 0.5;
    const torch::Tensor data = torch::randn({3, 4, 5}), gy = torch::randn({3, 4, 5});
    const torch::Tensor x = data.clone().set_requires_grad(true),
                        plain_x = data.clone().set_requires_grad(true);
    const torch::Tensor y = apply_mask(x, mask), plain = plain_x * mask.to(torch::kFloat32);
    y.backward(gy);
    plain.backward(gy);
    CHECK(same_bits(y, plain));
    CHECK(same_bits(x.grad(), plain_x.grad()));
    CHECK(same_bits(apply_mask(data.to(torch::kFloat64), mask),
                    data.to(torch::kFloat64) * mask.to(torch::kFloat64)));
  }
}

TEST_CASE("the gradient of apply_mask has a gradient") {
  torch::manual_seed(24);
  const torch::Tensor mask = torch::rand({4, 5}) < 0.5;
  const torch::Tensor data = torch::randn({3, 4, 5});
  const auto penalty_gradient = [&](auto product) {
    const torch::Tensor x = data.clone().set_requires_grad(true);
    const torch::Tensor y = product(x).pow(3).sum();
    const torch::Tensor first = torch::autograd::grad({y}, {x}, {}, true, true)[0];
    return torch::autograd::grad({first.pow(2).sum()}, {x})[0];
  };
  CHECK(same_bits(
      penalty_gradient([&](const torch::Tensor& x) { return apply_mask(x, mask); }),
      penalty_gradient([&](const torch::Tensor& x) { return x * mask.to(torch::kFloat32); })));
}

TEST_CASE("values outside int32 are reported by both ways, masked ones are not") {
  const torch::Tensor decimals = torch::tensor({19.0f});
  for (const float value : {4096.0f, -4097.0f, INFINITY, NAN}) {
    const torch::Tensor x = torch::tensor({1.0f, value});
    bool fits = true, fits_by_ops = true;
    const torch::Tensor y = linear_quantize(x, decimals, 8, -1, Rounding::kTowardZero, &fits);
    const torch::Tensor by_ops =
        tensor_ops::quantize(x, decimals, 8, -1, Rounding::kTowardZero, &fits_by_ops, {});
    CHECK(!fits);
    CHECK(!fits_by_ops);
    CHECK(same_bits(y, by_ops));
    if (!std::isfinite(value)) continue;  // times 0 is NaN
    const torch::Tensor mask = torch::tensor({true, false});
    linear_quantize(x, decimals, 8, -1, Rounding::kTowardZero, &fits, {.mask = mask});
    CHECK(fits);
    linear_quantize(-x.abs(), decimals, 8, -1, Rounding::kTowardZero, &fits,
                    {.relu = Relu::kBefore});
    CHECK(fits);  // all became 0
  }
}
