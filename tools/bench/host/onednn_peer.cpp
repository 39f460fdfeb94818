#include <omp.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <random>
#include <unordered_map>

#include "compile/support/error.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {
namespace {

using dnnl::memory;
using Type = memory::data_type;
using Tag = memory::format_tag;
using Descriptor = memory::desc;

struct Step {
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
};

memory::dims pair(std::int64_t a, std::int64_t b) { return {a, b}; }

class Chain {
 public:
  explicit Chain(const PeerNetwork& network)
      : network_(network), engine_(kCpu, 0), stream_(engine_) {
    values_.push_back(make(map(network.input, type(0), Tag::nhwc)));
    fill(values_[0]);
    for (std::size_t i = 0; i < network.layers.size(); ++i) {
      const PeerLayer& layer = network.layers[i];
      switch (layer.kind) {
        case PeerKind::kConvolution:
          convolution(i, layer);
          break;
        case PeerKind::kLinear:
          linear(i, layer);
          break;
        case PeerKind::kAdd:
          add(i, layer);
          break;
        case PeerKind::kMaxPool:
        case PeerKind::kAverage:
          pool(layer);
          break;
      }
    }
  }

  void run() {
    for (Step& step : steps_) step.primitive.execute(stream_, step.arguments);
    stream_.wait();
  }

 private:
  static constexpr dnnl::engine::kind kCpu = dnnl::engine::kind::cpu;

  Type type(std::size_t value) const { return network_.is_rectified(value) ? Type::u8 : Type::s8; }
  static Descriptor map(const PeerShape& shape, Type type, Tag tag) {
    return {{1, shape.channels, shape.height, shape.width}, type, tag};
  }
  memory make(const Descriptor& descriptor) const { return {descriptor, engine_}; }
  void fill(const memory& values) {
    auto* const bytes = static_cast<std::uint8_t*>(values.get_data_handle());
    for (std::size_t i = 0; i < values.get_desc().get_size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(random_());
  }
  // The value in the layout that a primitive wants.
  memory in_layout(const memory& value, const Descriptor& wanted) {
    if (value.get_desc() == wanted) return value;
    memory moved = make(wanted);
    steps_.push_back({dnnl::reorder(value, moved), {{DNNL_ARG_FROM, value}, {DNNL_ARG_TO, moved}}});
    return moved;
  }
  // The network's input and output are HWC; between, each primitive has what it likes.
  Tag tag(std::size_t value) const {
    return value == 0 || value == network_.layers.size() ? Tag::nhwc : Tag::any;
  }

  // Scales of the output channels, and the relu.
  static dnnl::primitive_attr attributes(const PeerLayer& layer) {
    dnnl::primitive_attr result;
    if (layer.kind == PeerKind::kConvolution || layer.kind == PeerKind::kLinear)
      result.set_output_scales(
          1 << 1, std::vector<float>(static_cast<std::size_t>(layer.out.channels),
                                     1 / (64 * std::sqrt(static_cast<float>(layer.taps())))));
    if (layer.relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      result.set_post_ops(after);
    }
    return result;
  }

  memory drawn_weights(const memory::dims& shape, Tag plain, const Descriptor& wanted) {
    memory drawn = make({shape, Type::s8, plain}), weights = make(wanted);
    fill(drawn);
    dnnl::reorder(drawn, weights).execute(stream_, drawn, weights);
    stream_.wait();
    return weights;
  }
  memory zero_bias(const Descriptor& wanted) const {
    memory bias = make(wanted);
    std::memset(bias.get_data_handle(), 0, wanted.get_size());
    return bias;
  }

  void convolution(std::size_t i, const PeerLayer& layer) {
    const std::int64_t groups = layer.groups, outputs = layer.out.channels;
    const std::int64_t kh = layer.kernel_h, kw = layer.kernel_w;
    const memory::dims plain = {outputs, layer.in.channels, kh, kw};
    const memory::dims grouped = {groups, outputs / groups, layer.in.channels / groups, kh, kw};
    const memory::dims& shape = groups == 1 ? plain : grouped;
    const std::size_t from = layer.inputs[0];
    const dnnl::convolution_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct,
         map(layer.in, type(from), tag(from)), Descriptor(shape, Type::s8, Tag::any),
         Descriptor({outputs}, Type::s32, Tag::x), map(layer.out, type(i + 1), tag(i + 1)),
         pair(layer.stride_h, layer.stride_w), pair(layer.top, layer.left),
         pair(layer.bottom, layer.right)},
        attributes(layer), engine_);
    finish(dnnl::convolution_forward(chosen), in_layout(values_[from], chosen.src_desc()),
           drawn_weights(shape, groups == 1 ? Tag::oihw : Tag::goihw, chosen.weights_desc()),
           zero_bias(chosen.bias_desc()), chosen.dst_desc());
  }

  void linear(std::size_t i, const PeerLayer& layer) {
    const std::size_t from = layer.inputs[0];
    const std::int64_t outputs = layer.out.channels;
    const memory::dims shape = {outputs, layer.in.channels, layer.in.height, layer.in.width};
    const dnnl::inner_product_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference, map(layer.in, type(from), tag(from)),
         Descriptor(shape, Type::s8, Tag::any), Descriptor({outputs}, Type::s32, Tag::x),
         Descriptor({1, outputs}, type(i + 1), Tag::nc)},
        attributes(layer), engine_);
    finish(dnnl::inner_product_forward(chosen), in_layout(values_[from], chosen.src_desc()),
           drawn_weights(shape, Tag::oihw, chosen.weights_desc()), zero_bias(chosen.bias_desc()),
           chosen.dst_desc());
    // The next layer sees a feature map of one pixel in the same memory.
    vectors_.push_back(values_.back());
    values_.back() =
        memory(map(layer.out, type(i + 1), Tag::nhwc), engine_, vectors_.back().get_data_handle());
  }

  void finish(const dnnl::primitive& primitive, const memory& input, const memory& weights,
              const memory& bias, const Descriptor& output) {
    values_.push_back(make(output));
    steps_.push_back({primitive,
                      {{DNNL_ARG_SRC, input},
                       {DNNL_ARG_WEIGHTS, weights},
                       {DNNL_ARG_BIAS, bias},
                       {DNNL_ARG_DST, values_.back()}}});
  }

  memory in_hwc(std::size_t value) {
    return in_layout(values_[value], map(network_.shape(value), type(value), Tag::nhwc));
  }

  void add(std::size_t i, const PeerLayer& layer) {
    const memory a = in_hwc(layer.inputs[0]), b = in_hwc(layer.inputs[1]);
    const dnnl::binary::primitive_desc chosen(
        {dnnl::algorithm::binary_add, a.get_desc(), b.get_desc(),
         map(layer.out, type(i + 1), Tag::nhwc)},
        attributes(layer), engine_);
    values_.push_back(make(chosen.dst_desc()));
    steps_.push_back({dnnl::binary(chosen),
                      {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}, {DNNL_ARG_DST, values_.back()}}});
  }

  void pool(const PeerLayer& layer) {
    const bool is_max = layer.kind == PeerKind::kMaxPool;
    const memory input = in_hwc(layer.inputs[0]);
    const memory::dims window =
        is_max ? pair(layer.kernel_h, layer.kernel_w) : pair(layer.in.height, layer.in.width);
    const dnnl::pooling_forward::primitive_desc chosen(
        {dnnl::prop_kind::forward_inference,
         is_max ? dnnl::algorithm::pooling_max : dnnl::algorithm::pooling_avg_exclude_padding,
         input.get_desc(), map(layer.out, type(layer.inputs[0]), Tag::nhwc),
         pair(layer.stride_h, layer.stride_w), window, pair(layer.top, layer.left),
         pair(layer.bottom, layer.right)},
        engine_);
    values_.push_back(make(chosen.dst_desc()));
    steps_.push_back(
        {dnnl::pooling_forward(chosen), {{DNNL_ARG_SRC, input}, {DNNL_ARG_DST, values_.back()}}});
  }

  PeerNetwork network_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  std::mt19937 random_{1};
  std::vector<memory> values_, vectors_;
  std::vector<Step> steps_;
};

}  // namespace

PeerRun onednn_peer(const PeerNetwork& network) {
  omp_set_num_threads(1);
  try {
    const auto chain = std::make_shared<Chain>(network);
    return [chain] { chain->run(); };
  } catch (const dnnl::error& error) {
    throw InputError(std::string("oneDNN: ") + error.what());
  }
}

std::string onednn_version() {
  const dnnl_version_t* const version = dnnl_version();
  return std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
         std::to_string(version->patch);
}

}  // namespace lockstep::bench
