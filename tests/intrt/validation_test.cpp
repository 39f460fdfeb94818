// Each way in which a plan can be wrong, by name: intrt_open says what, and at which operator.
#include <doctest/doctest.h>

#include <chrono>

#include "tests/intrt/faults.h"

namespace {

using namespace lockstep::testing;

// The same plan with room for `extra` more bytes at the end, 16-byte aligned.
std::vector<std::uint8_t> extended(std::vector<std::uint8_t> bytes, std::size_t extra) {
  bytes.resize((bytes.size() + 15) / 16 * 16 + extra);
  const auto total = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data() + offsetof(intrt_plan_header, total_bytes), &total, sizeof total);
  return bytes;
}

}  // namespace

TEST_CASE("the undamaged small network opens") {
  EditablePlan plan(small_network());
  CHECK(plan.bytes().size() < 1536);
  CHECK(open_plan(plan.bytes()) == Opened{INTRT_OK, kNoOp});
}

TEST_CASE("null and misaligned plans are refused") {
  EditablePlan plan(small_network());
  intrt_plan opened;
  CHECK(intrt_open(nullptr, plan.bytes().data(), 64, nullptr) == INTRT_ERROR_NULL);
  CHECK(intrt_open(&opened, nullptr, 64, nullptr) == INTRT_ERROR_NULL);
  for (std::size_t offset = 1; offset < 16; ++offset) {
    AlignedBytes copy(plan.bytes().size() + offset);
    std::memcpy(copy.data() + offset, plan.bytes().data(), plan.bytes().size());
    CHECK(intrt_open(&opened, copy.data() + offset, plan.bytes().size(), nullptr) ==
          INTRT_ERROR_ALIGNMENT);
  }
}

TEST_CASE("wrong headers are refused") {
  check_faults({
      {"magic", INTRT_ERROR_NOT_A_PLAN, kNoOp, [](P& p) { p.header().magic[7] = 'X'; }},
      {"version 0", INTRT_ERROR_VERSION, kNoOp, [](P& p) { p.header().version = 0; }},
      {"version 1", INTRT_ERROR_VERSION, kNoOp, [](P& p) { p.header().version = 1; }},
      {"total_bytes one less", INTRT_ERROR_SIZE, kNoOp, [](P& p) { p.header().total_bytes -= 1; }},
      {"total_bytes one more", INTRT_ERROR_SIZE, kNoOp, [](P& p) { p.header().total_bytes += 1; }},
      {"reserved", kValue, kNoOp, [](P& p) { p.header().reserved = 1; }},
      {"arena not a multiple of 16", kValue, kNoOp, [](P& p) { p.header().arena_bytes += 4; }},
      {"arena one tensor short", kBounds, kNoOp, [](P& p) { p.header().arena_bytes -= 16; }},
      {"no operator", kValue, kNoOp, [](P& p) { p.header().op_count = 0; }},
      {"no input", kValue, kNoOp, [](P& p) { p.header().input_count = 0; }},
      {"no output", kValue, kNoOp, [](P& p) { p.header().output_count = 0; }},
      {"too many operators", kBounds, kNoOp,
       [](P& p) { p.header().op_count = INTRT_MAX_COUNT + 1; }},
      {"too many tensors", kBounds, kNoOp,
       [](P& p) { p.header().tensor_count = INTRT_MAX_COUNT + 1; }},
      {"more inputs than tensors", kBounds, kNoOp, [](P& p) { p.header().input_count = 8; }},
      {"tensors behind the end", kBounds, kNoOp,
       [](P& p) { p.header().tensors_offset = p.header().total_bytes - 28; }},
      {"tensors far out", kBounds, kNoOp, [](P& p) { p.header().tensors_offset = 0xFFFFFFFCu; }},
      {"tensors misaligned", kBounds, kNoOp, [](P& p) { p.header().tensors_offset += 2; }},
      {"tensors in the header", kBounds, kNoOp, [](P& p) { p.header().tensors_offset = 60; }},
      {"op table out", kBounds, kNoOp,
       [](P& p) { p.header().ops_offset = p.header().total_bytes; }},
      {"inputs out", kBounds, kNoOp, [](P& p) { p.header().inputs_offset = 0; }},
      {"outputs out", kBounds, kNoOp, [](P& p) { p.header().outputs_offset = 0xFFFFFFF0u; }},
      {"name out", kBounds, kNoOp, [](P& p) { p.header().name_offset = p.header().total_bytes; }},
      {"name in the header", kBounds, kNoOp, [](P& p) { p.header().name_offset = 8; }},
      {"input index", kBounds, kNoOp, [](P& p) { p.input(0) = 7; }},
      {"output index", kBounds, kNoOp, [](P& p) { p.output(0) = 0xFFFFFFFFu; }},
  });
}

TEST_CASE("the checksum covers every field") {
  EditablePlan plan(small_network());
  plan.header().crc32 ^= 0x80000000u;
  CHECK(open_plan(plan.bytes()) == Opened{INTRT_ERROR_CHECKSUM, kNoOp});
}

TEST_CASE("intrt_plan_crc32 is zlib's CRC-32 with the field taken as 0") {
  EditablePlan plan(small_network());
  const std::uint32_t from_zlib = plan.header().crc32;
  plan.header().crc32 = 0x12345678;
  CHECK(intrt_plan_crc32(plan.bytes().data(), plan.bytes().size()) == from_zlib);
}

TEST_CASE("wrong tensors are refused") {
  const auto t = [](P& p) -> intrt_tensor_record& { return p.tensor(kTensorRelu); };
  check_faults({
      {"no channels", kValue, kNoOp, [=](P& p) { t(p).channels = 0; }},
      {"no height", kValue, kNoOp, [=](P& p) { t(p).height = 0; }},
      {"no width", kValue, kNoOp, [=](P& p) { t(p).width = 0; }},
      {"width beyond the limit", kValue, kNoOp, [=](P& p) { t(p).width = INTRT_MAX_DIM + 1; }},
      {"extent beyond the arena", kBounds, kNoOp, [=](P& p) { t(p).width = INTRT_MAX_DIM; }},
      {"extent that would wrap in 32 bits", kBounds, kNoOp,
       [=](P& p) { t(p).height = t(p).width = INTRT_MAX_DIM; }},
      {"type 0", kValue, kNoOp, [=](P& p) { t(p).type = 0; }},
      {"type 5", kValue, kNoOp, [=](P& p) { t(p).type = 5; }},
      {"1 bit", kValue, kNoOp, [=](P& p) { t(p).bits = 1; }},
      {"9 bits in int8", kValue, kNoOp, [=](P& p) { t(p).bits = 9; }},
      {"33 bits in int32", kValue, kNoOp, [](P& p) { p.tensor(kTensorAcc).bits = 33; }},
      {"rank 0", kValue, kNoOp, [=](P& p) { t(p).logical_rank = 0; }},
      {"rank 4", kValue, kNoOp, [=](P& p) { t(p).logical_rank = 4; }},
      {"rank 2 with a height", kValue, kNoOp, [=](P& p) { t(p).logical_rank = 2; }},
      {"unknown flag", kValue, kNoOp, [=](P& p) { t(p).flags |= 8; }},
      {"arena offset misaligned", kValue, kNoOp, [=](P& p) { t(p).arena_offset += 4; }},
      {"arena offset far out", kBounds, kNoOp, [=](P& p) { t(p).arena_offset = 0xFFFFFFF0u; }},
      {"no decimals", kValue, kNoOp, [=](P& p) { t(p).decimal_count = 0; }},
      {"two decimals of three", kValue, kNoOp, [=](P& p) { t(p).decimal_count = 2; }},
      {"decimals out", kBounds, kNoOp,
       [=](P& p) { t(p).decimals_offset = p.header().total_bytes - 2; }},
      {"named without a name", kValue, kNoOp, [=](P& p) { t(p).name_offset = 0; }},
      {"named with an empty name", kValue, kNoOp, [=](P& p) { p.at<char>(t(p).name_offset) = 0; }},
      {"name out", kBounds, kNoOp, [=](P& p) { t(p).name_offset = 0xFFFFFFFFu; }},
      {"name not UTF-8", kValue, kNoOp, [=](P& p) { p.at<std::uint8_t>(t(p).name_offset) = 0xFF; }},
      {"name an overlong form", kValue, kNoOp,
       [=](P& p) {
         p.at<std::uint8_t>(t(p).name_offset) = 0xC0;
         p.at<std::uint8_t>(t(p).name_offset + 1) = 0x80;
       }},
      {"name cut inside a character", kValue, kNoOp,
       [=](P& p) { p.at<std::uint8_t>(t(p).name_offset + 3) = 0xC3; }},
      {"input flag missing", kValue, kNoOp, [](P& p) { p.tensor(kTensorInput).flags = 0; }},
      {"input flag on another", kValue, kNoOp, [=](P& p) { t(p).flags |= INTRT_TENSOR_INPUT; }},
      {"output flag missing", kValue, kNoOp,
       [](P& p) { p.tensor(kTensorCodes).flags = INTRT_TENSOR_NAMED; }},
      {"output flag on another", kValue, kNoOp, [=](P& p) { t(p).flags |= INTRT_TENSOR_OUTPUT; }},
  });
}

TEST_CASE("a name without its NUL at the very end of the plan is refused") {
  EditablePlan plan(small_network());
  const std::uint32_t last = plan.header().total_bytes - 1;
  plan.at<char>(last) = 'x';
  plan.header().name_offset = last;
  CHECK(open_plan(plan.sealed()) == Opened{INTRT_ERROR_BOUNDS, kNoOp});
}

namespace {

// One requantize from `from` to `to` with a shift of 0.
std::vector<std::uint8_t> requantize_network(const TensorSpec& from, const TensorSpec& to,
                                             std::uint8_t post_kind, const std::string& name) {
  PlanBuilder b;
  b.input(from);
  b.output(to);
  intrt_requantize_params p{};
  if (post_kind == INTRT_POST_SHIFT) {
    p.post.kind = INTRT_POST_SHIFT;
    p.post.hi = 1;
    p.post.shifts_offset = b.array(std::vector<std::int8_t>{0});
    p.post.shift_count = 1;
  }
  b.op(k_requantize, 0, 1, p);
  return b.finish(name);
}

}  // namespace

TEST_CASE("names of several languages are accepted") {
  for (const char* name :
       {"\xC3\xA9t\xC3\xA9", "\xE7\xBD\x91\xE7\xBB\x9C", "\xF0\x9F\x94\x92", "a b/c.d",
        "\xED\x9F\xBF", "\xEE\x80\x80", "\xF4\x8F\xBF\xBF", "\xE0\xA0\x80", "\xF0\x90\x80\x80"}) {
    const AlignedBytes bytes(requantize_network({}, {}, INTRT_POST_SHIFT, name));
    intrt_plan plan;
    REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
    CHECK(std::string(intrt_network_name(&plan)) == name);
    CHECK(std::string(intrt_tensor_info(&plan, 0).name).empty());
  }
}

TEST_CASE(
    "names that are not UTF-8 are refused: overlong, surrogates, beyond U+10FFFF, cut, stray") {
  for (const char* name : {"\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF",
                           "\xED\xA0\x80", "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
                           "\xC3", "\xE7\xBD", "\xF0\x9F\x94", "\x80", "a\xBFz", "\xC3z", "\xFF"}) {
    CAPTURE(std::string(name).size());
    CHECK(open_plan(AlignedBytes(requantize_network({}, {}, INTRT_POST_SHIFT, name))) ==
          Opened{INTRT_ERROR_VALUE, kNoOp});
  }
}

TEST_CASE("requantize is refused for each dimension that differs, and for raw codes of more bits") {
  const TensorSpec from = {.channels = 2, .height = 3, .width = 4, .type = INTRT_INT32, .bits = 20};
  const auto opened = [&](const TensorSpec& to, std::uint8_t kind) {
    return open_plan(AlignedBytes(requantize_network(from, to, kind, "n")));
  };
  TensorSpec to = from;
  CHECK(opened(to, INTRT_POST_SHIFT) == Opened{INTRT_OK, kNoOp});
  CHECK(opened(to, INTRT_POST_NONE) == Opened{INTRT_OK, kNoOp});
  to.bits = 19;
  CHECK(opened(to, INTRT_POST_SHIFT) == Opened{INTRT_OK, kNoOp});
  CHECK(opened(to, INTRT_POST_NONE) == Opened{INTRT_ERROR_OVERFLOW, 0});
  for (std::uint32_t TensorSpec::*dimension :
       {&TensorSpec::channels, &TensorSpec::height, &TensorSpec::width}) {
    to = from;
    to.*dimension += 1;
    CHECK(opened(to, INTRT_POST_SHIFT) == Opened{INTRT_ERROR_SHAPE, 0});
  }
}

TEST_CASE("wrong op records are refused") {
  check_faults({
      {"record out", kBounds, kOpRelu,
       [](P& p) { p.op_offset(kOpRelu) = p.header().total_bytes - 16; }},
      {"record far out", kBounds, kOpRelu, [](P& p) { p.op_offset(kOpRelu) = 0xFFFFFFFCu; }},
      {"record misaligned", kBounds, kOpRelu, [](P& p) { p.op_offset(kOpRelu) += 2; }},
      {"operator 0", INTRT_ERROR_OPERATOR, kOpPool, [](P& p) { p.op(kOpPool).code = 0; }},
      {"operator 99", INTRT_ERROR_OPERATOR, kOpPool, [](P& p) { p.op(kOpPool).code = 99; }},
      {"record too short", kValue, kOpPool, [](P& p) { p.op(kOpPool).record_bytes -= 4; }},
      {"record too long", kValue, kOpPool, [](P& p) { p.op(kOpPool).record_bytes += 4; }},
      {"no input", kValue, kOpPool, [](P& p) { p.op(kOpPool).input_count = 0; }},
      {"two inputs", kValue, kOpPool, [](P& p) { p.op(kOpPool).input_count = 2; }},
      {"inputs out", kBounds, kOpPool, [](P& p) { p.op(kOpPool).inputs_offset = 0xFFFFFFFCu; }},
      {"inputs 0", kBounds, kOpPool, [](P& p) { p.op(kOpPool).inputs_offset = 0; }},
      {"inputs misaligned", kBounds, kOpPool, [](P& p) { p.op(kOpPool).inputs_offset += 2; }},
      {"input index", kBounds, kOpPool, [](P& p) { p.op_input(kOpPool, 0) = 7; }},
      {"output index", kBounds, kOpPool, [](P& p) { p.op(kOpPool).output = 7; }},
      {"name out", kBounds, kOpPool, [](P& p) { p.op(kOpPool).name_offset = 0xFFFFFFFFu; }},
  });
}

TEST_CASE("an op record whose parameters would lie behind the end is refused") {
  EditablePlan plan(extended(small_network(), sizeof(intrt_op_record)));
  const std::uint32_t at = plan.header().total_bytes - sizeof(intrt_op_record);
  plan.at<intrt_op_record>(at) = plan.op(kOpPool);
  plan.op_offset(kOpPool) = at;
  CHECK(open_plan(plan.sealed()) == Opened{INTRT_ERROR_BOUNDS, kOpPool});
}

TEST_CASE("an input or an output listed twice is refused") {
  for (const bool inputs : {true, false}) {
    EditablePlan plan(extended(small_network(), 8));
    const std::uint32_t at = plan.header().total_bytes - 8;
    (inputs ? plan.header().inputs_offset : plan.header().outputs_offset) = at;
    (inputs ? plan.header().input_count : plan.header().output_count) = 2;
    plan.at<std::uint32_t>(at) = plan.at<std::uint32_t>(at + 4) =
        inputs ? kTensorInput : kTensorCodes;
    CHECK(open_plan(plan.sealed()) == Opened{INTRT_ERROR_VALUE, kNoOp});
  }
}

TEST_CASE("wrong wiring is refused") {
  check_faults({
      {"a tensor read before it is written", kValue, kOpRelu,
       [](P& p) { p.op_input(kOpRelu, 0) = kTensorPool; }},
      {"an operator reads its own output", kValue, kOpPool,
       [](P& p) { p.op_input(kOpPool, 0) = kTensorPool; }},
      {"a tensor written twice", kValue, kOpQuantize,
       [](P& p) { p.op(kOpQuantize).output = kTensorAcc; }},
      {"one record used twice", kValue, kOpRelu,
       [](P& p) { p.op_offset(kOpRelu) = p.op_offset(kOpConv); }},
      {"an input written", kValue, kNoOp, [](P& p) { p.op(kOpRelu).output = kTensorInput; }},
      {"a tensor read after it was overwritten", kValue, kOpPool,
       [](P& p) { p.op_input(kOpPool, 0) = kTensorConv; }},
      {"conv2d in place", kValue, kOpConv, [](P& p) { p.tensor(kTensorConv).arena_offset = 0; }},
      {"requantize half in place", kValue, kOpRelu,
       [](P& p) { p.tensor(kTensorRelu).arena_offset = 80; }},
      {"requantize in place with another element size", kValue, kOpQuantize,
       [](P& p) { p.tensor(kTensorCodes).arena_offset = p.tensor(kTensorAcc).arena_offset; }},
      {"max_pool2d onto its input", kValue, kOpPool,
       [](P& p) { p.tensor(kTensorPool).arena_offset = 64; }},
      {"an output overwritten at the end", kValue, kNoOp,
       [](P& p) {
         p.output(0) =
             kTensorAcc;  // overwritten by `codes`, out of the way of the operator's own check
         p.tensor(kTensorAcc).flags = INTRT_TENSOR_OUTPUT;
         p.tensor(kTensorCodes).flags = INTRT_TENSOR_NAMED;
         p.tensor(kTensorCodes).type = INTRT_INT32;
         p.tensor(kTensorCodes).arena_offset = p.tensor(kTensorAcc).arena_offset;
       }},
  });
}

TEST_CASE("two inputs in one place are refused") {
  PlanBuilder b;
  b.input({.channels = 16});
  b.input({.channels = 8, .arena_offset = 0});
  b.output({.channels = 16});
  intrt_requantize_params p{};
  p.post = b.shift_post({0}, INTRT_ROUND_TOWARD_ZERO, 0, 1);
  b.op(k_requantize, 0, 2, p);
  CHECK(open_plan(AlignedBytes(b.finish())) == Opened{INTRT_ERROR_VALUE, kNoOp});
}

namespace {

// `count` operators in a row; each reads the tensor that `reads` names.
std::vector<std::uint8_t> long_network(std::uint32_t count,
                                       const std::function<std::uint32_t(std::uint32_t)>& reads) {
  PlanBuilder b;
  b.input({.channels = 4});
  intrt_requantize_params p{};
  p.post = b.shift_post({0}, INTRT_ROUND_TOWARD_ZERO, -128, 127);
  for (std::uint32_t op = 0; op < count; ++op) {
    const TensorSpec spec = {.channels = 4};
    b.op(k_requantize, reads(op), op + 1 == count ? b.output(spec) : b.tensor(spec), p);
  }
  return b.finish();
}

}  // namespace

TEST_CASE("networks of thousands of operators open, and a fault far behind is found") {
  EditablePlan plan(long_network(5000, [](std::uint32_t op) { return op; }));
  CHECK(open_plan(plan.bytes()) == Opened{INTRT_OK, kNoOp});
  plan.op(4500).output = 4000;
  CHECK(open_plan(plan.sealed()) == Opened{INTRT_ERROR_VALUE, 4500});
}

TEST_CASE("plans that would take long to check are refused soon") {
  const auto start = std::chrono::steady_clock::now();
  // Every operator reads the input, so that each search for its writer goes back to the start.
  const std::vector<std::uint8_t> deep = long_network(20000, [](std::uint32_t) { return 0u; });
  CHECK(open_plan(AlignedBytes(deep)).status == INTRT_ERROR_WORK);

  PlanBuilder shared;  // many operators, the same large weights
  shared.input({.channels = 20000});
  intrt_linear_params p{};
  p.weight_type = INTRT_INT8;
  p.weights_offset = shared.weights(std::vector<std::int64_t>(20000, 1), INTRT_INT8);
  for (std::uint32_t op = 0; op < 1000; ++op) {
    const TensorSpec spec = {.type = INTRT_INT32, .bits = 32};
    shared.op(k_linear, 0, op + 1 == 1000 ? shared.output(spec) : shared.tensor(spec), p);
  }
  CHECK(open_plan(AlignedBytes(shared.finish())).status == INTRT_ERROR_WORK);

  PlanBuilder names;  // many tensors, one long name
  names.input({.name = std::string(60000, 'n')});
  intrt_requantize_params copy{};
  copy.post = names.shift_post({0}, INTRT_ROUND_TOWARD_ZERO, 0, 1);
  for (std::uint32_t op = 0; op < 1000; ++op)
    names.op(k_requantize, op, op + 1 == 1000 ? names.output({}) : names.tensor({}), copy);
  EditablePlan renamed(names.finish());
  for (std::uint32_t t = 1; t <= 1000; ++t)
    renamed.tensor(t).name_offset = renamed.tensor(0).name_offset;
  CHECK(open_plan(renamed.sealed()).status == INTRT_ERROR_WORK);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(20));
}
