// Other engines, each behind one function that makes a network ready to run: one thread, batch 1,
// 8-bit codes where nothing else is said. Which of them are built in is decided by CMake; asking
// one that is not throws InputError.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "tools/bench/host/peer_network.h"

namespace lockstep::bench {

// One inference; the input stays the same.
using PeerRun = std::function<void()>;

// oneDNN's primitives called one after the other, without a framework: stronger than any product
// that is built on it. Activations unsigned behind a relu, signed elsewhere; scales for each
// channel.
PeerRun onednn_peer(const PeerNetwork& network);
std::string onednn_version();  // empty: not built in

// XNNPACK's operators, signed activations, scales for each output channel of a convolution.
PeerRun xnnpack_peer(const PeerNetwork& network);
std::string xnnpack_version();  // empty: not built in

// onnxruntime's CPU provider on an ONNX model that is made from the network.
enum class OnnxNumbers : std::uint8_t { kU8S8, kFloat32 };
class OnnxRuntime {
 public:
  // `folder` holds libonnxruntime.so (or .so.1), or a tree that has it in a folder for this
  // machine, as the npm package onnxruntime-node does. InputError where there is none.
  explicit OnnxRuntime(const std::filesystem::path& folder);

  PeerRun peer(const PeerNetwork& network, OnnxNumbers numbers) const;
  const std::string& version() const { return version_; }

 private:
  const void* const* api_ = nullptr;
  void* environment_ = nullptr;
  std::string version_;
};

}  // namespace lockstep::bench
