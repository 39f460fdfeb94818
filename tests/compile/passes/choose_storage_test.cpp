// When weights are stored sparsely, for speed and for size, and what is said about it.
#include "compile/passes/choose_storage.h"

#include <doctest/doctest.h>

#include "compile/backends/plan/writer.h"
#include "compile/ir/storage.h"
#include "tests/compile/backends/small_programs.h"

namespace lockstep {
namespace {

using namespace ir;
using passes::Objective;
using passes::StorageChoice;

// A convolution of 16 by 16 positions, or (kernel 0) a linear layer; of every `kept` weights one is
// not 0. `largest` decides how many bits weights have.
struct Layer {
  std::int64_t inputs, outputs, kernel, kept;
  std::int32_t largest = 100;
};

Program program_of(const Layer& layer, std::vector<Segment> segments = {}) {
  test::ProgramMaker maker;
  const auto fill = [&](auto& kind, const std::vector<std::size_t>& shape) {
    kind.weights = xt::xarray<std::int32_t>::from_shape(shape);
    for (std::size_t k = 0; k < kind.weights.size(); ++k)
      kind.weights.data()[k] = k % static_cast<std::size_t>(layer.kept) == 0 ? layer.largest : 0;
    kind.segments = segments;
    kind.post.function = Requantize{{12}, Rounding::kFloor, -128, 127};
  };
  const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  if (layer.kernel == 0) {
    Linear linear;
    fill(linear, {size(layer.outputs), size(layer.inputs)});
    maker.add(linear, {maker.input({layer.inputs, 1, 1, 1}, 8)}, {layer.outputs, 1, 1, 1}, 8);
    return maker.finish(false);
  }
  Conv2d conv;
  const std::int64_t k = layer.kernel;
  conv.window.kernel = {k, k};
  conv.window.pad = {k / 2, k / 2, k / 2, k / 2};
  fill(conv, {size(layer.outputs), size(k), size(k), size(layer.inputs)});
  maker.add(conv, {maker.input({layer.inputs, 16, 16, 3}, 8)}, {layer.outputs, 16, 16, 3}, 8);
  return maker.finish(false);
}

StorageChoice choice_of(const Program& program, Objective objective) {
  const std::vector<StorageChoice> choices = passes::storage_choices(program, objective);
  REQUIRE(choices.size() == 1);
  return choices.front();
}

bool is_sparse(const Program& program) {
  const OpKind& kind = program.ops.at(0).kind;
  const auto* conv = std::get_if<Conv2d>(&kind);
  return conv != nullptr ? conv->sparse : std::get<Linear>(kind).sparse;
}

TEST_CASE("what is nearly empty is sparse, what is nearly full is dense, for either goal") {
  for (const std::int64_t kernel : {0, 1, 3})
    for (const std::int32_t largest : {100, 1000})
      for (const Objective objective : {Objective::kSpeed, Objective::kSize}) {
        CAPTURE(kernel);
        CAPTURE(largest);
        const Program empty = program_of({640, 8, kernel, 1000, largest});
        CHECK(choice_of(empty, objective).sparse);
        CHECK(choice_of(empty, objective).reason.starts_with("sparse: "));
        CHECK(is_sparse(passes::choose_storage(empty, objective)));
        Program full = program_of({640, 8, kernel, 1, largest});
        CHECK(passes::storage_choices(full, objective).empty());  // no zeros, nothing to say
        CHECK(!is_sparse(passes::choose_storage(full, objective)));
      }
}

TEST_CASE("with half of the weights 0, sparse weights are smaller, but dense ones are faster") {
  const Program program = program_of({64, 32, 3, 2});
  const StorageChoice speed = choice_of(program, Objective::kSpeed);
  CHECK(!speed.sparse);
  CHECK(speed.zeros * 2 == speed.weights);
  CHECK(speed.dense_us < speed.sparse_us);
  CHECK(speed.reason.starts_with("dense: "));
  CHECK(speed.reason.ends_with(" times as fast as sparse"));
  const StorageChoice size = choice_of(program, Objective::kSize);
  CHECK(size.sparse);
  CHECK(size.dense_bytes == 18432);
  CHECK(size.sparse_bytes == 9216 + 2304 + 33 * 4);
  CHECK(size.reason == "sparse: 6780 bytes less than dense");
}

TEST_CASE("for speed, what is estimated to be about as fast stays dense") {
  int close = 0;
  for (std::int64_t kept = 2; kept < 40; ++kept) {
    CAPTURE(kept);
    const StorageChoice choice = choice_of(program_of({64, 32, 3, kept}), Objective::kSpeed);
    if (choice.sparse) CHECK(choice.sparse_us * 1.25 < choice.dense_us);
    if (choice.sparse || choice.sparse_us > choice.dense_us) continue;
    ++close;
    CHECK(choice.reason == "dense: sparse is not clearly faster everywhere");
  }
  CHECK(close > 0);
}

// A depthwise convolution of 8 channels whose weights are `most`, but the first.
Program depthwise(std::int32_t most, std::int32_t first) {
  test::ProgramMaker maker;
  Conv2d conv;
  conv.groups = 8;
  conv.window.kernel = {3, 3};
  conv.weights = xt::xarray<std::int32_t>::from_shape({8, 3, 3, 1});
  conv.weights.fill(most);
  conv.weights(0, 0, 0, 0) = first;
  maker.add(conv, {maker.input({8, 6, 6, 3}, 8)}, {8, 4, 4, 3}, 32);
  return maker.finish(false);
}

TEST_CASE("for speed, what vector instructions alone make faster or what is larger stays dense") {
  // A third of zeros in wide rows: fast with vector instructions, slow on a machine without.
  const StorageChoice third = choice_of(program_of({64, 32, 1, 3}), Objective::kSpeed);
  CHECK(third.zeros * 3 >= third.weights);
  CHECK(!third.sparse);
  // Depthwise weights would need a byte of bits each.
  const StorageChoice choice = choice_of(depthwise(7, 0), Objective::kSpeed);
  CHECK(!choice.sparse);
  CHECK(choice.reason == "dense: sparse is larger");
}

TEST_CASE("a bit costs a byte where a tap has one weight, so a depthwise convolution stays dense") {
  const StorageChoice choice = choice_of(depthwise(0, 5), Objective::kSize);
  CHECK(!choice.sparse);
  CHECK(choice.reason == "dense: 37 bytes less than sparse");  // 73 + 36 - 72
}

TEST_CASE("weights with segments stay dense") {
  const Program program = program_of({64, 32, 1, 100}, {{32, 0}, {64, 1}});
  for (const Objective objective : {Objective::kSpeed, Objective::kSize}) {
    CHECK(!is_sparse(passes::choose_storage(program, objective)));
    const StorageChoice choice = choice_of(program, objective);
    CHECK(choice.in_segments);
    CHECK(choice.segments == 2);
    CHECK(choice.segment_bytes == 2048 + 16);
    CHECK(choice.dense_bytes == 4096);  // weights of 200
    CHECK(choice.sparse_bytes == 256 + 33 * 4 + 2 * 21);
  }
}

TEST_CASE("segments that are larger are refused with their price") {
  Program program = program_of({4, 2, 0, 1});
  auto& weights = std::get<Linear>(program.ops.at(0).kind).weights;
  for (std::size_t o = 0; o < 2; ++o) weights(o, 0) = weights(o, 1) = 256;
  program.values.at(program.inputs.at(0)).decimals = {0, 0, 8, 8};
  const StorageChoice size = choice_of(program, Objective::kSize),
                      speed = choice_of(program, Objective::kSpeed);
  for (const StorageChoice& choice : {size, speed}) {
    CHECK(!choice.in_segments);
    CHECK(choice.segments == 2);
    CHECK(choice.dense_bytes == 16);
    CHECK(choice.segment_bytes == 8 + 2 * 8);
    CHECK(choice.segment_us > choice.dense_us);
  }
  CHECK(size.reason ==
        "dense: 14 bytes less than sparse, 16 bits for several decimals; 2 segments: 8 bytes more");
  CHECK(speed.reason.ends_with("; 2 segments: larger"));
}

TEST_CASE("choosing again changes nothing, and no value changes") {
  const Program before = program_of({20, 6, 3, 40});
  const Program once = passes::choose_storage(before, Objective::kSize);
  REQUIRE(is_sparse(once));
  CHECK(to_text(passes::choose_storage(once, Objective::kSize)) == to_text(once));
  CHECK(choice_of(once, Objective::kSize).reason == choice_of(before, Objective::kSize).reason);
  CHECK(!is_sparse(passes::choose_storage(once, Objective::kSpeed)) ==
        !choice_of(before, Objective::kSpeed).sparse);
  validate(once);
  const auto codes = test::random_codes(before, 1, 0);
  CHECK(evaluate(once, codes) == evaluate(before, codes));
}

TEST_CASE("the bytes of a choice are those that a plan grows by") {
  // No bias, and sizes that are multiples of 16: nothing but the weights differs.
  const Layer few = {64, 31, 0, 16}, more = {64, 31, 0, 4};
  const auto plan_bytes = [](const Layer& layer, bool sparse) {
    Program program = program_of(layer);
    std::get<Linear>(program.ops[0].kind).sparse = sparse;
    return static_cast<std::int64_t>(backends::write_plan(program).size());
  };
  for (const Layer& layer : {few, more}) {
    const StorageChoice choice = choice_of(program_of(layer), Objective::kSize);
    // Arrays begin at multiples of 16 and 4, which costs less than 32 bytes.
    const std::int64_t difference = plan_bytes(layer, false) - plan_bytes(layer, true);
    CHECK(std::abs(difference - (choice.dense_bytes - choice.sparse_bytes)) < 32);
  }
  CHECK(stored_weight_bytes(std::get<Linear>(
            passes::choose_storage(program_of(few), Objective::kSize).ops[0].kind)) ==
        choice_of(program_of(few), Objective::kSize).sparse_bytes);
}

}  // namespace
}  // namespace lockstep
