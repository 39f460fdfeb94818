// What the readers of data sets share; not part of the interface.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "compile/graph/graph.h"
#include "train/datasets/dataset.h"

namespace lockstep::datasets {

// InputError naming `what` unless each dimension is 1 or more and the product fits int64.
void require_countable(const std::string& what, std::span<const std::int64_t> shape);

// The product; requires a countable shape.
std::int64_t element_count(std::span<const std::int64_t> shape);

// InputError unless images of shape `found` fit the input: equal after dropping dimensions of size
// 1, or one of the two is flat and the sizes agree.
void require_fitting_shape(const std::string& file, std::span<const std::int64_t> found,
                           const GraphInput& input);

// InputError unless 0 <= label, and label < classes where classes > 0.
void require_label(const std::string& file, std::int64_t index, std::int64_t label,
                   std::int64_t classes);

// Every image of it, in memory.
Images all_images(ImageSource&& source);

// 1 + the largest label, but at least `classes`.
std::int64_t count_classes(std::span<const std::int32_t> labels, std::int64_t classes);

}  // namespace lockstep::datasets
