#include "train/sparse_layers.h"

namespace lockstep::train {

void auto_name_prune_quantize_layers(torch::nn::Module& root) {
  for (const auto& item : root.named_modules(std::string(), false)) {
    if (auto* const quantizer = item.value()->as<QuantizeImpl>()) quantizer->set_label(item.key());
    if (auto* const pruner = item.value()->as<PruneImpl>()) pruner->set_label(item.key());
  }
}

}  // namespace lockstep::train
