#include "compile/backends/c_source/strategies/blocks.h"

#include <algorithm>

#include "compile/backends/c_source/functions/vector_form.h"

namespace lockstep::backends {
using namespace ir;

std::int64_t Blocks::first_output(std::int64_t block) const {
  return std::clamp<std::int64_t>(outputs() - 4, 0, 4 * block);
}

void Blocks::block_constants(const Post& post, const std::vector<std::int64_t>& bias,
                             const std::vector<Accumulator>& accumulators) {
  std::vector<std::int64_t> starts = bias;
  starts.resize(static_cast<std::size_t>(std::max<std::int64_t>(4, outputs())));
  if (by_position_ && vector_constants(post, starts, accumulators)) return;
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

// For each block 4 starts, 4 multipliers, 4 addends and, where it rounds toward zero, 4 offsets and
// 4 addends more.
bool Blocks::vector_constants(const Post& post, const std::vector<std::int64_t>& starts,
                              const std::vector<Accumulator>& accumulators) {
  const std::optional<VectorForm> form = vector_form(post, accumulators);
  if (!form || outputs() < 4 || out_.type() != ElementType::kInt8) return false;
  in_one_table_ = true;
  lo_ = form->lo;
  hi_ = form->hi;
  row_ = form->toward_zero ? 20 : 12;
  if (positions_)
    vector_store_ = form->toward_zero ? "intrt_neon_store_toward_zero" : "intrt_neon_store";
  else
    vector_store_ = form->toward_zero ? "intrt_mve_store_toward_zero_4x2" : "intrt_mve_store_4x2";
  std::vector<std::int64_t> table;
  for (std::int64_t b = 0; b < block_count(); ++b) {
    const auto begin = static_cast<std::size_t>(first_output(b));
    const auto add = [&](auto member) {
      for (std::size_t c = begin; c < begin + 4; ++c) table.push_back(form->channels[c].*member);
    };
    for (std::size_t c = begin; c < begin + 4; ++c)
      table.push_back(starts[c] + form->channels[c].offset);
    add(&VectorForm::Channel::multiplier);
    add(&VectorForm::Channel::addend);
    if (!form->toward_zero) continue;
    add(&VectorForm::Channel::up_offset);
    add(&VectorForm::Channel::up_addend);
  }
  table_ = name_ + "_block";
  text_.array("int32_t", table_, table);
  mask_constants(post.mask);
  return true;
}

void Blocks::open_blocks(std::string_view hint) {
  if (block_count() == 1) {
    text_.line("{{");
    text_.line("const int32_t b = 0, o = 0;");
    if (!in_one_table_) text_.line("(void)b;");
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
  return address(table_, in_one_table_ ? times(b, row_) : o);
}

std::string Blocks::value(const Post& post, const std::string& multiplier,
                          const std::string& addend, const std::string& channel,
                          const std::string& sum, const std::string& element) const {
  if (!in_one_table_) return post_value(post, sum, channel, element);
  const std::string value = fmt::format("intrt_scale_top({0}, {1}[{2}], {1}[{3}], {4}, {5})", sum,
                                        table_, multiplier, addend, lo_, hi_);
  return cast(post.mask.empty() ? value : fmt::format("({} ? {} : 0)", keeps(element), value));
}

void Blocks::store_sums(const Post& post, std::int64_t step, const std::string& b,
                        const std::string& o, const std::string& element) {
  if (!vector_store_.empty()) return store_vectors(fmt::format("{}", step), b, element);
  for (std::int64_t c = 0; c < std::min<std::int64_t>(outputs(), 4); ++c)
    for (std::int64_t p = 0; p < (one_position_ ? 1 : positions_.value_or(2)); ++p)
      store_sum(post, c, p, b, o, plus(element, p * step + c));
}

void Blocks::store_sums(const Post& post, const std::string& step) {
  if (!vector_store_.empty()) return store_vectors(step, "b", "element");
  for (std::int64_t c = 0; c < std::min<std::int64_t>(outputs(), 4); ++c)
    for (std::int64_t p = 0; p < 2; ++p)
      store_sum(post, c, p, "b", "o", plus(p == 0 ? "element" : plus("element", step), c));
}

void Blocks::store_sum(const Post& post, std::int64_t c, std::int64_t p, const std::string& b,
                       const std::string& o, const std::string& at) {
  const std::string sum =
      fmt::format("sums[{}]", by_position_ || one_position_ ? 4 * p + c : 2 * c + p);
  text_.line("out[{}] = {};", at,
             value(post, plus(times(b, row_), 4 + 2 * c), plus(times(b, row_), 5 + 2 * c),
                   plus(o, c), sum, at));
}

void Blocks::store_vectors(const std::string& step, const std::string& b,
                           const std::string& element) {
  text_.line("{}({}, {}, sums, {}, {}, {}{});", vector_store_, address("out", element), step,
             address(table_, plus(times(b, row_), 4)), lo_, hi_,
             positions_ ? fmt::format(", {}", *positions_) : "");
}

void Blocks::finish_output(const Post& post) {
  if (vector_store_.empty() || post.mask.empty()) return;
  text_.line("{}_keep(out, {}_mask, {});", positions_ ? "intrt_neon" : "intrt_mve", name_,
             out_.shape.count());
}

void Blocks::store_positions(const Post& post, std::int64_t positions, std::int64_t step) {
  const std::string row = plus(times("b", row_), "c * 2");
  text_.line("for (int32_t c = 0; c < {}; ++c) {{", std::min<std::int64_t>(outputs(), 4));
  for (std::int64_t p = 0; p < positions; ++p) {
    const std::string at = plus(plus("element", p * step), "c");
    const std::string sum = fmt::format("sums[{}]", plus(times("c", positions), p));
    text_.line("out[{}] = {};", at, value(post, plus(row, 4), plus(row, 5), "o + c", sum, at));
  }
  text_.line("}}");
}

}  // namespace lockstep::backends
