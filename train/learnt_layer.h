// What quantize and prune layers have in common: state entries that are the int32 scalar -1 until
// the layer has seen data, and then have the dtypes and shapes that the data ask for.
#pragma once

#include <torch/nn/module.h>
#include <torch/serialize/input-archive.h>

#include <string>

namespace lockstep::train {

class LearntLayer : public torch::nn::Module {
 public:
  // For torch::load: LibTorch's own refuses to change a shape.
  void load(torch::serialize::InputArchive& archive) override {
    for (auto& entry : named_parameters(false)) {
      torch::Tensor loaded;
      archive.read(entry.key(), loaded);
      entry.value().set_data(loaded);
    }
  }

 protected:
  using torch::nn::Module::Module;

  torch::Tensor add_entry(const std::string& name) {
    return register_parameter(name, torch::full({}, -1, torch::kInt32), false);
  }
};

}  // namespace lockstep::train
