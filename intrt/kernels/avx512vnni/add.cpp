// Weighted sums of two values of one shape. Each element is read before the one in its place is
// written, so the output may lie exactly on an input.
#include "intrt/kernels/avx512vnni/post.h"

namespace {

using namespace intrt;

bool takes(const OpToPrepare& op) {
  const intrt_tensor_record &a = op.input, &b = input_record(op.plan, op.record, 1);
  return a.type == INTRT_INT8 && b.type == INTRT_INT8 && same_shape(a, op.output) &&
         same_shape(b, op.output);
}

bool all_equal(const int32_t* values, uint32_t count) {
  for (uint32_t i = 1; i < count; ++i)
    if (values[i] != values[0]) return false;
  return true;
}

// A slice is 64 elements, or, where channels differ, a row.
constexpr size_t kSliceElements = 4 * kLanes;

bool is_flat(const intrt_plan& plan, const intrt_add_params& p, uint32_t channels) {
  const int32_t* multipliers = object_at<int32_t>(plan, p.multipliers_offset);
  return channels >= kLanes && channels_alike(p.post) && all_equal(multipliers, channels) &&
         all_equal(multipliers + channels, channels);
}

uint32_t slices(const OpToPrepare& op) {
  if (!is_flat(op.plan, params_of<intrt_add_params>(op.record), op.output.channels))
    return op.output.height;
  return static_cast<uint32_t>((element_count(op.output) + kSliceElements - 1) / kSliceElements);
}

// `places` times `count` channels from `first` on, `step` elements apart.
void add(const OpToRun& op, const PostLanes& post, const int32_t* multipliers, uint32_t first,
         uint32_t count, size_t start, size_t places, size_t step) {
  const int8_t* a = static_cast<const int8_t*>(op.input_data_at(0)) + start;
  const int8_t* b = static_cast<const int8_t*>(op.input_data_at(1)) + start;
  const __mmask16 lanes = first_lanes(count);
  const __m512i of_a = _mm512_maskz_loadu_epi32(lanes, multipliers + first);
  const __m512i of_b = _mm512_maskz_loadu_epi32(lanes, multipliers + op.output.channels + first);
  alignas(64) int32_t sums[kSumsAtOnce * kLanes];
  while (places > 0) {
    const size_t now = places < kSumsAtOnce ? places : kSumsAtOnce;
    for (size_t i = 0; i < now; ++i)
      _mm512_store_si512(
          sums + i * kLanes,
          _mm512_add_epi32(_mm512_mullo_epi32(load_codes(a + i * step, lanes), of_a),
                           _mm512_mullo_epi32(load_codes(b + i * step, lanes), of_b)));
    post.store(sums, now, start, step);
    a += now * step;
    b += now * step;
    start += now * step;
    places -= now;
  }
}

void run(const OpToRun& op) {
  const intrt_add_params& p = params_of<intrt_add_params>(op.record);
  const int32_t* multipliers = object_at<int32_t>(op.plan, p.multipliers_offset);
  const uint32_t channels = op.output.channels;
  if (is_flat(op.plan, p, channels)) {
    // Whatever channels they are, 16 elements at a time.
    const size_t elements = static_cast<size_t>(element_count(op.output));
    const size_t begin = op.slices.begin * kSliceElements, all = op.slices.end * kSliceElements;
    const size_t end = all < elements ? all : elements, whole = (end - begin) / kLanes;
    add(op, PostLanes(op, p.post, 0, kLanes), multipliers, 0, kLanes, begin, whole, kLanes);
    const uint32_t rest = static_cast<uint32_t>((end - begin) % kLanes);
    if (rest > 0) add(op, PostLanes(op, p.post, 0, rest), multipliers, 0, rest, end - rest, 1, 0);
    return;
  }
  const size_t begin = static_cast<size_t>(op.slices.begin) * op.output.width;
  const size_t end = static_cast<size_t>(op.slices.end) * op.output.width;
  for (uint32_t first = 0; first < channels; first += kLanes) {
    const uint32_t count = channels - first < kLanes ? channels - first : kLanes;
    add(op, PostLanes(op, p.post, first, count), multipliers, first, count,
        begin * channels + first, end - begin, channels);
  }
}

}  // namespace

const FastKernel intrt_avx512vnni_add = {takes, run, nullptr, nullptr, slices};
