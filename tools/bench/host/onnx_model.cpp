#include "tools/bench/host/onnx_model.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <span>
#include <string_view>

namespace lockstep::bench {
namespace {

// ---- protobuf: a message is a row of fields, each with its number ----

class Message {
 public:
  Message& number(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view bytes) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(bytes.size());
    bytes_ += bytes;
    return *this;
  }
  Message& message(int field, const Message& inner) { return text(field, inner.bytes_); }

  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// Numbers of onnx.proto3.
constexpr int kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7;  // TensorProto.DataType
constexpr int kAttributeInt = 2, kAttributeInts = 7;                      // AttributeProto.Type
constexpr int kIrVersion = 8, kOpset = 13;

Message attribute(std::string_view name, std::int64_t value) {
  return Message().text(1, name).number(3, value).number(20, kAttributeInt);
}
Message attribute(std::string_view name, std::initializer_list<std::int64_t> values) {
  Message result;
  result.text(1, name);
  for (const std::int64_t value : values) result.number(8, value);
  return result.number(20, kAttributeInts);
}

template <typename T>
std::string_view raw(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

// ---- the model ----

// A value, by its ONNX names: "t" in float, "t_q" in codes.
struct Value {
  std::string name;
  bool is_flat = false;         // [1, elements]
  bool is_dequantized = false;  // "t" exists
};

class Writer {
 public:
  Writer(const PeerNetwork& network, OnnxNumbers numbers)
      : network_(network), codes_(numbers == OnnxNumbers::kU8S8) {}

  OnnxModel write() {
    values_.resize(network_.layers.size() + 1);
    values_[0] = {.name = "x", .is_flat = network_.is_vector, .is_dequantized = !codes_};
    grid("x", network_.is_rectified(0));
    OnnxModel model{.bytes = {}, .input = codes_ ? "x_q" : "x", .output = {}};
    graph_.message(11, value_info(model.input, values_[0], network_.input));
    for (std::size_t i = 0; i < network_.layers.size(); ++i) layer(i);
    graph_.text(2, "peer");
    const Value& last = values_.back();
    model.output = last.name + (codes_ ? "_q" : "");
    model.input_is_flat = values_[0].is_flat;
    model.output_is_flat = last.is_flat;
    graph_.message(12, value_info(model.output, last, network_.shape(network_.layers.size())));
    model.bytes = Message()
                      .number(1, kIrVersion)
                      .message(7, graph_)
                      .message(8, Message().text(1, "").number(2, kOpset))
                      .bytes();
    return model;
  }

 private:
  Message value_info(const std::string& name, const Value& value, const PeerShape& shape) const {
    Message dimensions;
    const auto add = [&](std::int64_t size) { dimensions.message(1, Message().number(1, size)); };
    add(1);
    if (value.is_flat) {
      add(shape.elements());
    } else {
      add(shape.channels), add(shape.height), add(shape.width);
    }
    const Message tensor = Message().number(1, codes_ ? kUint8 : kFloat).message(2, dimensions);
    return Message().text(1, name).message(2, Message().message(1, tensor));
  }

  template <typename T>
  void constant(const std::string& name, int type, const std::vector<std::int64_t>& shape,
                const std::vector<T>& values) {
    Message tensor;
    for (const std::int64_t size : shape) tensor.number(1, size);
    graph_.message(5,
                   tensor.number(2, type).text(8, name).text(9, raw(std::span<const T>(values))));
  }

  void node(std::string_view op, const std::vector<std::string>& inputs, const std::string& output,
            const std::vector<Message>& attributes = {}) {
    Message result;
    for (const std::string& input : inputs) result.text(1, input);
    result.text(2, output).text(4, op);
    for (const Message& one : attributes) result.message(5, one);
    graph_.message(1, result);
  }

  // Scale and zero of a value's codes.
  void grid(const std::string& name, bool is_rectified) {
    if (!codes_) return;
    constant<float>(name + "_scale", kFloat, {}, {kScale});
    constant<std::uint8_t>(name + "_zero", kUint8, {},
                           {is_rectified ? std::uint8_t{0} : std::uint8_t{128}});
  }
  void quantize(const std::string& from, const std::string& name, bool is_rectified) {
    grid(name, is_rectified);
    node("QuantizeLinear", {from, name + "_scale", name + "_zero"}, name + "_q");
  }
  void dequantize(Value& value) {
    if (value.is_dequantized) return;
    const std::string& name = value.name;
    node("DequantizeLinear", {name + "_q", name + "_scale", name + "_zero"}, name);
    value.is_dequantized = true;
  }

  // Weight and bias, by name, as the layer reads them.
  std::vector<std::string> weights(const std::string& name, const PeerLayer& layer) {
    const std::int64_t outputs = layer.out.channels;
    std::vector<std::int64_t> shape = {outputs, layer.taps()};
    if (layer.kind == PeerKind::kConvolution)
      shape = {outputs, layer.in.channels / layer.groups, layer.kernel_h, layer.kernel_w};
    const auto count = static_cast<std::size_t>(outputs * layer.taps());
    const auto channels = static_cast<std::size_t>(outputs);
    // Keeps activations within their codes, more or less.
    const float scale = 1.0F / (128 * std::sqrt(static_cast<float>(layer.taps())));
    std::vector<std::int8_t> codes(count);
    for (std::int8_t& code : codes) code = static_cast<std::int8_t>(random_() % 255 - 127);
    if (!codes_) {
      std::vector<float> floats(codes.begin(), codes.end());
      for (float& value : floats) value *= scale;
      constant<float>(name + "_w", kFloat, shape, floats);
      constant<float>(name + "_b", kFloat, {outputs}, std::vector<float>(channels, 0.25F));
      return {name + "_w", name + "_b"};
    }
    constant<std::int8_t>(name + "_wq", kInt8, shape, codes);
    constant<float>(name + "_ws", kFloat, {outputs}, std::vector<float>(channels, scale));
    constant<std::int8_t>(name + "_wz", kInt8, {outputs}, std::vector<std::int8_t>(channels, 0));
    constant<std::int32_t>(name + "_bq", kInt32, {outputs},
                           std::vector<std::int32_t>(channels, 100));
    constant<float>(name + "_bs", kFloat, {outputs}, std::vector<float>(channels, scale * kScale));
    constant<std::int32_t>(name + "_bz", kInt32, {outputs}, std::vector<std::int32_t>(channels, 0));
    node("DequantizeLinear", {name + "_wq", name + "_ws", name + "_wz"}, name + "_w",
         {attribute("axis", 0)});
    node("DequantizeLinear", {name + "_bq", name + "_bs", name + "_bz"}, name + "_b",
         {attribute("axis", 0)});
    return {name + "_w", name + "_b"};
  }

  // [1, C, 1, 1] or [1, C, H, W] becomes [1, elements], in codes again where there are codes.
  std::string flattened(std::size_t input) {
    Value& value = values_[input];
    dequantize(value);
    if (value.is_flat) return value.name;
    const std::string name = value.name + "_flat";
    constant<std::int64_t>(name + "_shape", kInt64, {2}, {1, network_.shape(input).elements()});
    if (!codes_) {
      node("Reshape", {value.name, name + "_shape"}, name);
      return name;
    }
    node("Reshape", {value.name, name + "_shape"}, name + "_float");
    quantize(name + "_float", name, network_.is_rectified(input));
    Value flat{.name = name, .is_flat = true};
    dequantize(flat);
    return name;
  }

  void layer(std::size_t index) {
    const PeerLayer& layer = network_.layers[index];
    const std::string name = fmt::format("t{}", index + 1);
    Value& input = values_[layer.inputs[0]];
    Value result{.name = name, .is_dequantized = !codes_};
    const bool ends_here = !codes_ && !layer.relu;
    const std::string raw_name = ends_here ? name : name + "_raw";
    dequantize(input);
    const std::vector<Message> window = {
        attribute("kernel_shape", {layer.kernel_h, layer.kernel_w}),
        attribute("strides", {layer.stride_h, layer.stride_w}),
        attribute("pads", {layer.top, layer.left, layer.bottom, layer.right})};
    switch (layer.kind) {
      case PeerKind::kConvolution: {
        std::vector<Message> attributes = window;
        attributes.push_back(attribute("group", layer.groups));
        const std::vector<std::string> constants = weights(name, layer);
        node("Conv", {input.name, constants[0], constants[1]}, raw_name, attributes);
        break;
      }
      case PeerKind::kLinear: {
        const std::string flat = flattened(layer.inputs[0]);
        const std::vector<std::string> constants = weights(name, layer);
        node("Gemm", {flat, constants[0], constants[1]}, raw_name, {attribute("transB", 1)});
        result.is_flat = true;
        break;
      }
      case PeerKind::kAdd:
        dequantize(values_[layer.inputs[1]]);
        node("Add", {input.name, values_[layer.inputs[1]].name}, raw_name);
        break;
      case PeerKind::kMaxPool:
        node("MaxPool", {input.name}, raw_name, window);
        break;
      case PeerKind::kAverage:
        node("GlobalAveragePool", {input.name}, raw_name);
        break;
    }
    std::string last = raw_name;
    if (layer.relu) {
      last = codes_ ? name + "_relu" : name;
      node("Relu", {raw_name}, last);
    }
    if (codes_) quantize(last, name, network_.is_rectified(index + 1));
    values_[index + 1] = result;
  }

  static constexpr float kScale = 1.0F / 32;

  const PeerNetwork& network_;
  bool codes_;
  Message graph_;
  std::vector<Value> values_;
  std::mt19937 random_{1};
};

static_assert(std::endian::native == std::endian::little, "raw tensors are little endian");

}  // namespace

OnnxModel onnx_model(const PeerNetwork& network, OnnxNumbers numbers) {
  return Writer(network, numbers).write();
}

}  // namespace lockstep::bench
