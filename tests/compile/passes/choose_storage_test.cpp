// When weights are stored sparsely, for speed and for size, on any machine and on one kind of them,
// and what is said about it.
#include "compile/passes/choose_storage.h"

#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "compile/backends/plan/writer.h"
#include "compile/ir/storage.h"
#include "intrt/intrt.h"
#include "tests/compile/backends/small_programs.h"
#include "tests/support/plan_builder.h"

namespace lockstep {
namespace {

using namespace ir;
using passes::Machine;
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
    kind.wide = layer.largest > INT16_MAX;
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

StorageChoice choice_of(const Program& program, Objective objective,
                        Machine machine = Machine::kPortable) {
  const std::vector<StorageChoice> choices = passes::storage_choices(program, {objective, machine});
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
        const Program empty = program_of(Layer{640, 8, kernel, 1000, largest});
        CHECK(choice_of(empty, objective).sparse);
        CHECK(choice_of(empty, objective).reason.starts_with("sparse: "));
        CHECK(is_sparse(passes::choose_storage(empty, {objective})));
        Program full = program_of(Layer{640, 8, kernel, 1, largest});
        CHECK(passes::storage_choices(full, {objective}).empty());  // no zeros, nothing to say
        CHECK(!is_sparse(passes::choose_storage(full, {objective})));
      }
}

TEST_CASE("with half of the weights 0, sparse weights are smaller, but dense ones are faster") {
  const Program program = program_of(Layer{64, 32, 3, 2});
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
    const StorageChoice choice = choice_of(program_of(Layer{64, 32, 3, kept}), Objective::kSpeed);
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
  const StorageChoice third = choice_of(program_of(Layer{64, 32, 1, 3}), Objective::kSpeed);
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

constexpr Machine kHosts[] = {Machine::kX86V4, Machine::kX86V3, Machine::kAArch64};

TEST_CASE("bytes decide for a host whose kernels make both forms equally fast") {
  const Program half = program_of(Layer{64, 32, 3, 2});
  Program tied = program_of(Layer{64, 1, 0, 1});
  for (std::size_t k = 0; k < 16; ++k) std::get<Linear>(tied.ops[0].kind).weights(0, k) = 0;
  for (const Machine machine : kHosts)
    for (const Objective objective : {Objective::kSpeed, Objective::kSize}) {
      const std::string name(passes::machine_name(machine));
      CAPTURE(name);
      const StorageChoice choice = choice_of(half, objective, machine);
      CHECK(choice.equally_fast);
      CHECK(choice.sparse);
      CHECK(choice.reason == "sparse: equally fast on " + name + ", 6780 bytes less than dense");
      CHECK(is_sparse(passes::choose_storage(half, {objective, machine})));
      CHECK(choice_of(tied, objective, machine).reason ==
            "dense: equally fast on " + name + ", as many bytes as sparse");
      const StorageChoice dense = choice_of(depthwise(7, 0), objective, machine);
      CHECK(!dense.sparse);
      CHECK(dense.reason == "dense: equally fast on " + name +
                                ", 107 bytes less than sparse");  // 72 + 71 + 36 - 72
    }
  CHECK(!choice_of(half, Objective::kSpeed).equally_fast);
}

// A convolution in groups, one of three weights of which is not 0.
struct Grouped {
  std::int64_t groups, inputs, outputs, kernel, dilation;  // inputs, outputs: of a group
  int bits = 8;                                            // of the input
  std::int32_t largest = 100;
};

Program program_of(const Grouped& g) {
  test::ProgramMaker maker;
  Conv2d conv;
  conv.groups = static_cast<int>(g.groups);
  conv.window.kernel = {g.kernel, g.kernel};
  conv.window.dilation = {g.dilation, g.dilation};
  const auto size = [](std::int64_t x) { return static_cast<std::size_t>(x); };
  conv.weights = xt::xarray<std::int32_t>::from_shape(
      {size(g.groups * g.outputs), size(g.kernel), size(g.kernel), size(g.inputs)});
  conv.weights.fill(0);
  for (std::size_t k = 0; k < conv.weights.size(); k += 3)
    conv.weights.data()[k] = k == 0 ? g.largest : k % 2 == 0 ? -2 : 1;
  conv.post.function = Requantize{{12}, Rounding::kFloor, -128, 127};
  const std::int64_t reach = (g.kernel - 1) * g.dilation + 1;
  maker.add(conv, {maker.input({g.groups * g.inputs, reach, reach + 1, 3}, g.bits)},
            {g.groups * g.outputs, 1, 2, 3}, 8);
  return maker.finish(false);
}

TEST_CASE("what may be left to the scalar kernels is stored on a host as everywhere") {
  const Program left[] = {program_of(Layer{64, 32, 3, 2, 100000}),  // weights of 32 bits
                          program_of(Layer{64, 32, 0, 2, 100000}),
                          program_of(Grouped{4, 4, 4, 3, 1}),     // few outputs in a group
                          program_of(Grouped{1, 1400, 2, 3, 1}),  // a large window
                          program_of(Grouped{1, 16, 8, 3, 14}),
                          program_of(Layer{13000, 4, 0, 3}),
                          program_of(Layer{64, 32, 1, 100}, {{32, 0}, {64, 1}})};
  for (const Program& program : left) {
    INFO(to_text(program));
    for (const Objective objective : {Objective::kSpeed, Objective::kSize}) {
      const StorageChoice anywhere = choice_of(program, objective);
      for (const Machine machine : kHosts) {
        const StorageChoice choice = choice_of(program, objective, machine);
        CHECK(!choice.equally_fast);
        CHECK(choice.sparse == anywhere.sparse);
        CHECK(choice.reason == anywhere.reason);
      }
    }
  }
}

struct alignas(INTRT_PREPARED_ALIGNMENT) Block {
  std::array<unsigned char, INTRT_PREPARED_ALIGNMENT> bytes{};
  bool operator==(const Block&) const = default;
};

// What kernels of this variant, or of a later one but "scalar", make of the weights of the only
// operator, stored sparsely or densely; empty where all leave it to "scalar".
std::vector<Block> prepared(Program program, bool sparse, const char* variant) {
  std::get<Conv2d>(program.ops[0].kind).sparse = sparse;
  const std::vector<std::byte> plan_bytes = backends::write_plan(program);
  std::vector<std::uint8_t> bytes(plan_bytes.size());
  std::memcpy(bytes.data(), plan_bytes.data(), bytes.size());
  const testing::AlignedBytes aligned(bytes);
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, aligned.data(), aligned.size(), nullptr) == INTRT_OK);
  const std::size_t size = intrt_prepared_bytes(&plan, variant);
  std::vector<Block> memory(size / sizeof(Block));
  REQUIRE(intrt_prepare(&plan, variant, memory.data(), size) == INTRT_OK);
  memory.erase(memory.begin());  // which plan it is for
  return memory;
}

TEST_CASE("what a host is said to prepare has one form on each variant that runs here") {
  int said = 0, not_said = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    test::Dice dice(seed);
    const bool depthwise = dice.chance(40), in_groups = dice.chance(40);
    const int bits = dice.chance(50) ? 8 : 16;
    // Sums of many codes of 16 bits would exceed 32.
    const std::int64_t most = bits == 8 && dice.chance(40) ? 2000 : 40;
    Grouped g{.groups = in_groups ? dice.between(2, 4) : 1,
              .inputs = dice.between(1, most),
              .outputs = dice.between(1, 20),
              .kernel = dice.between(1, 6),
              .dilation = dice.between(1, 3),
              .bits = bits,
              .largest = dice.chance(50) ? 100 : 1000};
    if (depthwise) g = {dice.between(2, most), 1, 1, g.kernel, g.dilation, bits, g.largest};
    const Program program = program_of(g);
    INFO(to_text(program));
    if (!passes::prepares_weights(program, program.ops[0], Machine::kX86V4)) {
      ++not_said;
      continue;
    }
    ++said;
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v) {
      const char* const variant = intrt_kernel_variant(v);
      if (intrt_kernel_variant_runs_here(v) == 0 || variant == std::string("scalar")) continue;
      CAPTURE(variant);
      const std::vector<Block> dense = prepared(program, false, variant);
      CHECK(!dense.empty());
      CHECK((prepared(program, true, variant) == dense));
    }
  }
  CHECK(said > 100);
  CHECK(not_said > 50);
}

TEST_CASE("weights with segments stay dense") {
  const Program program = program_of(Layer{64, 32, 1, 100}, {{32, 0}, {64, 1}});
  for (const Objective objective : {Objective::kSpeed, Objective::kSize}) {
    CHECK(!is_sparse(passes::choose_storage(program, {objective})));
    const StorageChoice choice = choice_of(program, objective);
    CHECK(choice.in_segments);
    CHECK(choice.segments == 2);
    CHECK(choice.segment_bytes == 2048 + 16);
    CHECK(choice.dense_bytes == 4096);  // weights of 200
    CHECK(choice.sparse_bytes == 256 + 33 * 4 + 2 * 21);
  }
}

TEST_CASE("segments that are larger are refused with their price") {
  Program program = program_of(Layer{4, 2, 0, 1});
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
  const Program before = program_of(Layer{20, 6, 3, 40});
  const Program once = passes::choose_storage(before, {Objective::kSize});
  REQUIRE(is_sparse(once));
  CHECK(to_text(passes::choose_storage(once, {Objective::kSize})) == to_text(once));
  CHECK(choice_of(once, Objective::kSize).reason == choice_of(before, Objective::kSize).reason);
  CHECK(!is_sparse(passes::choose_storage(once, {Objective::kSpeed})) ==
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
            passes::choose_storage(program_of(few), {Objective::kSize}).ops[0].kind)) ==
        choice_of(program_of(few), Objective::kSize).sparse_bytes);
}

}  // namespace
}  // namespace lockstep
