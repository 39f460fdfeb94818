// Matrix times vector: a convolution of one pixel.
#include "intrt/kernels/avx512vnni/convolution.h"

namespace {

using namespace intrt;

bool takes(const OpToPrepare& op) {
  const Sizes s = sizes_of_linear(op.input, op.output);
  return band_size(s, s.channels).columns != 0;
}

size_t prepared_bytes(const OpToPrepare& op) {
  return dense_bytes(sizes_of_linear(op.input, op.output));
}

void prepare(const OpToPrepare& op, void* to) {
  const intrt_linear_params& p = params_of<intrt_linear_params>(op.record);
  prepare_dense(sizes_of_linear(op.input, op.output), object_at<int8_t>(op.plan, p.weights_offset),
                p.bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, p.bias_offset), to);
}

void run(const OpToRun& op) {
  run_dense(op, params_of<intrt_linear_params>(op.record).post,
            sizes_of_linear(op.input, op.output));
}

}  // namespace

const FastKernel intrt_avx512vnni_linear = {takes, run, prepared_bytes, prepare};
