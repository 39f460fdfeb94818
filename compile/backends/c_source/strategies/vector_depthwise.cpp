// Convolutions that keep channels apart, on cores with vectors: intrt/micro/mve.h,
// intrt/micro/neon.h. Sixteen channels of a position are summed at a time, in 16 bits as long as no
// sum can leave them.
#include <algorithm>

#include "compile/backends/c_source/functions/function.h"
#include "compile/backends/c_source/functions/vector_form.h"
#include "compile/backends/c_source/strategies/mve_columns.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/backends/c_source/strategies/vector_family.h"
#include "compile/backends/weights.h"

namespace lockstep::backends {
namespace {

using namespace ir;

constexpr std::int64_t kLanes = 16;

struct DepthwiseShape {
  DepthwiseShape(const Program& program, const Op& op, const Conv2d& conv)
      : in(program.values.at(op.input())),
        rows(axis_of(conv.window, in.shape, program.values.at(op.output).shape, 0)),
        columns(axis_of(conv.window, in.shape, program.values.at(op.output).shape, 1)),
        weights(conv.weights),
        channels(in.shape.c) {}

  std::int64_t blocks() const { return (channels + kLanes - 1) / kLanes; }
  std::int64_t lanes() const { return std::min(channels, kLanes); }
  // The first channel of a block: the last block may overlap the one before.
  std::int64_t first(std::int64_t block) const {
    return std::clamp<std::int64_t>(channels - kLanes, 0, kLanes * block);
  }
  std::int64_t weight(std::int64_t channel, std::int64_t ky, std::int64_t kx) const {
    return weights.data()[(channel * rows.kernel + ky) * columns.kernel + kx];
  }

  // The window falls into parts of that many rows and columns, so that the sums of each fit 16
  // bits.
  struct Parts {
    std::int64_t rows = 1, columns = 1, count = 0;
  };
  Parts parts() const {
    Parts best;
    for (std::int64_t r = rows.kernel; r > 0; --r)
      for (std::int64_t k = columns.kernel; k > 0; --k) {
        const std::int64_t count = ((rows.kernel + r - 1) / r) * ((columns.kernel + k - 1) / k);
        if ((best.count == 0 || count < best.count) && part_fits(r, k)) best = {r, k, count};
      }
    return best;
  }

  const Value& in;
  const Axis rows, columns;
  const xt::xarray<std::int32_t>& weights;
  const std::int64_t channels;

 private:
  bool part_fits(std::int64_t part_rows, std::int64_t part_columns) const {
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const Range& codes = in.ranges.at(static_cast<std::size_t>(channel));
      for (std::int64_t y = 0; y < rows.kernel; y += part_rows)
        for (std::int64_t x = 0; x < columns.kernel; x += part_columns) {
          std::int64_t lo = 0, hi = 0;
          for (std::int64_t ky = y; ky < std::min(y + part_rows, rows.kernel); ++ky)
            for (std::int64_t kx = x; kx < std::min(x + part_columns, columns.kernel); ++kx) {
              const std::int64_t w = weight(channel, ky, kx);
              lo += std::min<std::int64_t>({w * codes.lo, w * codes.hi, 0});
              hi += std::max<std::int64_t>({w * codes.lo, w * codes.hi, 0});
            }
          if (lo < INT16_MIN || hi > INT16_MAX) return false;
        }
    }
    return true;
  }
};

class VectorDepthwise : public Function {
 public:
  VectorDepthwise(const FunctionPlace& place, const Conv2d& conv, const VectorFamily& family)
      : Function(place.text, place.program, place.op_index, place.prefix),
        family_(family),
        conv_(conv),
        shape_(place.program, op_, conv),
        parts_(shape_.parts()) {}

  FunctionCall emit() {
    constants();
    open();
    const Axis& rows = shape_.rows;
    text_.line("for (int32_t y = 0; y < {}; ++y) {{", rows.output);
    rows.clip(text_, "y");
    if (shape_.blocks() == 1) {
      text_.line("const int32_t o = 0;");
    } else {
      text_.line("for (int32_t b = 0; b < {}; ++b) {{", shape_.blocks());
      text_.line(
          "const int32_t o = {};",
          shape_.channels % kLanes == 0
              ? "b * 16"
              : fmt::format("b < {} ? b * 16 : {}", shape_.blocks() - 1, shape_.channels - kLanes));
    }
    columns();
    if (shape_.blocks() > 1) text_.line("}}");
    text_.line("}}");
    if (form_ && !conv_.post.mask.empty())
      text_.line("{}_keep(out, {}_mask, {});", family_.prefix, name_, out_.shape.count());
    text_.line("}}");
    return call();
  }

 private:
  void constants() {
    std::vector<std::int64_t> weights;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      for (std::int64_t ky = 0; ky < shape_.rows.kernel; ++ky)
        for (std::int64_t kx = 0; kx < shape_.columns.kernel; ++kx)
          for (std::int64_t c = 0; c < kLanes; ++c)
            weights.push_back(c < shape_.lanes() ? shape_.weight(shape_.first(b) + c, ky, kx) : 0);
    text_.array("int8_t", name_ + "_weight", weights);

    std::vector<std::int64_t> starts = conv_.bias;
    starts.resize(static_cast<std::size_t>(shape_.channels));
    form_ = vector_form(conv_.post, conv_.accumulators);
    if (out_.type() != ElementType::kInt8) form_.reset();
    if (form_)
      mask_constants(conv_.post.mask);
    else
      post_constants(conv_.post, conv_.accumulators, &starts);
    std::vector<std::vector<std::int64_t>> numbers{starts};
    if (form_) {
      const auto each = [&](auto member) {
        std::vector<std::int64_t> result;
        for (const VectorForm::Channel& c : form_->channels) result.push_back(c.*member);
        return result;
      };
      const std::vector<std::int64_t> offsets = each(&VectorForm::Channel::offset);
      for (std::size_t i = 0; i < starts.size(); ++i) numbers[0][i] += offsets[i];
      numbers.push_back(each(&VectorForm::Channel::multiplier));
      numbers.push_back(each(&VectorForm::Channel::addend));
      if (form_->toward_zero) {
        numbers.push_back(each(&VectorForm::Channel::up_offset));
        numbers.push_back(each(&VectorForm::Channel::up_addend));
      }
    }
    row_ = kLanes * std::ssize(numbers);
    std::vector<std::int64_t> table;
    for (std::int64_t b = 0; b < shape_.blocks(); ++b)
      for (const std::vector<std::int64_t>& of_channels : numbers) {
        const std::int64_t begin = std::ssize(table);
        table.resize(static_cast<std::size_t>(begin + kLanes));
        for (std::int64_t c = 0; c < shape_.lanes(); ++c)
          table[static_cast<std::size_t>(begin + family_.place_of(c))] =
              of_channels[static_cast<std::size_t>(shape_.first(b) + c)];
      }
    text_.array("int32_t", name_ + "_block", table);
  }

  void columns() {
    const Axis& columns = shape_.columns;
    const Inside inside(columns);
    if (inside.count() > 1) {
      text_.line("for (int32_t x = {}; x < {}; ++x) {{", inside.begin, inside.end);
      position(
          "x",
          times("x", columns.stride) + (columns.pad > 0 ? fmt::format(" - {}", columns.pad) : ""),
          0, columns.kernel);
      text_.line("}}");
    }
    for (std::int64_t x = 0; x < columns.output; ++x)
      if (inside.count() <= 1 || x < inside.begin || x >= inside.end) {
        const TapsAt taps(columns, x);
        text_.line("{{");
        position(fmt::format("{}", x), fmt::format("{}", taps.start), taps.first, taps.end);
        text_.line("}}");
      }
  }

  // The outputs at row y and column x, whose windows start at column x0 of the input and have the
  // columns first .. end - 1 inside it.
  void position(const std::string& x, const std::string& x0, std::int64_t first, std::int64_t end) {
    std::string start = address(name_ + "_block", block(row_));
    std::int64_t part = 0;
    for (std::int64_t ky = 0; ky < shape_.rows.kernel; ky += parts_.rows)
      for (std::int64_t kx = 0; kx < shape_.columns.kernel; kx += parts_.columns) {
        const std::int64_t from = std::max(kx, first),
                           to = std::min({kx + parts_.columns, shape_.columns.kernel, end});
        if (from >= to) continue;
        const std::string sums = fmt::format("sums{}", part++);
        text_.line("int32_t {}[16];", sums);
        dot(sums, start, x0, ky, std::min(parts_.rows, shape_.rows.kernel - ky), from, to);
        start = sums;
      }
    store(x, start);
  }

  // sums = start + the products of the window's rows ky .. ky + count - 1 and columns from .. to -
  // 1.
  void dot(const std::string& sums, const std::string& start, const std::string& x0,
           std::int64_t ky, std::int64_t count, std::int64_t from, std::int64_t to) {
    const Axis &rows = shape_.rows, &columns = shape_.columns;
    std::string first = fmt::format("{}", ky), number = fmt::format("{}", count);
    if (count == rows.kernel) {
      first = rows.first_tap("y");
      number = first == "0" ? rows.end_tap("y") : fmt::format("{} - {}", rows.end_tap("y"), first);
    } else if (rows.cut_before() || rows.cut_after()) {
      // A part without rows takes its pointers from the first row of the window that is there.
      const std::string row = fmt::format("{}_row", sums), rest = fmt::format("{}_end", sums);
      text_.line("const int32_t {0}_from = {1} > {2} ? {1} : {2};", sums, rows.first_tap("y"), ky);
      text_.line("const int32_t {0} = {1} < {2} ? {1} : {2};", rest, rows.end_tap("y"), ky + count);
      text_.line("const int32_t {0} = {1}_from < {2} ? {1}_from : {3};", row, sums, rest,
                 rows.first_tap("y"));
      first = row;
      number = fmt::format("{0}_from < {1} ? {1} - {0}_from : 0", sums, rest);
    }
    const std::int64_t row = columns.input * shape_.channels;
    const std::string column = plus_number(x0, from * columns.dilation);
    const std::string top = plus("y0", times(first, rows.dilation));
    text_.line("{}_channels_dot({}, {}, {}, {}, {}, {}, {}, {}, {}, {});", family_.prefix, sums,
               start,
               address("in", plus(plus(times(top, row), times(column, shape_.channels)), "o")),
               rows.dilation * row, columns.dilation * shape_.channels,
               address(name_ + "_weight", plus(plus(block(rows.kernel * columns.kernel * kLanes),
                                                    times(first, columns.kernel * kLanes)),
                                               from * kLanes)),
               columns.kernel * kLanes, number, to - from, shape_.lanes());
  }

  void store(const std::string& x, const std::string& sums) {
    text_.line("const int32_t element = {};",
               plus(times(plus(times("y", shape_.columns.output), x), shape_.channels), "o"));
    if (form_) {
      text_.line("{}_channels_store{}({}, {}, {}, {}, {}, {});", family_.prefix,
                 form_->toward_zero ? "_toward_zero" : "", address("out", "element"), sums,
                 address(name_ + "_block", plus(block(row_), kLanes)), form_->lo, form_->hi,
                 shape_.lanes());
      return;
    }
    text_.line("for (int32_t c = 0; c < {}; ++c) {{", shape_.lanes());
    text_.line("out[element + c] = {};",
               post_value(conv_.post, fmt::format("{}[{}]", sums, family_.place_text), "o + c",
                          "element + c"));
    text_.line("}}");
  }

  std::string block(std::int64_t numbers) const {
    return shape_.blocks() == 1 ? "0" : times("b", numbers);
  }

  // x0 + n: a number where x0 is one.
  static std::string plus_number(const std::string& x0, std::int64_t n) {
    const bool is_number = x0.find(' ') == std::string::npos && x0 != "x";
    return is_number ? fmt::format("{}", std::stoll(x0) + n) : plus(x0, n);
  }

  const VectorFamily& family_;
  const Conv2d& conv_;
  const DepthwiseShape shape_;
  const DepthwiseShape::Parts parts_;
  std::optional<VectorForm> form_;
  std::int64_t row_ = 0;  // numbers of a block in the table
};

class VectorDepthwiseStrategy : public Strategy {
 public:
  VectorDepthwiseStrategy(std::string_view name, const VectorFamily& family)
      : name_(name), family_(family) {}

  std::string_view name() const override { return name_; }
  const char* micro_kernels() const override { return *family_.text; }

  std::optional<StrategyCost> cost(const Program& program, const Op& op,
                                   const Target& target) const override {
    const auto* const conv = std::get_if<Conv2d>(&op.kind);
    if (target.kernels != family_.kernels || conv == nullptr) return std::nullopt;
    const Value &in = program.values.at(op.input()), &out = program.values.at(op.output);
    if (in.type() != ElementType::kInt8 || conv->groups < 2 || conv->groups != in.shape.c ||
        conv->groups != out.shape.c || conv->wide || !conv->segments.empty() ||
        !fits_bytes(conv->weights))
      return std::nullopt;
    const DepthwiseShape shape(program, op, *conv);
    const std::int64_t borders = shape.columns.output - Inside(shape.columns).count();
    if (shape.rows.may_be_empty() || shape.columns.may_be_empty() || borders > kMostBorders)
      return std::nullopt;
    const std::int64_t taps = shape.rows.kernel * shape.columns.kernel;
    StrategyCost cost;
    cost.instructions = shape.rows.output * shape.columns.output * shape.blocks() * (taps * 7 + 50);
    cost.constant_bytes = shape.blocks() * kLanes * (taps + 12);
    cost.code_bytes = 250 * (borders + 1);
    return cost;
  }

  FunctionCalls emit(const FunctionPlace& place) const override {
    const Op& op = place.program.ops.at(place.op_index);
    return {VectorDepthwise(place, std::get<Conv2d>(op.kind), family_).emit()};
  }

 private:
  std::string_view name_;
  const VectorFamily& family_;
};

}  // namespace

const Strategy& mve_depthwise_strategy() {
  static const VectorDepthwiseStrategy strategy("sixteen channels, MVE", kMveFamily);
  return strategy;
}

const Strategy& neon_depthwise_strategy() {
  static const VectorDepthwiseStrategy strategy("sixteen channels, NEON", kNeonFamily);
  return strategy;
}

}  // namespace lockstep::backends
