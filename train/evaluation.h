// What a network makes of data, looked at without leaving a trace in it.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "train/batches.h"
#include "train/network.h"

namespace lockstep::train {

// The shape of each node's value for one image, batch included, by node name.
std::map<std::string, std::vector<std::int64_t>> value_shapes(Network& network);

// InputError unless the network's first output has one value per class, and enough of them for
// every label. Names the layer, or the label.
void require_class_outputs(Network& network, const datasets::Dataset& dataset);

// How many rows of [images, classes] have their largest value, the first of equal ones, at the
// label.
std::int64_t count_correct(const torch::Tensor& logits, std::span<const std::int64_t> labels);

// How many of a share of the images an eval forward classifies as labelled.
std::int64_t count_recognized(Network& network, const datasets::Images& images, Share share);
// The part of all images that it does; `images` is not empty.
double accuracy(Network& network, const datasets::Images& images);

// For a loss that is not finite in step `step`: InputError names the first layer whose value in
// this batch is not finite either, else the output.
[[noreturn]] void explain_bad_loss(Network& network, const Batch& batch, double loss,
                                   std::int64_t step);

}  // namespace lockstep::train
