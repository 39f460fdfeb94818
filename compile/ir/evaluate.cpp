// The meaning of a program, stated as plainly as possible: loops over logical coordinates in 64-bit
// integers. No layout, no width, no speed.
#include <algorithm>
#include <limits>

#include "compile/ir/ir.h"
#include "compile/support/error.h"

namespace lockstep::ir {
namespace {

using Codes = std::vector<std::int64_t>;

std::size_t at(const Shape& shape, std::int64_t c, std::int64_t y, std::int64_t x) {
  return static_cast<std::size_t>((c * shape.h + y) * shape.w + x);
}

// One op at work: its shapes, and the codes of its inputs.
struct Run {
  const Program& program;
  const Op& op;
  const std::vector<Codes>& codes;  // of all values

  bool logical() const { return program.layout == Layout::kLogical; }
  const Shape& in_shape(std::size_t k = 0) const { return program.values[op.inputs[k]].shape; }
  const Codes& in(std::size_t k = 0) const { return codes[op.inputs[k]]; }
  const Shape& out_shape() const { return program.values[op.output].shape; }
  Codes empty_output() const { return Codes(static_cast<std::size_t>(out_shape().count())); }
};

void apply_mask(const Run& run, const std::vector<std::uint8_t>& mask, Codes& codes) {
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(mask.size()); ++i)
    if (mask[static_cast<std::size_t>(i)] == 0) {
      const std::int64_t element = run.logical() ? i : logical_index(run.out_shape(), i);
      codes[static_cast<std::size_t>(element)] = 0;
    }
}

void apply_post(const Run& run, const Post& post, Codes& codes) {
  const Shape& shape = run.out_shape();
  if (!post.is_none())
    for (std::int64_t i = 0; i < shape.count(); ++i) {
      auto& code = codes[static_cast<std::size_t>(i)];
      code = apply(post.function, i / (shape.h * shape.w), code);
    }
  apply_mask(run, post.mask, codes);
}

// Weight of output channel o, tap (ky, kx) and input channel i of its group, as it is stored.
template <typename Conv>
std::int64_t weight_at(const Conv& conv, bool logical, std::int64_t o, std::int64_t ky,
                       std::int64_t kx, std::int64_t i) {
  return logical ? conv.weights(o, i, ky, kx) : conv.weights(o, ky, kx, i);
}

Codes compute(const Run& run, const Conv2d& conv) {
  const Shape &in_shape = run.in_shape(), &out_shape = run.out_shape();
  const auto [kh, kw] = conv.window.kernel;
  const std::int64_t in_per_group = in_shape.c / conv.groups,
                     out_per_group = out_shape.c / conv.groups;
  const std::vector<int> shifts = weight_shifts(conv.segments, in_per_group);
  Codes out = run.empty_output();
  for (std::int64_t o = 0; o < out_shape.c; ++o) {
    const std::int64_t bias = conv.bias.empty() ? 0 : conv.bias[static_cast<std::size_t>(o)];
    const std::int64_t first_input = o / out_per_group * in_per_group;
    for (std::int64_t y = 0; y < out_shape.h; ++y)
      for (std::int64_t x = 0; x < out_shape.w; ++x) {
        std::int64_t acc = bias;
        for (std::int64_t ky = 0; ky < kh; ++ky)
          for (std::int64_t kx = 0; kx < kw; ++kx) {
            const std::int64_t iy =
                y * conv.window.stride[0] - conv.window.pad[0] + ky * conv.window.dilation[0];
            const std::int64_t ix =
                x * conv.window.stride[1] - conv.window.pad[1] + kx * conv.window.dilation[1];
            if (iy < 0 || iy >= in_shape.h || ix < 0 || ix >= in_shape.w) continue;
            for (std::int64_t i = 0; i < in_per_group; ++i)
              acc += weight_at(conv, run.logical(), o, ky, kx, i) *
                     (std::int64_t{1} << shifts[static_cast<std::size_t>(i)]) *
                     run.in()[at(in_shape, first_input + i, iy, ix)];
          }
        out[at(out_shape, o, y, x)] = acc;
      }
  }
  apply_post(run, conv.post, out);
  return out;
}

// Scatters each input code; the runtime gathers instead.
Codes compute(const Run& run, const ConvTranspose2d& conv) {
  const Shape &in_shape = run.in_shape(), &out_shape = run.out_shape();
  const std::int64_t in_per_group = in_shape.c / conv.groups,
                     out_per_group = out_shape.c / conv.groups;
  Codes out = run.empty_output();
  for (std::int64_t o = 0; o < out_shape.c; ++o) {
    const std::int64_t bias = conv.bias.empty() ? 0 : conv.bias[static_cast<std::size_t>(o)];
    for (std::int64_t i = 0; i < out_shape.h * out_shape.w; ++i)
      out[static_cast<std::size_t>(o * out_shape.h * out_shape.w + i)] = bias;
    for (std::int64_t i = 0; i < in_per_group; ++i)
      for (std::int64_t iy = 0; iy < in_shape.h; ++iy)
        for (std::int64_t ix = 0; ix < in_shape.w; ++ix)
          for (std::int64_t ky = 0; ky < conv.kernel[0]; ++ky)
            for (std::int64_t kx = 0; kx < conv.kernel[1]; ++kx) {
              const std::int64_t y = iy * conv.stride[0] - conv.pad[0] + ky * conv.dilation[0];
              const std::int64_t x = ix * conv.stride[1] - conv.pad[1] + kx * conv.dilation[1];
              if (y < 0 || y >= out_shape.h || x < 0 || x >= out_shape.w) continue;
              out[at(out_shape, o, y, x)] +=
                  weight_at(conv, run.logical(), o, ky, kx, i) *
                  run.in()[at(in_shape, o / out_per_group * in_per_group + i, iy, ix)];
            }
  }
  apply_post(run, conv.post, out);
  return out;
}

Codes compute(const Run& run, const Linear& linear) {
  const std::int64_t features = run.in_shape().count();
  const std::int64_t positions = run.in_shape().h * run.in_shape().w;
  const std::vector<int> shifts = weight_shifts(linear.segments, run.in_shape().c);
  Codes out;
  for (std::int64_t o = 0; o < run.out_shape().c; ++o) {
    const std::int32_t* weights = linear.weights.data() + o * features;
    std::int64_t acc = linear.bias.empty() ? 0 : linear.bias[static_cast<std::size_t>(o)];
    for (std::int64_t k = 0; k < features; ++k) {
      const std::int64_t element = run.logical() ? k : logical_index(run.in_shape(), k);
      acc += weights[k] *
             (std::int64_t{1} << shifts[static_cast<std::size_t>(element / positions)]) *
             run.in()[static_cast<std::size_t>(element)];
    }
    out.push_back(acc);
  }
  apply_post(run, linear.post, out);
  return out;
}

Codes compute(const Run& run, const MaxPool2d& pool) {
  const Shape &in_shape = run.in_shape(), &out_shape = run.out_shape();
  const Window& window = pool.window;
  Codes out = run.empty_output();
  for (std::int64_t c = 0; c < out_shape.c; ++c)
    for (std::int64_t y = 0; y < out_shape.h; ++y)
      for (std::int64_t x = 0; x < out_shape.w; ++x) {
        auto largest = std::numeric_limits<std::int64_t>::min();
        for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky)
          for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
            const std::int64_t iy = y * window.stride[0] - window.pad[0] + ky * window.dilation[0];
            const std::int64_t ix = x * window.stride[1] - window.pad[1] + kx * window.dilation[1];
            if (iy < 0 || iy >= in_shape.h || ix < 0 || ix >= in_shape.w) continue;
            largest = std::max(largest, run.in()[at(in_shape, c, iy, ix)]);
          }
        out[at(out_shape, c, y, x)] = largest;
      }
  return out;
}

Codes compute(const Run& run, const AvgPool2d& pool) {
  const Shape& out_shape = run.out_shape();
  Codes out = run.empty_output();
  for (std::int64_t c = 0; c < out_shape.c; ++c)
    for (std::int64_t y = 0; y < out_shape.h; ++y)
      for (std::int64_t x = 0; x < out_shape.w; ++x) {
        const PoolSpan &rows = pool.rows[static_cast<std::size_t>(y)],
                       &columns = pool.columns[static_cast<std::size_t>(x)];
        std::int64_t sum = 0;
        for (std::int64_t iy = rows.begin; iy < rows.end; ++iy)
          for (std::int64_t ix = columns.begin; ix < columns.end; ++ix)
            sum += run.in()[at(run.in_shape(), c, iy, ix)];
        out[at(out_shape, c, y, x)] = rows.multiplier * columns.multiplier * sum;
      }
  apply_post(run, pool.post, out);
  return out;
}

// out[c,y,x] = combine(c, a, b), where a dimension of size 1 serves all.
template <typename Combine>
Codes elementwise(const Run& run, const Post& post, Combine combine) {
  const Shape& shape = run.out_shape();
  Codes out = run.empty_output();
  const auto element = [&](std::size_t k, std::int64_t c, std::int64_t y, std::int64_t x) {
    const Shape& in = run.in_shape(k);
    return run.in(k)[at(in, in.c == 1 ? 0 : c, in.h == 1 ? 0 : y, in.w == 1 ? 0 : x)];
  };
  for (std::int64_t c = 0; c < shape.c; ++c)
    for (std::int64_t y = 0; y < shape.h; ++y)
      for (std::int64_t x = 0; x < shape.w; ++x)
        out[at(shape, c, y, x)] = combine(c, element(0, c, y, x), element(1, c, y, x));
  apply_post(run, post, out);
  return out;
}

Codes compute(const Run& run, const Add& add) {
  return elementwise(run, add.post, [&](std::int64_t c, std::int64_t a, std::int64_t b) {
    const auto channel = static_cast<std::size_t>(c);
    return add.multipliers[0][channel] * a + add.multipliers[1][channel] * b;
  });
}

Codes compute(const Run& run, const Mul& mul) {
  return elementwise(run, mul.post,
                     [](std::int64_t, std::int64_t a, std::int64_t b) { return a * b; });
}

Codes compute(const Run& run, const RequantizeOp& op) {
  Codes out = run.in();
  apply_post(run, op.post, out);
  return out;
}

Codes compute(const Run& run, const Table& table) {
  const Value& input = run.program.values[run.op.input()];
  const std::int64_t first = code_limits(input).lo;
  const std::int64_t positions = run.out_shape().h * run.out_shape().w;
  Codes out = run.in();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t channel = i / static_cast<std::size_t>(positions);
    out[i] = table.tables[table.table_of[channel]][static_cast<std::size_t>(out[i] - first)];
  }
  apply_mask(run, table.mask, out);
  return out;
}

Codes compute(const Run& run, const Move& move) {
  Codes out = run.empty_output();
  for_each_copy(move, [&](std::size_t k, std::int64_t from, std::int64_t to) {
    out.at(static_cast<std::size_t>(logical_index(run.out_shape(), to))) =
        run.in(k).at(static_cast<std::size_t>(logical_index(run.in_shape(k), from)));
  });
  return out;
}

Codes compute(const Run& run, const ArgMax&) {
  const Shape& shape = run.in_shape();
  Codes out = run.empty_output();
  for (std::int64_t y = 0; y < shape.h; ++y)
    for (std::int64_t x = 0; x < shape.w; ++x) {
      std::int64_t best = 0;
      for (std::int64_t c = 1; c < shape.c; ++c)
        if (run.in()[at(shape, c, y, x)] > run.in()[at(shape, best, y, x)]) best = c;
      out[at(run.out_shape(), 0, y, x)] = best;
    }
  return out;
}

// Only names elements anew: logical order is the same on both sides.
Codes compute(const Run& run, const Flatten&) { return run.in(); }

void assert_in_range(const Value& value, const Codes& codes) {
  LOCKSTEP_ASSERT(static_cast<std::int64_t>(codes.size()) == value.shape.count());
  const std::int64_t per_channel = value.shape.h * value.shape.w;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    const Range& range = value.ranges[i / static_cast<std::size_t>(per_channel)];
    LOCKSTEP_ASSERT(range.lo <= codes[i] && codes[i] <= range.hi);
  }
}

}  // namespace

std::vector<Codes> evaluate(const Program& program, const std::vector<Codes>& inputs) {
  LOCKSTEP_ASSERT(inputs.size() == program.inputs.size());
  std::vector<Codes> codes(program.values.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    codes[program.inputs[i]] = inputs[i];
    assert_in_range(program.values[program.inputs[i]], inputs[i]);
  }
  for (const Op& op : program.ops) {
    const Run run{program, op, codes};
    Codes result = std::visit([&](const auto& kind) { return compute(run, kind); }, op.kind);
    codes[op.output] = std::move(result);
    assert_in_range(program.values[op.output], codes[op.output]);
  }
  return codes;
}

}  // namespace lockstep::ir
