#include <xnnpack.h>

#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "compile/support/error.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {
namespace {

void require(xnn_status status) {
  if (status != xnn_status_success)
    throw InputError("XNNPACK: status " + std::to_string(static_cast<int>(status)));
}

std::uint32_t small(std::int64_t size) { return static_cast<std::uint32_t>(size); }
std::size_t size(std::int64_t size) { return static_cast<std::size_t>(size); }

class Chain {
 public:
  explicit Chain(const PeerNetwork& network) {
    require(xnn_initialize(nullptr));
    values_.resize(network.layers.size() + 1);
    for (std::size_t i = 0; i < values_.size(); ++i)
      values_[i] = drawn(size(network.shape(i).elements()) + XNN_EXTRA_BYTES);
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
      operators_.push_back(nullptr);
      make(network, i);
    }
  }
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;
  ~Chain() {
    for (xnn_operator_t one : operators_) xnn_delete_operator(one);
  }

  void run() const {
    for (xnn_operator_t one : operators_) require(xnn_run_operator(one, nullptr));
  }

 private:
  std::vector<std::int8_t> drawn(std::size_t count) {
    std::vector<std::int8_t> values(count);
    for (std::int8_t& value : values) value = static_cast<std::int8_t>(random_());
    return values;
  }

  void make(const PeerNetwork& network, std::size_t i) {
    constexpr float kScale = 1.0F / 32;
    constexpr std::int8_t kMost = std::numeric_limits<std::int8_t>::max();
    const PeerLayer& layer = network.layers[i];
    const std::int8_t least = layer.relu ? std::int8_t{0} : std::numeric_limits<std::int8_t>::min();
    const std::int8_t* const input = values_[layer.inputs[0]].data();
    std::int8_t* const output = values_[i + 1].data();
    const std::size_t in = size(layer.in.channels), out = size(layer.out.channels);
    const float weight_scale = 1 / (64 * std::sqrt(static_cast<float>(layer.taps())));
    const std::size_t height = size(layer.in.height), width = size(layer.in.width);
    xnn_operator_t& op = operators_.back();
    switch (layer.kind) {
      case PeerKind::kConvolution: {
        const std::vector<float> scales(out, weight_scale);
        const std::vector<std::int32_t> bias(out, 100);
        const std::size_t groups = size(layer.groups);
        require(xnn_create_convolution2d_nhwc_qc8(
            small(layer.top), small(layer.right), small(layer.bottom), small(layer.left),
            small(layer.kernel_h), small(layer.kernel_w), small(layer.stride_h),
            small(layer.stride_w), 1, 1, small(layer.groups), in / groups, out / groups, in, out, 0,
            kScale, scales.data(), drawn(out * size(layer.taps())).data(), bias.data(), 0, kScale,
            least, kMost, 0, &op));
        require(xnn_setup_convolution2d_nhwc_qc8(op, 1, height, width, input, output, nullptr));
        break;
      }
      case PeerKind::kLinear: {
        const std::vector<std::int32_t> bias(out, 100);
        const std::size_t inputs = size(layer.taps());
        require(xnn_create_fully_connected_nc_qs8(inputs, out, inputs, out, 0, kScale, weight_scale,
                                                  drawn(inputs * out).data(), bias.data(), 0,
                                                  kScale, least, kMost, 0, &op));
        require(xnn_setup_fully_connected_nc_qs8(op, 1, input, output, nullptr));
        break;
      }
      case PeerKind::kAdd: {
        const std::array<std::size_t, 3> shape = {height, width, in};
        require(xnn_create_add_nd_qs8(0, kScale, 0, kScale, 0, kScale, least, kMost, 0, &op));
        require(xnn_setup_add_nd_qs8(op, shape.size(), shape.data(), shape.size(), shape.data(),
                                     input, values_[layer.inputs[1]].data(), output, nullptr));
        break;
      }
      case PeerKind::kMaxPool:
        require(xnn_create_max_pooling2d_nhwc_s8(
            small(layer.top), small(layer.right), small(layer.bottom), small(layer.left),
            small(layer.kernel_h), small(layer.kernel_w), small(layer.stride_h),
            small(layer.stride_w), 1, 1, in, in, in, least, kMost, 0, &op));
        require(xnn_setup_max_pooling2d_nhwc_s8(op, 1, height, width, input, output, nullptr));
        break;
      case PeerKind::kAverage:
        require(xnn_create_global_average_pooling_nwc_qs8(in, in, in, 0, kScale, 0, kScale, least,
                                                          kMost, 0, &op));
        require(xnn_setup_global_average_pooling_nwc_qs8(op, 1, height * width, input, output,
                                                         nullptr));
        break;
    }
  }

  std::mt19937 random_{1};
  std::vector<std::vector<std::int8_t>> values_;
  std::vector<xnn_operator_t> operators_;
};

}  // namespace

PeerRun xnnpack_peer(const PeerNetwork& network) {
  const auto chain = std::make_shared<Chain>(network);
  return [chain] { chain->run(); };
}

std::string xnnpack_version() { return "as installed"; }

}  // namespace lockstep::bench
