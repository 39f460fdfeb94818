// The builders of all networks, one file per family; catalogue.cpp lists them.
#pragma once

#include "compile/graph/graph.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {

Graph build_lenet(const NetworkOptions& options);
Graph build_netpq(const NetworkOptions& options);
Graph build_resnet8(const NetworkOptions& options);
Graph build_ds_cnn(const NetworkOptions& options);
Graph build_mobilenet_v1_025(const NetworkOptions& options);
Graph build_autoencoder(const NetworkOptions& options);
Graph build_mobilenet_v2_cifar(const NetworkOptions& options);
Graph build_mobilenet_v2_224(const NetworkOptions& options);
Graph build_resnet18(const NetworkOptions& options);
Graph build_espcn_17x17(const NetworkOptions& options);
Graph build_espcn_48x64(const NetworkOptions& options);
Graph build_espcn_90x160(const NetworkOptions& options);
Graph build_dcgan_generator(const NetworkOptions& options);
Graph build_tcn(const NetworkOptions& options);
Graph build_unet_small(const NetworkOptions& options);
Graph build_unet_small_upsample(const NetworkOptions& options);

}  // namespace lockstep::zoo
