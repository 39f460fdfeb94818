#include "train/decimal_search.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <cmath>

#include "compile/support/error.h"
#include "train/fake_quantize.h"

namespace lockstep::train {
namespace {

constexpr std::int64_t kGrain = 1 << 15;  // elements per task; below that a thread costs more

// torch.quantile accepts 2^24 elements; more are averaged over chunks of that size, of which the
// last is the last 2^24 elements, as QSPARSE does.
double chunked_quantile(const torch::Tensor& flat, double q) {
  constexpr std::int64_t kChunk = 1 << 24;
  const std::int64_t n = flat.numel();
  if (n <= kChunk) return torch::quantile(flat, q).item<float>();
  std::vector<torch::Tensor> parts;
  for (std::int64_t begin = 0; begin < n; begin += kChunk)
    parts.push_back(torch::quantile(flat.narrow(0, std::min(begin, n - kChunk), kChunk), q));
  return torch::stack(parts).mean().item<float>();
}

}  // namespace

torch::Tensor saturate(const torch::Tensor& data, double lo, double hi) {
  LOCKSTEP_ASSERT(0 <= lo && lo <= hi && hi <= 1);
  if ((lo == 0 && hi == 1) || data.numel() == 0) return data;
  const torch::Tensor flat = data.reshape(-1);
  return data.clamp(chunked_quantile(flat, lo), chunked_quantile(flat, hi));
}

namespace {

// Calls error(n) for each candidate and keeps the first strictly smallest.
template <typename Error>
std::optional<int> least_error(const QuantizeSpec& spec, std::vector<float>* errors, Error error) {
  std::optional<int> best;
  float best_error = INFINITY;
  for (std::int64_t n = spec.decimal_lo; n < spec.decimal_hi; ++n) {
    const float found = error(static_cast<float>(n));
    if (errors != nullptr) errors->push_back(found);
    if (found < best_error) {
      best_error = found;
      best = static_cast<int>(n);
    }
  }
  return best;
}

}  // namespace

std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  std::vector<float>* errors) {
  const torch::Tensor flat = saturate(data.reshape(-1), spec.saturate_lo, spec.saturate_hi)
                                 .to(torch::kFloat32)
                                 .contiguous();
  torch::Tensor squares = torch::empty_like(flat);
  const float* source = flat.data_ptr<float>();
  float* target = squares.data_ptr<float>();
  return least_error(spec, errors, [&](float n) {
    const FakeQuantizer q({&n, 1}, bits, spec.rounding);
    at::parallel_for(0, flat.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      q.squared_error(source, target, begin, end);
    });
    return squares.sum().item<float>();  // LibTorch's order of summation, as QSPARSE
  });
}

std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  const QuantizeCallback& quantize) {
  const torch::Tensor flat = saturate(data.reshape(-1), spec.saturate_lo, spec.saturate_hi);
  return least_error(spec, nullptr, [&](float n) {
    const torch::Tensor decimal = torch::full({1}, n, torch::kFloat32);
    return (flat - quantize(flat, bits, decimal, -1)).square().sum().item<float>();
  });
}

}  // namespace lockstep::train
