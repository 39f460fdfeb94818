// The pooling kernels of every variant against loops over PyTorch's (C,H,W) order.
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

TEST_CASE("max_pool2d equals the definition for random geometries, floor and ceil") {
  int ran = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Axis down = random_axis(random), across = random_axis(random);
    const Format format = random_format(random, true);
    const bool ceil = random.one_in(2);
    const auto windows = [&](const Axis& axis) {
      return (axis.slack() + (ceil ? axis.stride - 1 : 0)) / axis.stride + 1;
    };
    const Logical input =
        random_codes(random, random.between(1, 9), down.input, across.input, format.bits);
    Logical expected(input.channels, windows(down), windows(across));
    bool every_window_holds_a_position = true;
    for (std::int64_t c = 0; c < input.channels; ++c)
      for (std::int64_t y = 0; y < expected.height; ++y)
        for (std::int64_t x = 0; x < expected.width; ++x) {
          bool found = false;
          for (std::int64_t ky = 0; ky < down.kernel; ++ky)
            for (std::int64_t kx = 0; kx < across.kernel; ++kx) {
              const std::int64_t iy = y * down.stride - down.pad_before + ky * down.dilation;
              const std::int64_t ix = x * across.stride - across.pad_before + kx * across.dilation;
              if (!input.holds(iy, ix)) continue;
              std::int64_t& best = expected.at(c, y, x);
              best = found ? std::max(best, input.at(c, iy, ix)) : input.at(c, iy, ix);
              found = true;
            }
          every_window_holds_a_position &= found;
        }

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, format));
    const std::uint32_t to = builder.output(spec_of(expected, format));
    intrt_max_pool2d_params p{};
    set_window(p, down, across);
    p.pad_bottom = static_cast<std::uint32_t>(down.pad_after);
    p.pad_right = static_cast<std::uint32_t>(across.pad_after);
    builder.op(k_max_pool2d, from, to, p);
    const std::vector<std::uint8_t> bytes = builder.finish();

    // docs/ops/max_pool2d.md: taps must not be further apart than the input is long where there is
    // padding.
    const auto steps_over = [](const Axis& axis) {
      return axis.pad_before > 0 && axis.dilation > axis.input;
    };
    if (!every_window_holds_a_position) {
      const AlignedBytes plan_bytes(bytes);
      intrt_plan plan;
      CHECK(intrt_open(&plan, plan_bytes.data(), plan_bytes.size(), nullptr) == INTRT_ERROR_SHAPE);
      ++refused;
    } else if (!steps_over(down) && !steps_over(across)) {
      check_plan(bytes, {input}, expected);
      ++ran;
    }
  }
  CHECK(ran > 1000);
  CHECK(refused > 100);
}

TEST_CASE("avg_pool2d equals the definition for random windows, types and post records") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format in_format = random_format(random, true), out_format = random_format(random, true);
    const Logical input = random_codes(random, random.between(1, 7), random.between(1, 9),
                                       random.between(1, 9), in_format.bits);
    Logical expected(input.channels, random.between(1, 6), random.between(1, 6));
    // The multipliers together are as large as the sum's bound allows, or 1; where not even a
    // single position fits (32 bits), there is no pooling.
    const std::int64_t codes = 2147483647 >> (in_format.bits - 1);
    if (codes == 0) continue;
    const auto spans = [&](std::int64_t count, std::int64_t size, std::int64_t largest_sum) {
      std::vector<intrt_pool_span> list;
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t begin = random.between(0, size - 1);
        const std::int64_t end = random.between(begin + 1, std::min(size, begin + largest_sum));
        const std::int64_t most = std::min<std::int64_t>(largest_sum / (end - begin), 1 << 24);
        list.push_back(
            {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end),
             static_cast<std::uint32_t>(random.one_in(2) ? most : random.between(1, most))});
      }
      return list;
    };
    const std::int64_t share = random.between(1, std::min<std::int64_t>(codes, 1 << 20));
    const std::vector<intrt_pool_span> rows = spans(expected.height, input.height, share);
    const std::vector<intrt_pool_span> columns = spans(expected.width, input.width, codes / share);
    for (std::int64_t c = 0; c < input.channels; ++c)
      for (std::int64_t oy = 0; oy < expected.height; ++oy)
        for (std::int64_t ox = 0; ox < expected.width; ++ox) {
          const intrt_pool_span& down = rows[static_cast<std::size_t>(oy)];
          const intrt_pool_span& across = columns[static_cast<std::size_t>(ox)];
          std::int64_t sum = 0;
          for (std::uint32_t y = down.begin; y < down.end; ++y)
            for (std::uint32_t x = across.begin; x < across.end; ++x) sum += input.at(c, y, x);
          expected.at(c, oy, ox) = sum * down.multiplier * across.multiplier;
        }
    const Post post =
        random_post(random, out_format, input.channels, expected.height, expected.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    const std::uint32_t to = builder.output(spec_of(expected, out_format));
    intrt_avg_pool2d_params p{};
    p.rows_offset = builder.array(rows);
    p.columns_offset = builder.array(columns);
    p.post = post_record(builder, post, expected);
    builder.op(k_avg_pool2d, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}
