#include "compile/backends/c_source/strategies/blocks.h"

#include <algorithm>

namespace lockstep::backends {
using namespace ir;

std::int64_t Blocks::first_output(std::int64_t block) const {
  return std::clamp<std::int64_t>(outputs() - 4, 0, 4 * block);
}

void Blocks::block_constants(const Post& post, const std::vector<std::int64_t>& bias,
                             const std::vector<Accumulator>& accumulators) {
  std::vector<std::int64_t> starts = bias;
  starts.resize(static_cast<std::size_t>(std::max<std::int64_t>(4, outputs())));
  if (const Scale* scale = post.scale()) {
    const ScaleForm form = scale_form(*scale, accumulators, true);
    const ChannelScale& first = form.channels.front();
    in_one_table_ = form.function == ScaleForm::Function::kTop && outputs() >= 4 &&
                    std::ranges::all_of(form.channels, [&](const ChannelScale& c) {
                      return !c.has_steps() && c.lo == first.lo && c.hi == first.hi;
                    });
    if (in_one_table_) {
      lo_ = first.lo;
      hi_ = first.hi;
      std::vector<std::int64_t> table;
      for (std::int64_t b = 0; b < block_count(); ++b) {
        const auto begin = static_cast<std::size_t>(first_output(b));
        for (std::size_t c = begin; c < begin + 4; ++c)
          table.push_back(starts[c] + form.offsets[c]);
        for (std::size_t c = begin; c < begin + 4; ++c) {
          const ChannelScale& channel = form.channels[form.channels.size() == 1 ? 0 : c];
          table.push_back(channel.multiplier);
          table.push_back(channel.addend);
        }
      }
      table_ = name_ + "_block";
      text_.array("int32_t", table_, table);
      mask_constants(post.mask);
      return;
    }
  }
  post_constants(post, accumulators, &starts);
  table_ = name_ + "_start";
  text_.array("int32_t", table_, starts);
}

void Blocks::open_blocks(std::string_view hint) {
  if (block_count() == 1) {
    text_.line("{{");
    text_.line("const int32_t b = 0, o = 0;");
    return;
  }
  if (!hint.empty()) text_.line("{}", hint);
  text_.line("for (int32_t b = 0; b < {}; ++b) {{", block_count());
  text_.line("const int32_t o = {};",
             outputs() % 4 == 0
                 ? "b * 4"
                 : fmt::format("b < {} ? b * 4 : {}", block_count() - 1, outputs() - 4));
}

void Blocks::close_blocks() { text_.line("}}"); }

std::string Blocks::start(const std::string& b, const std::string& o) const {
  return address(table_, in_one_table_ ? times(b, kRow) : o);
}

std::string Blocks::value(const Post& post, const std::string& b, const std::string& channel,
                          std::int64_t c, const std::string& sum,
                          const std::string& element) const {
  if (!in_one_table_) return post_value(post, sum, channel, element);
  const std::string multiplier = plus(times(b, kRow), 4 + 2 * c);
  const std::string addend = plus(times(b, kRow), 5 + 2 * c);
  const std::string value = fmt::format("intrt_scale_top({0}, {1}[{2}], {1}[{3}], {4}, {5})", sum,
                                        table_, multiplier, addend, lo_, hi_);
  return cast(post.mask.empty() ? value : fmt::format("({} ? {} : 0)", keeps(element), value));
}

void Blocks::store_sums(const Post& post, std::int64_t step, const std::string& b,
                        const std::string& o, const std::string& element) {
  for (std::int64_t c = 0; c < std::min<std::int64_t>(outputs(), 4); ++c)
    for (std::int64_t p = 0; p < 2; ++p) {
      const std::string at = plus(element, p * step + c);
      text_.line("out[{}] = {};", at,
                 value(post, b, plus(o, c), c, fmt::format("sums[{}]", 2 * c + p), at));
    }
}

}  // namespace lockstep::backends
