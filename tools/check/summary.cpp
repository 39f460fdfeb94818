#include "tools/check/summary.h"

#include <fmt/format.h>

#include <cmath>

namespace lockstep::cli {

using namespace checker;

namespace {

std::string derived(const Proof& proof) {
  // The largest of some bounds, and where it is.
  struct Largest {
    Int bound = 0;
    std::string layer;
    void include(Int other, const std::string& where) {
      if (other > bound) *this = {other, where};
    }
    std::string text(const char* what, int bits) const {
      if (layer.empty()) return "";
      return fmt::format("  {:<36}{:.2f} bits below 2^{}, layer '{}'\n", what,
                         bits - std::log2(static_cast<double>(bound)), bits, layer);
    }
  };
  Int exact = 0, wider = 0;
  Largest float_sum, sum;
  for (const LayerFacts& layer : proof.layers)
    for (const ChannelFacts& facts : layer.channels) {
      if (facts.float_bound >= 0)
        (facts.is_float32_exact ? exact : wider) += facts.last - facts.first + 1;
      if (facts.is_float32_exact) float_sum.include(facts.float_bound, layer.layer);
      if (facts.accumulator_bits == 32) sum.include(facts.bound, layer.layer);
    }
  std::string text =
      fmt::format("  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n  {:<36}{}\n", "layers", proof.layers.size(),
                  "weights derived again", proof.weights_checked, "channels against float32", exact,
                  "channels against double", wider);
  text += float_sum.text("smallest headroom of a float32 sum", 24) +
          sum.text("smallest headroom of 32-bit sums", 31);
  for (const std::string& layer : proof.unstable_layers)
    text +=
        fmt::format("  layer '{}' holds for double: its float32 sum depends on the order\n", layer);
  return text;
}

std::string claims(const Certificate& certificate) {
  std::string text = fmt::format("claimed by {}, and not derived again: {}\n", certificate.tool,
                                 certificate.claimed.verdict);
  for (const RunSummary& run : certificate.claimed.runs)
    text += fmt::format("  {}: {} samples, {} tensors, {} values agree\n", run.path, run.samples,
                        run.tensors, run.values);
  return text;
}

}  // namespace

std::string summary(const Checked& checked, const std::string& of_c) {
  return fmt::format("certificate holds: for every input {} computes what {} with {} says\n",
                     checked.plan.path.string(), checked.graph.string(), checked.weights.string()) +
         of_c + derived(checked.certificate.proof) + claims(checked.certificate);
}

}  // namespace lockstep::cli
