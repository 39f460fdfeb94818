// Where a network computes.
#pragma once

#include <c10/core/Device.h>

#include <string>

namespace lockstep::train {

// "cpu", "cuda" or "cuda:N". InputError for another name, and for a GPU that this LibTorch or this
// machine does not have. A GPU is set to compute repeatably, where
// its libraries can, and with full float32 products.
torch::Device open_device(const std::string& name);

}  // namespace lockstep::train
