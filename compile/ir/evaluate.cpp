// The meaning of a program, stated as plainly as possible: loops over logical coordinates in 64-bit
// integers. No layout, no width, no speed.
#include <algorithm>
#include <limits>

#include "compile/ir/ir.h"
#include "compile/support/error.h"
#include "intrt/arith.h"

namespace lockstep::ir {
namespace {

using Codes = std::vector<std::int64_t>;

std::size_t at(const Shape& shape, std::int64_t c, std::int64_t y, std::int64_t x) {
  return static_cast<std::size_t>((c * shape.h + y) * shape.w + x);
}

std::int64_t requantize(std::int64_t acc, const Requantize& r, std::int64_t channel) {
  LOCKSTEP_ASSERT(acc >= std::numeric_limits<std::int32_t>::min() &&
                  acc <= std::numeric_limits<std::int32_t>::max());
  return intrt_requantize(static_cast<std::int32_t>(acc), r.shift(channel),
                          static_cast<int>(r.rounding), r.lo, r.hi);
}

void apply(const Post& post, const Shape& shape, Layout layout, Codes& codes) {
  if (post.requantize)
    for (std::int64_t i = 0; i < shape.count(); ++i) {
      auto& code = codes[static_cast<std::size_t>(i)];
      code = requantize(code, *post.requantize, i / (shape.h * shape.w));
    }
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(post.mask.size()); ++i)
    if (post.mask[static_cast<std::size_t>(i)] == 0) {
      const std::int64_t element = layout == Layout::kLogical ? i : logical_index(shape, i);
      codes[static_cast<std::size_t>(element)] = 0;
    }
}

Codes run(const Conv2d& conv, const Program& program, const Shape& in_shape, const Shape& out_shape,
          const Codes& in) {
  const bool logical = program.layout == Layout::kLogical;
  const auto [kh, kw] = conv.window.kernel;
  const std::int64_t in_per_group = in_shape.c / conv.groups,
                     out_per_group = out_shape.c / conv.groups;
  Codes out(static_cast<std::size_t>(out_shape.count()));
  for (std::int64_t o = 0; o < out_shape.c; ++o) {
    const std::int32_t* weights = conv.weights.data() + o * in_per_group * kh * kw;
    const std::int64_t bias = conv.bias.empty() ? 0 : conv.bias[static_cast<std::size_t>(o)];
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
            for (std::int64_t i = 0; i < in_per_group; ++i) {
              const std::int64_t weight =
                  weights[logical ? (i * kh + ky) * kw + kx : (ky * kw + kx) * in_per_group + i];
              acc += weight * in[at(in_shape, o / out_per_group * in_per_group + i, iy, ix)];
            }
          }
        out[at(out_shape, o, y, x)] = acc;
      }
  }
  apply(conv.post, out_shape, program.layout, out);
  return out;
}

Codes run(const Linear& linear, const Program& program, const Shape& in_shape,
          const Shape& out_shape, const Codes& in) {
  const std::int64_t features = in_shape.count();
  Codes out;
  for (std::int64_t o = 0; o < out_shape.c; ++o) {
    const std::int32_t* weights = linear.weights.data() + o * features;
    std::int64_t acc = linear.bias.empty() ? 0 : linear.bias[static_cast<std::size_t>(o)];
    for (std::int64_t k = 0; k < features; ++k) {
      const std::int64_t element =
          program.layout == Layout::kLogical ? k : logical_index(in_shape, k);
      acc += weights[k] * in[static_cast<std::size_t>(element)];
    }
    out.push_back(acc);
  }
  apply(linear.post, out_shape, program.layout, out);
  return out;
}

Codes run(const MaxPool2d& pool, const Program&, const Shape& in_shape, const Shape& out_shape,
          const Codes& in) {
  const Window& window = pool.window;
  Codes out(static_cast<std::size_t>(out_shape.count()));
  for (std::int64_t c = 0; c < out_shape.c; ++c)
    for (std::int64_t y = 0; y < out_shape.h; ++y)
      for (std::int64_t x = 0; x < out_shape.w; ++x) {
        auto largest = std::numeric_limits<std::int64_t>::min();
        for (std::int64_t ky = 0; ky < window.kernel[0]; ++ky)
          for (std::int64_t kx = 0; kx < window.kernel[1]; ++kx) {
            const std::int64_t iy = y * window.stride[0] - window.pad[0] + ky * window.dilation[0];
            const std::int64_t ix = x * window.stride[1] - window.pad[1] + kx * window.dilation[1];
            if (iy < 0 || iy >= in_shape.h || ix < 0 || ix >= in_shape.w) continue;
            largest = std::max(largest, in[at(in_shape, c, iy, ix)]);
          }
        out[at(out_shape, c, y, x)] = largest;
      }
  return out;
}

Codes run(const RequantizeOp& op, const Program& program, const Shape&, const Shape& out_shape,
          const Codes& in) {
  Codes out = in;
  apply(op.post, out_shape, program.layout, out);
  return out;
}

// Both only name elements anew: logical order is the same on both sides.
Codes run(const Flatten&, const Program&, const Shape&, const Shape&, const Codes& in) {
  return in;
}
Codes run(const Transpose&, const Program&, const Shape&, const Shape&, const Codes& in) {
  return in;
}

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
    const Value& input = program.values[op.input];
    const Value& output = program.values[op.output];
    codes[op.output] = std::visit(
        [&](const auto& kind) {
          return run(kind, program, input.shape, output.shape, codes[op.input]);
        },
        op.kind);
    assert_in_range(output, codes[op.output]);
  }
  return codes;
}

}  // namespace lockstep::ir
