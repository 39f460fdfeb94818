// ONNX models of a peer's network. The file format is protobuf; the few messages that are needed
// are written here, so that there is no library to depend on.
#pragma once

#include <string>

#include "tools/bench/host/peer_network.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {

struct OnnxModel {
  std::string bytes, input, output;                    // of the file; names of the two tensors
  bool input_is_flat = false, output_is_flat = false;  // [1, elements], else [1, C, H, W]
};

// With kU8S8 input and output are uint8, and every value is between a QuantizeLinear and a
// DequantizeLinear, the form that onnxruntime fuses to integer kernels; with kFloat32 all is
// float32. Weights are drawn.
OnnxModel onnx_model(const PeerNetwork& network, OnnxNumbers numbers);

}  // namespace lockstep::bench
