// The recorded networks as the verifier sees them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/checkpoint/state_dict.h"
#include "tests/support/golden_net.h"
#include "verify/verify.h"

namespace lockstep::test {

inline const std::vector<std::string> kRecordedNetworks = {"bias12", "doc_single_conv",
                                                           "left_shift", "lenet_pt_bias20"};

struct Recorded {
  GoldenNet golden;
  Graph graph;
  StateDict state;
  Parameters parameters;
  verify::Batch batch;  // the recorded inputs
  std::int64_t samples = 0;

  std::span<const verify::Batch> data() const { return {&batch, 1}; }
};

// `variant_index`: which of the recorded input shapes.
inline Recorded read_recorded(const std::string& name, std::size_t variant_index = 0) {
  Recorded net;
  net.golden = read_golden_net(name);
  const GoldenVariant& variant = net.golden.variants.at(variant_index);
  net.graph = variant.graph;
  net.state = read_state_dict(net.golden.folder / "state_dict.safetensors");
  net.parameters = bind_parameters(net.graph, net.state);
  net.samples = variant.input.shape.at(0);
  verify::TensorCodes codes;
  codes.shape.assign(variant.input.shape.begin() + 1, variant.input.shape.end());
  codes.decimals = variant.input.decimals;
  codes.codes = variant.input.values;
  net.batch = {codes};
  return net;
}

}  // namespace lockstep::test
