#include "train/prune_masks.h"

#include <fmt/format.h>
#include <torch/torch.h>

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::train {
namespace {

torch::Tensor keep_largest(const torch::Tensor& saliency, double sparsity) {
  const std::int64_t n = saliency.numel();
  if (n == 0) return torch::ones_like(saliency, torch::kBool);
  const torch::Tensor sorted = std::get<0>(saliency.reshape(-1).sort());
  const auto index =
      std::max<std::int64_t>(static_cast<std::int64_t>(sparsity * static_cast<double>(n) - 1), 0);
  if (index >= n)
    throw InputError(fmt::format("sparsity = {} prunes {} of {} elements", sparsity, index, n));
  return saliency >= sorted[index];
}

torch::Tensor mean_magnitude(std::span<const torch::Tensor> window) {
  return torch::stack(at::TensorList(window.data(), window.size())).abs().mean(0);
}

}  // namespace

torch::Tensor unstructured_mask(std::span<const torch::Tensor> window, double sparsity) {
  LOCKSTEP_ASSERT(!window.empty());
  return keep_largest(mean_magnitude(window), sparsity);
}

torch::Tensor structured_mask(std::span<const torch::Tensor> window,
                              std::span<const std::int64_t> dims, double sparsity) {
  LOCKSTEP_ASSERT(!window.empty());
  std::vector<torch::Tensor> reduced;
  for (torch::Tensor entry : window) {
    for (std::int64_t d = 0; d < entry.dim(); ++d)
      if (std::find(dims.begin(), dims.end(), d) == dims.end()) entry = entry.abs().mean(d, true);
    reduced.push_back(entry);
  }
  return keep_largest(mean_magnitude(reduced), sparsity);
}

torch::Tensor block_mask(std::span<const torch::Tensor> window,
                         std::span<const std::int64_t> extents, double sparsity) {
  LOCKSTEP_ASSERT(!window.empty());
  torch::Tensor saliency = mean_magnitude(window);
  if (extents.empty() || static_cast<std::int64_t>(extents.size()) > saliency.dim())
    throw InputError(fmt::format("blocks have {} extents, the data {} dimensions", extents.size(),
                                 saliency.dim()));
  std::vector<torch::Tensor> block_of;  // each index of a dimension
  for (std::size_t d = 0; d < extents.size(); ++d) {
    const auto dim = static_cast<std::int64_t>(d);
    const std::int64_t size = saliency.size(dim);
    block_of.push_back(
        torch::arange(size, saliency.options().dtype(torch::kLong)).div(extents[d], "floor"));
    std::vector<std::int64_t> shape = saliency.sizes().vec();
    shape[d] = (size + extents[d] - 1) / extents[d];
    const torch::Tensor sums =
        torch::zeros(shape, saliency.options()).index_add_(dim, block_of[d], saliency);
    std::vector<std::int64_t> along(shape.size(), 1);
    along[d] = -1;
    saliency = sums / block_of[d].bincount({}, shape[d]).reshape(along);
  }
  torch::Tensor mask = keep_largest(saliency, sparsity);
  for (std::size_t d = 0; d < extents.size(); ++d)
    mask = mask.index_select(static_cast<std::int64_t>(d), block_of[d]);
  return mask;
}

PruneCallback unstructured_prune() {
  return [](const std::vector<torch::Tensor>& window, double sparsity) {
    return unstructured_mask(window, sparsity);
  };
}

PruneCallback structured_prune(std::vector<std::int64_t> dims) {
  return [dims = std::move(dims)](const std::vector<torch::Tensor>& window, double sparsity) {
    return structured_mask(window, dims, sparsity);
  };
}

PruneCallback block_prune(std::vector<std::int64_t> extents) {
  return [extents = std::move(extents)](const std::vector<torch::Tensor>& window, double sparsity) {
    return block_mask(window, extents, sparsity);
  };
}

}  // namespace lockstep::train
