#include "train/batches.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "compile/graph/raw_bytes.h"
#include "compile/support/error.h"
#include "train/seed_streams.h"

namespace lockstep::train {
namespace {

using Codes = std::span<const std::int16_t>;

// `change` sees each image and returns what takes its place, valid until the next call.
Batch assemble(const datasets::Images& source, const GraphInput& input,
               std::span<const std::int64_t> indices,
               const std::function<Codes(std::int64_t index, Codes codes)>& change) {
  std::vector<std::int64_t> shape = {static_cast<std::int64_t>(indices.size())};
  shape.insert(shape.end(), input.shape.begin(), input.shape.end());
  Batch batch;
  batch.images = torch::empty(shape, torch::kFloat32);
  const auto size = static_cast<std::size_t>(batch.images.numel() / shape[0]);
  const float step = std::ldexp(1.0f, -static_cast<int>(input.decimal));
  // Of a raw input: what its bytes become, one table or one per channel.
  const std::vector<std::vector<std::int16_t>> tables =
      input.raw ? codes_of_bytes(input) : std::vector<std::vector<std::int16_t>>();
  const std::size_t plane = tables.size() < 2 ? size : size / tables.size();
  float* target = batch.images.data_ptr<float>();
  for (const std::int64_t index : indices) {
    const auto at = static_cast<std::size_t>(index);
    std::size_t i = 0;
    for (std::int16_t code : change(index, Codes(source.codes).subspan(at * size, size))) {
      if (!tables.empty()) code = tables[i++ / plane][static_cast<std::size_t>(code)];
      *target++ = static_cast<float>(code) * step;
    }
    batch.labels.push_back(source.labels[at]);
  }
  return batch;
}

}  // namespace

Batch gather(const datasets::Images& source, const GraphInput& input,
             std::span<const std::int64_t> indices) {
  return assemble(source, input, indices, [](std::int64_t, Codes codes) { return codes; });
}

TrainingBatches::TrainingBatches(const datasets::Images& source, const GraphInput& input,
                                 const Recipe& recipe)
    : source_(source),
      input_(input),
      recipe_(recipe),
      steps_per_epoch_((source.count() + recipe.batch_size - 1) / recipe.batch_size) {
  if (source.count() < 1) throw InputError("the data have no training images");
  require_augmentable(recipe.augmentation, input);
}

void TrainingBatches::shuffle(std::int64_t epoch) {
  if (epoch == shuffled_epoch_) return;
  order_ =
      Random(stream_seed(recipe_.seed, SeedStream::kShuffle, epoch)).permutation(source_.count());
  shuffled_epoch_ = epoch;
}

std::int64_t TrainingBatches::size_of(std::int64_t step) const {
  const std::int64_t begin = step % steps_per_epoch_ * recipe_.batch_size;
  return std::min(recipe_.batch_size, source_.count() - begin);
}

Batch TrainingBatches::batch(std::int64_t step, Share share) {
  const std::int64_t epoch = step / steps_per_epoch_;
  shuffle(epoch);
  LOCKSTEP_ASSERT(share.begin + share.count <= size_of(step));
  const std::int64_t begin = step % steps_per_epoch_ * recipe_.batch_size + share.begin;
  const std::span indices =
      std::span(std::as_const(order_))
          .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(share.count));
  if (recipe_.augmentation.is_off()) return gather(source_, input_, indices);
  const std::uint64_t seed = stream_seed(recipe_.seed, SeedStream::kAugmentation, epoch);
  std::vector<std::int16_t> changed;
  return assemble(source_, input_, indices, [&](std::int64_t index, Codes codes) {
    changed.resize(codes.size());
    augment(recipe_.augmentation, input_, Random(mix_seed(seed, static_cast<std::uint64_t>(index))),
            codes, changed);
    return Codes(changed);
  });
}

}  // namespace lockstep::train
