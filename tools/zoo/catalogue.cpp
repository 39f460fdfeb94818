#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "compile/support/error.h"
#include "tools/zoo/families.h"
#include "tools/zoo/zoo.h"

namespace lockstep::zoo {
namespace {

constexpr Network kNetworks[] = {
    {"lenet", "LeNet-5, digits", "LeCun et al. 1998", build_lenet},
    {"netpq", "NetPQ of QSPARSE's tutorial, batch norms unfolded", "QSPARSE, tutorial",
     build_netpq},
    {"resnet8", "MLPerf Tiny, image classification", "Banbury et al. 2021", build_resnet8},
    {"ds_cnn", "MLPerf Tiny, keyword spotting", "Zhang et al. 2017, Banbury et al. 2021",
     build_ds_cnn},
    {"mobilenet_v1_025", "MLPerf Tiny, visual wake words",
     "Howard et al. 2017, Banbury et al. 2021", build_mobilenet_v1_025},
    {"autoencoder", "MLPerf Tiny, anomaly detection", "Koizumi et al. 2020, Banbury et al. 2021",
     build_autoencoder},
    {"mobilenet_v2_cifar", "inverted residuals, 32x32", "Sandler et al. 2018, pytorch-cifar",
     build_mobilenet_v2_cifar},
    {"mobilenet_v2_224", "inverted residuals, 224x224", "Sandler et al. 2018, torchvision",
     build_mobilenet_v2_224},
    {"resnet18", "residuals, 224x224", "He et al. 2015, torchvision", build_resnet18},
    {"espcn_17x17", "super-resolution by 3, tanh", "Shi et al. 2016", build_espcn_17x17},
    {"espcn_48x64", "super-resolution by 3, tanh", "Shi et al. 2016", build_espcn_48x64},
    {"espcn_90x160", "super-resolution by 3, tanh", "Shi et al. 2016", build_espcn_90x160},
    {"dcgan_generator", "noise to image, transposed convolutions",
     "Radford et al. 2015, PyTorch's example", build_dcgan_generator},
    {"tcn", "dilated causal convolutions", "Bai et al. 2018", build_tcn},
    {"unet_small", "segmentation, transposed convolutions", "Ronneberger et al. 2015",
     build_unet_small},
    {"unet_small_upsample", "segmentation, nearest upsampling", "Ronneberger et al. 2015",
     build_unet_small_upsample},
};

}  // namespace

std::span<const Network> networks() { return kNetworks; }

const Network& find_network(std::string_view name) {
  const auto* const found = std::ranges::find(kNetworks, name, &Network::name);
  if (found != std::end(kNetworks)) return *found;
  std::vector<std::string_view> names;
  for (const Network& network : kNetworks) names.push_back(network.name);
  throw InputError(
      fmt::format("the zoo has no network '{}'; there are {}", name, fmt::join(names, ", ")));
}

}  // namespace lockstep::zoo
