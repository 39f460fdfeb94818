// The element-wise kernels of every variant against loops over PyTorch's (C,H,W) order.
#include "intrt/arith.h"
#include "tests/intrt/kernel_cases.h"

using namespace lockstep::testing;

TEST_CASE(
    "requantize equals the definition for random shapes, types and post records, also in place") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Format in_format = random_format(random, true), out_format = random_format(random, true);
    const Logical input = random_codes(random, random.between(1, 9), random.between(1, 6),
                                       random.between(1, 6), in_format.bits);
    Logical expected = input;
    const Post post = random_post(random, out_format, input.channels, input.height, input.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    TensorSpec to_spec = spec_of(expected, out_format);
    if (in_format.type == out_format.type && random.one_in(2)) to_spec.arena_offset = 0;
    const std::uint32_t to = builder.output(to_spec);
    intrt_requantize_params p{};
    p.post = post_record(builder, post, expected);
    builder.op(k_requantize, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}

namespace {

// An input of an element-wise operator: along some axes of size 1 where the output has more.
Logical random_operand(Random& random, const Logical& output, int bits, bool whole) {
  const auto size = [&](std::int64_t full) { return whole || random.one_in(2) ? full : 1; };
  const std::int64_t c = size(output.channels), h = size(output.height), w = size(output.width);
  return random_codes(random, c, h, w, bits);
}

std::int64_t spread(const Logical& operand, std::int64_t c, std::int64_t y, std::int64_t x) {
  return operand.at(operand.channels == 1 ? 0 : c, operand.height == 1 ? 0 : y,
                    operand.width == 1 ? 0 : x);
}

// Lets the output lie on one of the inputs where that is allowed, now and then.
void perhaps_in_place(Random& random, const std::vector<TensorSpec>& inputs, TensorSpec& output) {
  std::int64_t place = 0;
  for (const TensorSpec& input : inputs) {
    if (input.type == output.type && input.channels == output.channels &&
        input.height == output.height && input.width == output.width && random.one_in(2)) {
      output.arena_offset = place;
      return;
    }
    const std::int64_t element = input.type == INTRT_INT16 ? 2 : input.type == INTRT_INT32 ? 4 : 1;
    place += (element * input.channels * input.height * input.width + 15) / 16 * 16;
  }
}

}  // namespace

TEST_CASE("add equals the definition for random shapes and multipliers, also in place") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Format formats[2] = {random_format(random, true), random_format(random, true)};
    for (Format& format : formats) format.bits = std::min<std::uint8_t>(format.bits, 30);
    const Format out_format = random_format(random, true);
    Logical expected(random.between(1, 7), random.between(1, 6), random.between(1, 6));
    const int whole = static_cast<int>(random.between(0, 2));
    const Logical a = random_operand(random, expected, formats[0].bits, whole != 1);
    const Logical b = random_operand(random, expected, formats[1].bits, whole != 2);

    // |m0| * 2^(b0-1) + |m1| * 2^(b1-1) <= 2^31 - 1, often with hardly anything to spare.
    std::vector<std::int32_t> multipliers[2];
    for (std::int64_t c = 0; c < expected.channels; ++c) {
      std::int64_t left = 2147483647;
      for (const int i : {0, 1}) {
        const std::int64_t most = left >> (formats[i].bits - 1);
        std::int64_t m = random.one_in(2) ? most / (2 - i) : random.between(0, most / (2 - i));
        left -= m << (formats[i].bits - 1);
        if (random.one_in(2)) m = -m;
        multipliers[i].push_back(static_cast<std::int32_t>(m));
      }
      for (std::int64_t y = 0; y < expected.height; ++y)
        for (std::int64_t x = 0; x < expected.width; ++x)
          expected.at(c, y, x) = multipliers[0].back() * spread(a, c, y, x) +
                                 multipliers[1].back() * spread(b, c, y, x);
    }
    const Post post =
        random_post(random, out_format, expected.channels, expected.height, expected.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const TensorSpec specs[2] = {spec_of(a, formats[0]), spec_of(b, formats[1])};
    TensorSpec to_spec = spec_of(expected, out_format);
    perhaps_in_place(random, {specs[0], specs[1]}, to_spec);
    const std::uint32_t first = builder.input(specs[0]), second = builder.input(specs[1]);
    const std::uint32_t to = builder.output(to_spec);
    multipliers[0].insert(multipliers[0].end(), multipliers[1].begin(), multipliers[1].end());
    intrt_add_params p{};
    p.multipliers_offset = builder.array(multipliers[0]);
    p.post = post_record(builder, post, expected);
    builder.op(k_add, {first, second}, to, p);
    check_plan(builder.finish(), {a, b}, expected);
  }
}

TEST_CASE("mul equals the definition for random shapes and types, also in place") {
  for (std::uint64_t seed = 1; seed <= 4000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Format formats[2] = {random_format(random, true), random_format(random, true)};
    if (formats[0].bits > 30) formats[0].bits = 30;
    if (formats[0].bits + formats[1].bits > 32) {  // the product must fit
      formats[1].bits = static_cast<std::uint8_t>(32 - formats[0].bits);
      formats[1].type = formats[1].bits <= 8 ? INTRT_INT8 : formats[1].type;
    }
    const Format out_format = random_format(random, true);
    Logical expected(random.between(1, 7), random.between(1, 6), random.between(1, 6));
    const int whole = static_cast<int>(random.between(0, 2));
    const Logical a = random_operand(random, expected, formats[0].bits, whole != 1);
    const Logical b = random_operand(random, expected, formats[1].bits, whole != 2);
    for (std::int64_t c = 0; c < expected.channels; ++c)
      for (std::int64_t y = 0; y < expected.height; ++y)
        for (std::int64_t x = 0; x < expected.width; ++x)
          expected.at(c, y, x) = spread(a, c, y, x) * spread(b, c, y, x);
    const Post post =
        random_post(random, out_format, expected.channels, expected.height, expected.width);
    apply_post(post, expected);

    PlanBuilder builder;
    const TensorSpec specs[2] = {spec_of(a, formats[0]), spec_of(b, formats[1])};
    TensorSpec to_spec = spec_of(expected, out_format);
    perhaps_in_place(random, {specs[0], specs[1]}, to_spec);
    const std::uint32_t first = builder.input(specs[0]), second = builder.input(specs[1]);
    const std::uint32_t to = builder.output(to_spec);
    intrt_mul_params p{};
    p.post = post_record(builder, post, expected);
    builder.op(k_mul, {first, second}, to, p);
    check_plan(builder.finish(), {a, b}, expected);
  }
}

TEST_CASE("a value may be added to itself and squared in place") {
  for (const std::uint32_t code : {k_add, k_mul}) {
    Random random(code);
    const Logical input = random_codes(random, 3, 4, 5, 8);
    Logical expected = input;
    for (std::int64_t& x : expected.codes)
      x = std::clamp<std::int64_t>(code == k_add ? 2 * x : x * x, -128, 127);
    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, {INTRT_INT8, 8}));
    TensorSpec to_spec = spec_of(expected, {INTRT_INT8, 8});
    to_spec.arena_offset = 0;
    const std::uint32_t to = builder.output(to_spec);
    const intrt_post_record post = builder.shift_post({0}, INTRT_ROUND_FLOOR, -128, 127);
    if (code == k_add)
      builder.op(k_add, {from, from}, to,
                 intrt_add_params{builder.array(std::vector<std::int32_t>(6, 1)), post});
    else
      builder.op(k_mul, {from, from}, to, intrt_mul_params{post});
    check_plan(builder.finish(), {input}, expected);
  }
}

TEST_CASE("table looks every code up in its channel's table, also in place") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const bool bytes = random.one_in(4);
    Format in_format = random_format(random, false);
    if (!random.one_in(20)) in_format.bits = std::min<std::uint8_t>(in_format.bits, 9);
    if (bytes) in_format = {INTRT_UINT8, 8};
    const Format out_format = random_format(random, false);
    Logical input = random_codes(random, random.between(1, 7), random.between(1, 6),
                                 random.between(1, 6), in_format.bits);
    if (bytes)
      for (std::int64_t& code : input.codes) code += 128;
    Logical expected = input;
    const std::int64_t size = std::int64_t{1} << in_format.bits;
    const std::int64_t table_count = random.between(1, 4);
    std::vector<std::int64_t> entries;
    for (std::int64_t i = 0; i < table_count * size; ++i)
      entries.push_back(random.between(code_min(out_format.bits), code_max(out_format.bits)));
    std::vector<std::uint16_t> tables;
    for (std::int64_t c = 0; c < input.channels; ++c)
      tables.push_back(static_cast<std::uint16_t>(random.between(0, table_count - 1)));
    const bool one_for_all = random.one_in(3);
    Post post;  // only for its mask
    if (random.one_in(2))
      for (std::size_t i = 0; i < input.codes.size(); ++i) post.mask.push_back(random.one_in(2));
    for (std::size_t i = 0; i < input.codes.size(); ++i) {
      const std::size_t channel = i / static_cast<std::size_t>(input.height * input.width);
      const std::int64_t table = one_for_all ? 0 : tables[channel];
      const std::int64_t entry = input.codes[i] + (bytes ? 0 : size / 2);
      expected.codes[i] = entries[static_cast<std::size_t>(table * size + entry)];
    }
    apply_post(post, expected);

    PlanBuilder builder;
    const std::uint32_t from = builder.input(spec_of(input, in_format));
    TensorSpec to_spec = spec_of(expected, out_format);
    const bool same_bytes = (in_format.type == INTRT_INT16) == (out_format.type == INTRT_INT16);
    if (same_bytes && random.one_in(2)) to_spec.arena_offset = 0;
    const std::uint32_t to = builder.output(to_spec);
    intrt_table_params p{};
    p.table_count = static_cast<std::uint32_t>(table_count);
    if (!one_for_all) p.tables_offset = builder.array(tables);
    p.entries_offset = builder.weights(entries, out_format.type);
    p.mask_offset = mask_offset(builder, post.mask, expected);
    builder.op(k_table, from, to, p);
    check_plan(builder.finish(), {input}, expected);
  }
}

TEST_CASE("argmax names the first of the largest codes of each pixel") {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Format format = random_format(random, true);
    if (random.one_in(2)) format.bits = 2;  // many equal codes
    const Logical input = random_codes(random, random.between(1, 20), random.between(1, 6),
                                       random.between(1, 6), format.bits);
    Logical expected(1, input.height, input.width);
    for (std::int64_t y = 0; y < input.height; ++y)
      for (std::int64_t x = 0; x < input.width; ++x)
        for (std::int64_t c = input.channels - 1; c >= 0; --c)
          if (input.at(c, y, x) >= input.at(expected.at(0, y, x), y, x)) expected.at(0, y, x) = c;
    PlanBuilder builder;
    TensorSpec from_spec = spec_of(input, format);
    if (random.one_in(2)) from_spec.decimals.assign(static_cast<std::size_t>(input.channels), 7);
    const std::uint32_t from = builder.input(from_spec);
    const std::uint32_t to = builder.output(spec_of(expected, {INTRT_INT32, 6}));
    builder.op(k_argmax, from, to);
    check_plan(builder.finish(), {input}, expected);
  }
}
