// The autoencoder of MLPerf Tiny's anomaly detection (DCASE 2020 task 2): ten dense layers from
// five frames of 128 mel bands to themselves.
#include <fmt/format.h>

#include <array>

#include "tools/zoo/builder.h"
#include "tools/zoo/families.h"

namespace lockstep::zoo {

Graph build_autoencoder(const NetworkOptions& options) {
  constexpr std::array<std::int64_t, 9> kWidths = {128, 128, 128, 128, 8, 128, 128, 128, 128};
  Builder net("autoencoder", {640}, options);
  Value x = net.input();
  for (std::size_t i = 0; i < kWidths.size(); ++i) {
    x = net.weighted("linear", fmt::format("fc{}", i + 1), x, {{"out_features", kWidths[i]}});
    x = net.batch_norm(fmt::format("bn{}", i + 1), x);
    x = net.settle(net.add("relu", fmt::format("relu{}", i + 1), {x}));
  }
  return net.finish(net.classifier("fc10", x, 640));
}

}  // namespace lockstep::zoo
