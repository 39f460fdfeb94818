#include "compile/backends/c_source/functions/sums.h"

#include <algorithm>

namespace lockstep::backends {
namespace {

using namespace ir;

// Output channels that may be summed at once: at most as many accumulators as fit Cortex-M's
// registers beside the pointers.
constexpr std::int64_t kBlocks[] = {4, 2, 1};
// Input codes per turn of the innermost loop.
constexpr std::int64_t kUnroll = 4;

}  // namespace

// A block of w channels takes about 2 + 2w instructions for each input code.
void Sums::choose_block(const std::vector<std::uint8_t>& mask, std::int64_t outputs_per_group) {
  block_ = kBlocks[0];
  if (mask.empty()) return;
  const std::int64_t outputs = out_.shape.c;
  std::int64_t best_cost = -1;
  for (const std::int64_t block : kBlocks) {
    std::int64_t cost = 0;
    for (std::int64_t i = 0, width = 0; i < out_.shape.count(); i += width) {
      const std::int64_t in_group = i % outputs % outputs_per_group;
      width = std::min(block, outputs_per_group - in_group);
      const auto first = mask.begin() + i;
      if (std::count(first, first + width, 1) > 0) cost += 2 + 2 * width;
    }
    if (best_cost < 0 || cost < best_cost) {
      block_ = block;
      best_cost = cost;
    }
  }
}

void Sums::weight_constants(const xt::xarray<std::int32_t>& weights,
                            std::int64_t outputs_per_group) {
  const auto outputs = static_cast<std::int64_t>(weights.shape(0));
  const std::int64_t row = static_cast<std::int64_t>(weights.size()) / outputs;
  std::vector<std::int64_t> ordered;
  ordered.reserve(weights.size());
  for (std::int64_t o = 0; o < outputs;) {
    const std::int64_t width = std::min(block_, outputs_per_group - o % outputs_per_group);
    for (std::int64_t k = 0; k < row; ++k)
      for (std::int64_t j = 0; j < width; ++j) ordered.push_back(weights.data()[(o + j) * row + k]);
    o += width;
  }
  weight_type_ = narrowest_type(ordered);
  text_.array(weight_type_, name_ + "_weight", ordered);
}

void Sums::bias_constants(const std::vector<std::int64_t>& starts) {
  has_bias_ = std::ranges::any_of(starts, [](std::int64_t start) { return start != 0; });
  if (has_bias_) text_.array("int32_t", name_ + "_bias", starts);
}

void Sums::start_at_zero(std::int64_t width) {
  for (std::int64_t j = 0; j < width; ++j) text_.line("{} acc{} = 0;", sum_type(), j);
}

void Sums::shift_accumulators(int shift, std::int64_t width) {
  if (shift == 0) return;
  for (std::int64_t j = 0; j < width; ++j) text_.line("acc{} *= {};", j, std::int64_t{1} << shift);
}

void Sums::add_bias(std::int64_t width) {
  for (std::int64_t j = 0; has_bias_ && j < width; ++j)
    text_.line("acc{} += {}_bias[{}];", j, name_, element_of("0", j));
}

void Sums::start_accumulators(std::int64_t width) {
  for (std::int64_t j = 0; j < width; ++j)
    text_.line("{} acc{} = {};", sum_type(), j,
               has_bias_ ? fmt::format("{}_bias[{}]", name_, element_of("0", j)) : "0");
}

void Sums::add_products(std::int64_t count, std::int64_t width) {
  const std::int64_t full = count / kUnroll;
  if (full > 1) {
    text_.line("for (int32_t n = {}; n > 0; --n) {{", full);
    add_unrolled(kUnroll, width);
    text_.line("p += {};", kUnroll);
    text_.line("w += {};", kUnroll * width);
    text_.line("}}");
    count -= full * kUnroll;
  }
  add_unrolled(count, width);
}

void Sums::add_products(const std::string& count, std::int64_t width) {
  text_.line("for (int32_t n = {}; n > 0; --n) {{", count);
  add_unrolled(1, width);
  text_.line("p += 1;");
  text_.line("w += {};", width);
  text_.line("}}");
}

void Sums::add_lanes(std::int64_t width) {
  for (std::int64_t j = 0; j < width; ++j)
    text_.line("acc{0} += ({1})p[{0}] * w[{0}];", j, sum_type());
}

void Sums::add_unrolled(std::int64_t count, std::int64_t width) {
  for (std::int64_t k = 0; k < count; ++k)
    for (std::int64_t j = 0; j < width; ++j)
      text_.line("acc{} += ({})p[{}] * w[{}];", j, sum_type(), k, k * width + j);
}

void Sums::open_if_kept(const Post& post, std::int64_t width, const std::string& base) {
  if (post.mask.empty()) return;
  std::string condition;
  for (std::int64_t j = 0; j < width; ++j)
    condition += (j == 0 ? "" : " || ") + keeps(element_of(base, j));
  text_.line("if ({}) {{", condition);
}

void Sums::store(const Post& post, std::int64_t width, const std::string& base) {
  for (std::int64_t j = 0; j < width; ++j) {
    const std::string acc = fmt::format("acc{}", j), channel = element_of("0", j),
                      element = element_of(base, j);
    text_.line("out[{}] = {};", element,
               width == 1 ? cast(unmasked_value(post, acc, channel))
                          : post_value(post, acc, channel, element));
  }
}

void Sums::close_if_kept(const Post& post, std::int64_t width, const std::string& base) {
  if (post.mask.empty()) return;
  text_.line("}} else {{");
  for (std::int64_t j = 0; j < width; ++j) text_.line("out[{}] = 0;", element_of(base, j));
  text_.line("}}");
}

}  // namespace lockstep::backends
