#include "tests/train/golden_group.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <cstdlib>

#include "compile/support/files.h"
#include "train/module_state.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

fs::path folder() {
  if (const char* const other = std::getenv("LOCKSTEP_GOLDEN_DIR")) return other;
  return fs::path(LOCKSTEP_TEST_DATA) / "golden" / "layers";
}

}  // namespace

GoldenGroup::GoldenGroup(const std::string& group) : name(group) {
  cases = nlohmann::json::parse(read_text_file(folder() / (group + ".json"))).at("cases");
  tensors = read_state_dict(folder() / (group + ".safetensors"));
}

torch::Tensor GoldenGroup::tensor(const nlohmann::json& key) const {
  return train::to_torch(tensors.at(key.get<std::string>()));
}

bool GoldenGroup::is_committed() const { return std::getenv("LOCKSTEP_GOLDEN_DIR") == nullptr; }

bool has_golden_groups() {
  for (const char* const group : {"quantize_callback", "decimal_search", "prune_masks",
                                  "quantize_layer", "prune_layer", "weight_layers", "small_nets"})
    if (fs::exists(folder() / fmt::format("{}.json", group))) return true;
  fmt::print("skipped: {} holds no layer cases\n", folder().string());
  return false;
}

bool same_values(const torch::Tensor& a, const torch::Tensor& b) {
  if (a.sizes() != b.sizes()) return false;
  const torch::Tensor x = a.to(torch::kFloat64), y = b.to(torch::kFloat64);
  return ((x == y) | (x.isnan() & y.isnan())).all().item<bool>();
}

bool close_values(const torch::Tensor& a, const torch::Tensor& b) {
  return a.sizes() == b.sizes() &&
         torch::allclose(a.to(torch::kFloat64), b.to(torch::kFloat64), 1e-5, 1e-6, true);
}

}  // namespace lockstep::test
