// Which images a training step sees, and as what: shuffled anew each epoch, augmented, as float32.
// Everything follows from the recipe's seed and the step's number, so a resumed run, whatever its
// number of threads, sees the same.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "compile/graph/graph.h"
#include "train/datasets/dataset.h"
#include "train/recipe.h"
#include "train/shares.h"

namespace lockstep::train {

struct Batch {
  torch::Tensor images;              // float32, exactly code * 2^-decimal; of bytes, of their codes
  std::vector<std::int64_t> labels;  // one per image
};

// The images with these indices, as they are.
Batch gather(const datasets::Images& source, const GraphInput& input,
             std::span<const std::int64_t> indices);

class TrainingBatches {
 public:
  // `source`, `input` and `recipe` must outlive it. InputError when there are no images, or when
  // the recipe's augmentation does not fit them.
  TrainingBatches(const datasets::Images& source, const GraphInput& input, const Recipe& recipe);

  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // How many images the batch of step `step` (from 0) has: the last one of an epoch may be smaller.
  std::int64_t size_of(std::int64_t step) const;
  // A share of that batch; by default all of it.
  Batch batch(std::int64_t step) { return batch(step, {0, size_of(step)}); }
  Batch batch(std::int64_t step, Share share);

 private:
  void shuffle(std::int64_t epoch);

  const datasets::Images& source_;
  const GraphInput& input_;
  const Recipe& recipe_;
  std::int64_t steps_per_epoch_;
  std::vector<std::int64_t> order_;
  std::int64_t shuffled_epoch_ = -1;
};

}  // namespace lockstep::train
