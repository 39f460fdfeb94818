// Each way in which sparse weights and segments can be wrong, and where the limits of accumulators
// and of work lie for them.
#include "tests/intrt/faults.h"
#include "tests/intrt/stored_network.h"

namespace {

using namespace lockstep::testing;

intrt_conv2d_params& conv(P& p) { return p.params<intrt_conv2d_params>(kStoredSparseConv); }
intrt_conv2d_params& narrow(P& p) { return p.params<intrt_conv2d_params>(kStoredSegmentConv); }
intrt_linear_params& linear(P& p) { return p.params<intrt_linear_params>(kStoredSparse); }
intrt_linear_params& last(P& p) { return p.params<intrt_linear_params>(kStoredSegments); }

intrt_segment& segment(P& p, std::uint32_t offset, std::uint32_t s) {
  return p.at<intrt_segment>(offset + s * sizeof(intrt_segment));
}

// A linear operator with one input of 8 bits for each weight, all in one row.
Opened open_segments(const std::vector<std::int64_t>& weights,
                     const std::vector<intrt_segment>& segments, std::int32_t bias,
                     std::uint32_t type = INTRT_INT16) {
  PlanBuilder b;
  b.input({.channels = static_cast<std::uint32_t>(weights.size())});
  b.output({.type = INTRT_INT32, .bits = 32});
  intrt_linear_params p{};
  p.weight_type = type;
  p.weights_offset = b.weights(weights, type);
  p.bias_offset = b.array(std::vector<std::int32_t>{bias}, 16);
  p.segment_count = static_cast<std::uint32_t>(segments.size());
  p.segments_offset = b.array(segments);
  b.op(k_linear, 0, 1, p);
  return open_plan(AlignedBytes(b.finish()));
}

// A linear operator of 64 inputs and one output.
Opened open_sparse(std::uint64_t bits, const std::vector<std::int64_t>& values,
                   const std::vector<std::uint32_t>& starts, std::uint32_t type = INTRT_INT16) {
  PlanBuilder b;
  b.input({.channels = 64, .type = INTRT_INT16, .bits = 16});
  b.output({.type = INTRT_INT32, .bits = 32});
  intrt_linear_params p{};
  p.weight_type = type;
  p.weights_offset = b.weights(values, type);
  p.nonzero_offset = b.blob(&bits, sizeof bits, 1);
  p.starts_offset = b.array(starts);
  b.op(k_linear, 0, 1, p);
  return open_plan(AlignedBytes(b.finish()));
}

constexpr Opened kOk = {INTRT_OK, kNoOp}, kOverflow = {INTRT_ERROR_OVERFLOW, 0};

}  // namespace

TEST_CASE("the network with sparse weights and segments opens") {
  CHECK(open_plan(AlignedBytes(stored_network())) == kOk);
}

TEST_CASE("wrong sparse weights are refused") {
  check_faults(
      {
          {"starts without bits", kValue, kStoredSparseConv,
           [](P& p) { conv(p).nonzero_offset = 0; }},
          {"bits without starts", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).starts_offset = 0; }},
          {"bits out", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).nonzero_offset = p.header().total_bytes - 71; }},
          {"bits in the header", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).nonzero_offset = 4; }},
          {"starts out", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).starts_offset = p.header().total_bytes / 4 * 4 - 16; }},
          {"starts misaligned", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).starts_offset += 2; }},
          {"weights out", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).weights_offset = p.header().total_bytes / 16 * 16 - 16; }},
          {"weights misaligned", kBounds, kStoredSparseConv,
           [](P& p) { conv(p).weights_offset += 8; }},
          {"starts from 1", kValue, kStoredSparseConv,
           [](P& p) { p.at<std::uint32_t>(conv(p).starts_offset) = 1; }},
          {"a start too low", kValue, kStoredSparseConv,
           [](P& p) { --p.at<std::uint32_t>(conv(p).starts_offset + 8); }},
          {"a start too high", kValue, kStoredSparseConv,
           [](P& p) { ++p.at<std::uint32_t>(conv(p).starts_offset + 8); }},
          {"a start beyond everything", kValue, kStoredSparseConv,
           [](P& p) { p.at<std::uint32_t>(conv(p).starts_offset + 16) = UINT32_MAX; }},
          {"a bit too many", kValue, kStoredSparseConv,
           [](P& p) {
             std::uint8_t& bits = p.at<std::uint8_t>(conv(p).nonzero_offset);
             REQUIRE(bits != 0xFF);
             bits = static_cast<std::uint8_t>(bits | (bits + 1));
           }},
          {"a bit behind the last weight", kValue, kStoredSparseConv,
           [](P& p) { p.at<std::uint8_t>(conv(p).nonzero_offset + 1) |= 0x04; }},
          {"a bit behind the last weight of the last tap", kValue, kStoredSparseConv,
           [](P& p) { p.at<std::uint8_t>(conv(p).nonzero_offset + 71) |= 0x80; }},
          {"linear: starts from 1", kValue, kStoredSparse,
           [](P& p) { p.at<std::uint32_t>(linear(p).starts_offset) = 1; }},
          {"linear: a start too high", kValue, kStoredSparse,
           [](P& p) { ++p.at<std::uint32_t>(linear(p).starts_offset + 20); }},
          {"linear: bits out", kBounds, kStoredSparse,
           [](P& p) { linear(p).nonzero_offset = p.header().total_bytes - 59; }},
          {"linear: starts without bits", kValue, kStoredSparse,
           [](P& p) { linear(p).nonzero_offset = 0; }},
      },
      stored_network());
}

TEST_CASE("wrong segments are refused") {
  check_faults(
      {
          {"segments and sparse weights", kValue, kStoredSparseConv,
           [](P& p) {
             conv(p).segment_count = narrow(p).segment_count;
             conv(p).segments_offset = narrow(p).segments_offset;
           }},
          {"linear: segments and sparse weights", kValue, kStoredSparse,
           [](P& p) {
             linear(p).segment_count = last(p).segment_count;
             linear(p).segments_offset = last(p).segments_offset;
           }},
          {"offset without a count", kValue, kStoredSegmentConv,
           [](P& p) { narrow(p).segment_count = 0; }},
          {"count without an offset", kBounds, kStoredSegmentConv,
           [](P& p) { narrow(p).segments_offset = 0; }},
          {"segments out", kBounds, kStoredSegmentConv,
           [](P& p) { narrow(p).segments_offset = p.header().total_bytes / 4 * 4 - 12; }},
          {"segments misaligned", kBounds, kStoredSegmentConv,
           [](P& p) { narrow(p).segments_offset += 2; }},
          {"too many segments", kBounds, kStoredSegmentConv,
           [](P& p) { narrow(p).segment_count = UINT32_MAX; }},
          {"weights of 32 bits", kValue, kStoredSegmentConv,
           [](P& p) { narrow(p).weight_type = INTRT_INT32; }},
          {"the first segment is shifted", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 0).shift = 1; }},
          {"shift 31", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 1).shift = 31; }},
          {"shift -1", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 1).shift = UINT32_MAX; }},
          {"an empty segment", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 0).end = 0; }},
          {"ends that stand still", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 0).end = 4; }},
          {"ends that fall", kValue, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 0).end = 5; }},
          {"too few channels", kShape, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 1).end = 3; }},
          {"too many channels", kShape, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 1).end = 5; }},
          {"sums that overflow", INTRT_ERROR_OVERFLOW, kStoredSegmentConv,
           [](P& p) { segment(p, narrow(p).segments_offset, 1).shift = 28; }},
          {"linear: shift 31", kValue, kStoredSegments,
           [](P& p) { segment(p, last(p).segments_offset, 1).shift = 31; }},
          {"linear: too few channels", kShape, kStoredSegments,
           [](P& p) { segment(p, last(p).segments_offset, 1).end = 4; }},
      },
      stored_network());
}

TEST_CASE("the bound of sums with segments is exact and does not wrap") {
  // 2^7 * (1 * 2^23 + 2^22 + ...): codes have a magnitude of at most 2^7.
  CHECK(open_segments({1, 1}, {{1, 0}, {2, 23}}, 0) == kOk);
  CHECK(open_segments({1, 1}, {{1, 0}, {2, 24}}, 0) == kOverflow);
  CHECK(open_segments({-1, 32767, 32767}, {{1, 0}, {3, 23}}, 0) == kOk);
  // 2^30 + 2^30 - 2^7 + 127 = 2^31 - 1.
  CHECK(open_segments({1, 0}, {{1, 0}, {2, 23}}, INT32_MAX - (1 << 30)) == kOk);
  CHECK(open_segments({1, 0}, {{1, 0}, {2, 23}}, INT32_MAX - (1 << 30) + 1) == kOverflow);
  CHECK(open_segments({1, 1, 0}, {{1, 0}, {2, 12}, {3, 11}}, 0) == kOk);
  CHECK(open_segments({1, 1, 0}, {{1, 0}, {2, 12}, {3, 12}}, 0) == kOverflow);
  // Shifts of 90 in all: 2^90 is no number of 64 bits, and 0 stays 0.
  CHECK(open_segments({1, 0, 0, 0}, {{1, 0}, {2, 30}, {3, 30}, {4, 30}}, 0) == kOverflow);
  CHECK(open_segments({0, 0, 0, 1}, {{1, 0}, {2, 30}, {3, 30}, {4, 30}}, 0) == kOk);
  CHECK(open_segments({1, 1}, {{1, 0}, {2, 1}}, 0, INTRT_INT8) == kOk);
}

TEST_CASE("sparse weights count what is stored, and a plan may store none") {
  CHECK(open_sparse(0, {}, {0, 0}) == kOk);
  CHECK(open_sparse(std::uint64_t{1} << 63 | 1, {32767, 32767}, {0, 2}) == kOk);
  CHECK(open_sparse(7, {32767, 32767, 1}, {0, 3}) == kOk);
  CHECK(open_sparse(7, {32767, 32767, 2}, {0, 3}) == kOverflow);
  CHECK(open_sparse(7, {32767, -32768, 1}, {0, 3}) == kOverflow);
  CHECK(open_sparse(3, {0, 1}, {0, 2}) == kOk);  // a 0 may be stored, too
  CHECK(open_sparse(3, {1, 1}, {0, 2}, 0) == Opened{INTRT_ERROR_VALUE, 0});
}

TEST_CASE("sparse weights and segments that many operators share are paid for by each") {
  constexpr std::uint32_t kInputs = 40000, kCount = 300;
  const auto build = [&](std::uint32_t count, bool sparse) {
    PlanBuilder b;
    b.input({.channels = kInputs});
    intrt_linear_params p{};
    p.weight_type = INTRT_INT8;
    p.post = b.shift_post({0}, INTRT_ROUND_FLOOR, 0, 1);
    if (sparse) {
      p.weights_offset = b.weights({}, INTRT_INT8);
      p.nonzero_offset = b.array(std::vector<std::uint8_t>(kInputs / 8, 0));
      p.starts_offset = b.array(std::vector<std::uint32_t>{0, 0});
    } else {
      std::vector<intrt_segment> segments;
      for (std::uint32_t i = 1; i <= kInputs; ++i) segments.push_back({i, 0});
      p.weights_offset = b.weights(std::vector<std::int64_t>(kInputs, 0), INTRT_INT8);
      p.segment_count = kInputs;
      p.segments_offset = b.array(segments);
    }
    for (std::uint32_t i = 0; i < count; ++i) {
      b.output({});
      b.op(k_linear, 0, i + 1, p);
    }
    return open_plan(AlignedBytes(b.finish()));
  };
  for (const bool sparse : {true, false}) {
    CAPTURE(sparse);
    CHECK(build(2, sparse) == kOk);
    CHECK(build(kCount, sparse).status == INTRT_ERROR_WORK);
  }
}

TEST_CASE("a sparse window whose bits would wrap 64 bits is refused") {
  PlanBuilder b;
  b.input({.channels = 65536});
  b.output({.channels = 65536});
  intrt_conv2d_params p{};
  p.kernel_h = p.kernel_w = 65536;
  p.stride_h = p.stride_w = p.dilation_h = p.dilation_w = 1;
  p.pad_top = p.pad_left = 65535;
  p.groups = 1;
  p.weight_type = INTRT_INT16;
  p.weights_offset = b.weights({1, 2, 3}, INTRT_INT16);
  p.nonzero_offset = b.array(std::vector<std::uint8_t>(64, 0));
  p.starts_offset = b.array(std::vector<std::uint32_t>(64, 0));
  p.post = b.shift_post({0}, INTRT_ROUND_TOWARD_ZERO, 0, 1);
  b.op(k_conv2d, 0, 1, p);
  CHECK(open_plan(AlignedBytes(b.finish())) == Opened{INTRT_ERROR_BOUNDS, 0});
}
