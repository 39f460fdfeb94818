#include "train/decimal_search.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "compile/support/error.h"
#include "train/fake_quantize.h"
#include "train/parallel.h"

namespace lockstep::train {
namespace {

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

float decimal_error(const torch::Tensor& data, int bits, Rounding rounding, int decimal) {
  const torch::Tensor flat = data.reshape(-1).contiguous();
  torch::Tensor squares = torch::empty_like(flat);
  const float* source = flat.data_ptr<float>();
  float* target = squares.data_ptr<float>();
  const auto d = static_cast<float>(decimal);
  const FakeQuantizer q({&d, 1}, bits, rounding);
  for_each_range(flat.numel(), [&](std::int64_t begin, std::int64_t end) {
    q.squared_error(source, target, begin, end);
  });
  return squares.sum().item<float>();
}

namespace {

// Any order of adding float32 terms of one sign that LibTorch uses (cascades of at most some
// thousand additions) stays within this share of the double sum.
constexpr double kSumTolerance = 1.0 / 512;
// Decimals up to here, of both signs, scale float32 without overflow of the scale itself.
constexpr int kMostDecimal = 100;
// Below this no float32 sum of the terms overflows.
constexpr double kSafeSum = 0x1p120;

// Finds which candidates may win over the `count` values at `data`, from sums in double.
class Candidates {
 public:
  Candidates(std::span<const float> data, int bits, const QuantizeSpec& spec)
      : data_(data),
        rounding_(spec.rounding),
        lo_(static_cast<int>(spec.decimal_lo)),
        hi_(static_cast<int>(spec.decimal_hi)),
        limits_{static_cast<float>(code_range(bits).lo), static_cast<float>(code_range(bits).hi)},
        errors_(static_cast<std::size_t>(std::max(hi_ - lo_, 0)), NAN) {}

  struct Possible {
    std::vector<int> decimals;  // ascending
    bool decided = false;       // the first one has won
  };

  Possible possible_winners() {
    if (lo_ >= hi_) return {};
    const float largest = loops().largest_magnitude(data_.data(), std::ssize(data_));
    // All errors are 0, unless 2^-n is infinite.
    if (largest == 0 && lo_ >= -kMostDecimal) return {{lo_}, true};
    // Not where products underflow (floor would give 0 instead of -1) or scales overflow.
    const bool nested = std::isfinite(largest) &&
                        lo_ >= (rounding_ == Rounding::kFloor ? 0 : -kMostDecimal) &&
                        hi_ <= kMostDecimal;
    if (nested)
      look_around(largest);
    else
      look_at(lo_, hi_);
    // Sums that may overflow as float32, or that are not finite, cannot tell.
    const bool tells = least_ < kSafeSum;
    Possible possible;
    for (int n = lo_; n < hi_; ++n)
      if (!tells || is_near(n)) possible.decimals.push_back(n);
    possible.decided = tells && possible.decimals.size() == 1;
    return possible;
  }

 private:
  // Looks at every candidate that may win, given the largest magnitude in the data.
  void look_around(float largest) {
    // With 32 bits the highest code is 2^31 as a float, and the product 2^31 does not fit.
    const auto saturates = [&](int n) {
      const float product = std::ldexp(largest, n);
      return product > limits_.hi || product >= 0x1p31f;
    };
    int first = lo_;  // the largest n that saturates nothing
    while (first + 1 < hi_ && !saturates(first + 1)) ++first;
    for (int n = first; n < hi_;) {
      const int next = std::min(hi_, n + (n == first ? 3 : 2));
      look_at(n, next);
      n = next;
      // Huge products become the lowest code, and their error may fall again.
      const bool clamps = std::ldexp(largest, n - 1) < 0x1p31f;
      if (clamps && saturated_ > least_ * (1 + kSumTolerance)) break;
    }
    for (int n = first; n > lo_ && is_near(n); --n) look_at(n - 1, n);
  }

  // One pass over the data for the candidates [begin, end).
  void look_at(int begin, int end) {
    const auto count = static_cast<std::size_t>(end - begin);
    std::vector<float> scales, inverses;
    for (int n = begin; n < end; ++n) {
      scales.push_back(static_cast<float>(std::exp2(n)));
      inverses.push_back(static_cast<float>(std::exp2(-n)));
    }
    const std::int64_t chunks = (std::ssize(data_) + kElementsPerTask - 1) / kElementsPerTask;
    struct Sums {
      std::vector<double> all, saturated;
    };
    std::vector<Sums> parts(static_cast<std::size_t>(chunks),
                            {std::vector<double>(count), std::vector<double>(count)});
    at::parallel_for(0, chunks, 1, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t i = first; i < last; ++i) {
        Sums& sums = parts[static_cast<std::size_t>(i)];
        loops().add_squared_errors(
            rounding_, {scales.data(), inverses.data(), nullptr, nullptr, false}, end - begin,
            limits_, data_.data() + i * kElementsPerTask,
            std::min(kElementsPerTask, std::ssize(data_) - i * kElementsPerTask), sums.all.data(),
            sums.saturated.data());
      }
    });
    for (std::size_t k = 0; k < count; ++k) {
      double all = 0, saturated = 0;
      for (const Sums& sums : parts) all += sums.all[k], saturated += sums.saturated[k];
      errors_[static_cast<std::size_t>(begin - lo_) + k] = all;
      if (all < least_) least_ = all;
      saturated_ = saturated;  // of the last candidate
    }
  }

  bool is_near(int n) const {
    return errors_[static_cast<std::size_t>(n - lo_)] <= least_ * (1 + kSumTolerance);
  }

  std::span<const float> data_;
  Rounding rounding_;
  int lo_, hi_;
  CodeLimits limits_;
  std::vector<double> errors_;  // NaN: not looked at
  double least_ = INFINITY, saturated_ = 0;
};

// Calls error(n) for each candidate, in ascending order, and keeps the first strictly smallest.
template <typename Error>
std::optional<int> least_error(std::span<const int> candidates, Error error) {
  std::optional<int> best;
  float best_error = INFINITY;
  for (const int n : candidates) {
    const float found = error(n);
    if (found < best_error) best_error = found, best = n;
  }
  return best;
}

}  // namespace

std::vector<std::optional<int>> search_decimals(const torch::Tensor& rows, int bits,
                                                const QuantizeSpec& spec) {
  LOCKSTEP_ASSERT(rows.dim() == 2);
  const std::int64_t count = rows.size(0), length = rows.size(1);
  std::vector<torch::Tensor> data;
  for (std::int64_t i = 0; i < count; ++i)
    data.push_back(saturate(rows[i], spec.saturate_lo, spec.saturate_hi)
                       .to(torch::kCPU, torch::kFloat32)
                       .contiguous());
  std::vector<Candidates::Possible> possible(static_cast<std::size_t>(count));
  const std::int64_t rows_per_task =
      std::max<std::int64_t>(kElementsPerTask / std::max<std::int64_t>(length, 1), 1);
  at::parallel_for(0, count, rows_per_task, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const float* values = data[at].data_ptr<float>();
      possible[at] =
          Candidates({values, static_cast<std::size_t>(length)}, bits, spec).possible_winners();
    }
  });
  std::vector<std::optional<int>> found;
  for (std::size_t i = 0; i < data.size(); ++i)
    found.push_back(possible[i].decided ? possible[i].decimals[0]
                                        : least_error(possible[i].decimals, [&](int n) {
                                            return decimal_error(data[i], bits, spec.rounding, n);
                                          }));
  return found;
}

std::optional<int> search_decimal(const torch::Tensor& data, int bits, const QuantizeSpec& spec,
                                  const QuantizeCallback& quantize) {
  const torch::Tensor flat = saturate(data.reshape(-1), spec.saturate_lo, spec.saturate_hi);
  std::vector<int> all;
  for (std::int64_t n = spec.decimal_lo; n < spec.decimal_hi; ++n)
    all.push_back(static_cast<int>(n));
  return least_error(all, [&](int n) {
    const torch::Tensor decimal =
        torch::full({1}, static_cast<float>(n), flat.options().dtype(torch::kFloat32));
    return (flat - quantize(flat, bits, decimal, -1)).square().sum().item<float>();
  });
}

}  // namespace lockstep::train
