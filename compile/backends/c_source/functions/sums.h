// Sums over contiguous memory for several output channels at once, so that each input code is
// loaded once for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/backends/c_source/functions/function.h"

namespace lockstep::backends {

// Inside the function of an operator whose accumulators are sums. The C variable `o` is the first
// output channel of a block; the accumulators are acc0, acc1, ...
class Sums : public Function {
 protected:
  using Function::Function;

  // How many channels a block has. A wide block loads each input code for several channels, but has
  // to be summed when the mask keeps any of them.
  void choose_block(const std::vector<std::uint8_t>& mask, std::int64_t outputs_per_group);

  // Runs `body(width)` for each block of the output channels of one group, which start at the C
  // expression `begin`.
  template <typename Body>
  void for_each_block(const std::string& begin, std::int64_t outputs_per_group, Body&& body) {
    const std::int64_t full = outputs_per_group / block_ * block_;
    if (full == block_) {
      text_.line("{{");
      text_.line("const int32_t o = {};", begin);
      body(block_);
      text_.line("}}");
    } else if (full > 0) {
      text_.line("for (int32_t o = {}; o < {}; o += {}) {{", begin,
                 plus(begin, fmt::format("{}", full)), block_);
      body(block_);
      text_.line("}}");
    }
    if (full < outputs_per_group) {
      text_.line("{{");
      text_.line("const int32_t o = {};", plus(begin, fmt::format("{}", full)));
      body(outputs_per_group - full);
      text_.line("}}");
    }
  }

  // Runs `body(first output channel, group)` for each group; both are C expressions.
  template <typename Body>
  void for_each_group(std::int64_t groups, std::int64_t outputs_per_group, Body&& body) {
    if (groups == 1) return body(std::string("0"), std::string("0"));
    text_.line("for (int32_t g = 0; g < {}; ++g) {{", groups);
    body(times("g", outputs_per_group), std::string("g"));
    text_.line("}}");
  }

  // The output element of channel o + j, where `base` is the element of channel 0.
  static std::string element_of(std::string_view base, std::int64_t j) {
    return plus(base, plus("o", fmt::format("{}", j)));
  }

  // Around the sums of a block: only when the mask keeps one of its elements.
  void open_if_kept(const ir::Post& post, std::int64_t width, const std::string& base);
  void store(const ir::Post& post, std::int64_t width, const std::string& base);
  void close_if_kept(const ir::Post& post, std::int64_t width, const std::string& base);

  // ---- products of codes and weights ----

  // Weights [O][row] become blocks of up to block_ output channels of one group, [row][channel in
  // block]; the block that starts at output channel o starts at o * row.
  template <typename Kind>
  void sum_constants(const Kind& kind, std::int64_t outputs_per_group) {
    wide_ = kind.wide;
    weight_constants(kind.weights, outputs_per_group);
    post_and_bias_constants(kind);
  }
  template <typename Kind>
  void post_and_bias_constants(const Kind& kind) {
    std::vector<std::int64_t> starts = kind.bias;
    starts.resize(static_cast<std::size_t>(out_.shape.c));
    post_constants(kind.post, kind.accumulators, wide_ ? nullptr : &starts);
    bias_constants(starts);
  }
  // Where accumulators begin, one for each output channel.
  void bias_constants(const std::vector<std::int64_t>& starts);
  // acc0.. begin with the bias.
  void start_accumulators(std::int64_t width);
  // acc0.. += the products of `count` codes from p and `count` * width weights from w.
  void add_products(std::int64_t count, std::int64_t width);
  void add_products(const std::string& count, std::int64_t width);
  // The same where each channel has a code of its own: accJ += p[J] * w[J].
  void add_lanes(std::int64_t width);

  // ---- input channels of several decimals ----

  // Runs `body(first input channel, their number)` for each segment, of `inputs` channels of a
  // group in all; the body adds their products. Between two segments acc0.. move to the finer grid,
  // and the bias comes last. Without segments all channels are one.
  template <typename Body>
  void for_each_segment(const std::vector<ir::Segment>& segments, std::int64_t inputs,
                        std::int64_t width, Body&& body) {
    if (segments.size() <= 1) {
      start_accumulators(width);
      return body(std::int64_t{0}, inputs);
    }
    start_at_zero(width);
    std::int64_t begin = 0;
    for (const ir::Segment& segment : segments) {
      shift_accumulators(segment.shift, width);
      body(begin, segment.end - begin);
      begin = segment.end;
    }
    add_bias(width);
  }

  std::string_view sum_type() const { return wide_ ? "int64_t" : "int32_t"; }

  std::string_view weight_type_;

 private:
  void weight_constants(const xt::xarray<std::int32_t>& weights, std::int64_t outputs_per_group);
  void add_unrolled(std::int64_t count, std::int64_t width);
  void start_at_zero(std::int64_t width);
  void shift_accumulators(int shift, std::int64_t width);
  void add_bias(std::int64_t width);

  std::int64_t block_ = 1;
  bool has_bias_ = false;
};

}  // namespace lockstep::backends
