#include "tests/fuzz/random_graph/random_graph.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "tests/fuzz/random_graph/node_kinds.h"

namespace lockstep::test {
namespace {

struct Row {
  std::string_view op;
  int weight;  // how often it is tried; many find no place
  bool (*add)(GraphBuilder&, std::string_view op);
};

constexpr Row kRows[] = {
    {"conv1d", 24, add_convolution},
    {"conv2d", 12, add_convolution},
    {"conv_transpose1d", 14, add_convolution},
    {"conv_transpose2d", 6, add_convolution},
    {"linear", 12, add_linear},
    {"batch_norm1d", 4, add_batch_norm},
    {"batch_norm2d", 4, add_batch_norm},
    {"relu", 4, add_activation},
    {"relu6", 3, add_activation},
    {"leaky_relu", 3, add_activation},
    {"hard_sigmoid", 2, add_activation},
    {"hard_swish", 2, add_activation},
    {"tanh", 2, add_activation},
    {"sigmoid", 2, add_activation},
    {"gelu", 2, add_activation},
    {"silu", 2, add_activation},
    {"elu", 2, add_activation},
    {"softplus", 2, add_activation},
    {"max_pool1d", 9, add_max_pool},
    {"max_pool2d", 4, add_max_pool},
    {"avg_pool1d", 9, add_avg_pool},
    {"avg_pool2d", 4, add_avg_pool},
    {"adaptive_avg_pool1d", 7, add_avg_pool},
    {"adaptive_avg_pool2d", 3, add_avg_pool},
    {"upsample", 4, add_upsample},
    {"pixel_shuffle", 12, add_pixel_shuffle},
    {"pixel_unshuffle", 10, add_pixel_shuffle},
    {"flatten", 3, add_flatten},
    {"reshape", 4, add_reshape},
    {"transpose", 4, add_transpose},
    {"slice", 3, add_slice},
    {"pad", 4, add_pad},
    {"concat", 6, add_concat},
    {"add", 6, add_sum},
    {"sub", 4, add_sum},
    {"mul", 4, add_mul},
    {"argmax", 1, add_argmax},
    {"dropout", 1, add_identity},
    {"identity", 1, add_identity},
    {"quantize", 6, add_quantize},
    {"prune", 5, add_prune},
};

const Row& pick_row(Random& random) {
  int total = 0;
  for (const Row& row : kRows) total += row.weight;
  std::int64_t left = random.between(0, total - 1);
  for (const Row& row : kRows)
    if ((left -= row.weight) < 0) return row;
  return kRows[0];
}

// One number, or one per channel, in [lo, hi].
std::string numbers_json(Random& random, std::int64_t channels, double lo, double hi) {
  std::vector<std::string> numbers;
  const bool per_channel = random.chance(50);
  for (std::int64_t c = 0; c < (per_channel ? channels : 1); ++c)
    numbers.push_back(
        fmt::format("{}", (lo + hi) / 2 + random.real(static_cast<float>((hi - lo) / 2))));
  return per_channel ? fmt::format("[{}]", fmt::join(numbers, ",")) : numbers[0];
}

// Normalisation of raw bytes to numbers that mostly use the range of an input, which is
// [-largest, largest].
std::string raw_json(Random& random, std::int64_t channels, double largest) {
  std::vector<std::string> members;
  const double std = random.real(1.0F) + 1.25;
  if (random.chance(80) || largest > 8)
    members.push_back(fmt::format(
        R"("scale":{})", numbers_json(random, channels, std * largest / 300, std * largest / 100)));
  if (random.chance(80))
    members.push_back(
        fmt::format(R"("mean":{})", numbers_json(random, channels, 0, std * largest)));
  if (random.chance(80))
    members.push_back(
        fmt::format(R"("std":{})", numbers_json(random, channels, std / 2, std * 1.5)));
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

void add_inputs(GraphBuilder& graph, std::uint64_t seed) {
  Random& random = graph.random;
  // Numbers of its own, so that the nodes of a seed do not depend on which inputs are raw.
  Random raw_random(~seed);
  const std::int64_t count = random.chance(60) ? 1 : random.between(2, 3);
  Sizes first;
  for (std::int64_t i = 0; i < count; ++i) {
    GraphValue input;
    const std::int64_t rank = random.chance(55) ? 3 : random.between(1, 3);
    if (i > 0 && random.chance(50))
      input.shape = first;
    else if (rank == 3)
      input.shape = {random.between(1, 6), random.between(1, 8), random.between(1, 8)};
    else if (rank == 2)
      input.shape = {random.between(1, 7), random.between(1, 17)};
    else
      input.shape = {random.between(1, 24)};
    if (first.empty()) first = input.shape;
    input.bits = static_cast<int>(random.between(2, random.chance(20) ? 16 : 9));
    input.lowest_decimal = input.highest_decimal = static_cast<int>(random.between(-3, 10));
    input.largest = std::ldexp(1.0, input.bits - 1 - input.lowest_decimal);
    input.typical = input.largest / 2;
    const std::string raw =
        raw_random.chance(25) ? raw_json(raw_random, input.shape[0], input.largest) : std::string();
    graph.add_input(std::move(input), raw);
  }
}

}  // namespace

Network random_graph(std::uint64_t seed) {
  GraphBuilder graph(seed);
  add_inputs(graph, seed);
  const auto wanted =
      static_cast<std::size_t>(graph.random.between(1, graph.random.chance(30) ? 40 : 16));
  for (int attempts = 0; graph.node_count() < wanted && attempts < 400; ++attempts) {
    const Row& row = pick_row(graph.random);
    row.add(graph, row.op);
  }
  return graph.finish();
}

}  // namespace lockstep::test
