// A graph and its state dict as numbers: what the checker proves a plan against. The checker is a
// second verifier, small and on its own: it shares no code with the rest of Lockstep, not even the
// readers of files, so that a mistake has to be made twice to go unseen.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::checker {

using Int = std::int64_t;
constexpr std::size_t at(Int index) { return static_cast<std::size_t>(index); }

// A file that cannot be used: what() names it, the place and the reason.
struct BadFile : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class Rounding : std::uint8_t { kTowardZero, kFloor, kHalfEven };
// The integer that a number is rounded to; nearbyint() rounds half to even, as long as nobody
// changes the mode.
inline double rounded(double x, Rounding rounding) {
  if (rounding == Rounding::kHalfEven) return std::nearbyint(x);
  return rounding == Rounding::kFloor ? std::floor(x) : std::trunc(x);
}

// One decimal, or one per index of dimension `axis` of the tensor (without batch; of a weight, of
// PyTorch's weight shape). All within -64 .. 64.
struct Decimals {
  std::vector<int> values;
  std::size_t axis = 0;
};

// A pruning mask as stored; 1 keeps. Without batch for a prune node.
struct Mask {
  std::vector<Int> shape;
  std::vector<std::uint8_t> keep;
  bool strict = true;
};

struct Weights {
  std::vector<Int> shape;  // PyTorch's layout
  std::vector<Int> codes;  // row-major: clamp(round(w * 2^decimal)), 0 where the mask is 0
  Decimals decimals;       // axis of PyTorch's layout
};

struct Bias {  // of a linear operator: codes, or float32 numbers
  std::vector<Int> codes;
  std::vector<int> decimals;  // one per output channel, with codes
  std::vector<float> floats;
};

struct RawBytes {  // one entry, or one per channel
  std::vector<double> scale;
  std::vector<float> mean, std;
};

struct Input {
  std::string name;
  std::vector<Int> shape;  // without batch
  int bits = 8, decimal = 7;
  std::optional<RawBytes> raw;
};

// One node, with every attribute of its operator, defaults filled in. Attributes of spatial axes
// (kernel_size, stride, padding, dilation, output_padding, output_size, scale_factor) have two
// entries, height and width; those of an operator with one axis have height 1 (padding and
// output_padding 0). `padding` of pad: left, right, top, bottom. Flags are 0 or 1.
struct Node {
  std::string name, op;
  std::vector<std::size_t> inputs;  // values: the graph's inputs first, then its nodes, in order
  std::map<std::string, std::vector<Int>, std::less<>> integers;
  std::map<std::string, double, std::less<>> numbers;
  std::map<std::string, std::string, std::less<>> words;

  std::optional<Weights> weights;  // of convolutions and linear
  std::optional<Bias> bias;
  std::vector<float> scale, offset;  // of a batch norm: fl(fl(x * scale) + offset), per channel
  std::optional<Decimals> quantize;  // of a quantize node
  int bits = 0;
  Rounding rounding = Rounding::kTowardZero;
  std::optional<Mask> mask;  // of a prune node
  std::vector<Node> wraps;   // what training does to the weight: at most one quantize, one prune

  Int integer(std::string_view attribute) const { return integers.find(attribute)->second.at(0); }
  const std::vector<Int>& list(std::string_view attribute) const {
    return integers.find(attribute)->second;
  }
};

struct Model {
  std::string name;
  std::vector<Input> inputs;
  std::vector<Node> nodes;           // in execution order
  std::vector<std::size_t> outputs;  // values

  std::size_t value_count() const { return inputs.size() + nodes.size(); }
  const Node& node(std::size_t value) const { return nodes[value - inputs.size()]; }
  const std::string& value_name(std::size_t value) const {
    return value < inputs.size() ? inputs[value].name : node(value).name;
  }
};

// Reads both files, the state dict by its content as .pt or .safetensors. BadFile for whatever is
// not exactly as docs/formats.md says: unknown or missing fields, keys, attributes, values out of
// range, a weight without quantization, numbers that are not finite, files that go on behind their
// end. Never crashes, and needs no more memory than a small multiple of the files.
Model read_model(const std::filesystem::path& graph, const std::filesystem::path& state);

}  // namespace lockstep::checker
