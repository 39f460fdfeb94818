// How a network is trained, whatever graph and data: recipe.json, read by train and written beside
// what it trained.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "train/augmentation.h"
#include "train/optimizer.h"
#include "train/schedule.h"

namespace lockstep::train {

struct Recipe {
  std::int64_t epochs = 1;  // 1 to 2^31 - 1, as the batch size
  std::int64_t batch_size = 64;
  std::uint64_t seed = 1;      // of weights, order of the images, augmentation, dropout
  double label_smoothing = 0;  // in [0, 1]: share of the target spread over all classes
  OptimizerSpec optimizer;
  ScheduleSpec schedule = {.kind = ScheduleKind::kCosine, .warm_up = 0.02, .end_factor = 0.01};
  AugmentationSpec augmentation;
  bool operator==(const Recipe&) const = default;
};

// Members left out keep the values above; within optimizer and schedule those of their type.
// InputError names the file and the member: syntax, unknown or doubled members, values out of
// range.
Recipe read_recipe(const std::filesystem::path& path);
Recipe parse_recipe(std::string_view json, const std::string& name_for_errors);

// Canonical: every member that counts, in one order. parse_recipe(to_json(r)) equals r where r's
// optimizer and schedule hold defaults in the members that their kinds do not read.
std::string to_json(const Recipe& recipe);

// InputError unless each value is in its range; parse_recipe has checked its own.
void require_valid(const Recipe& recipe);

// The first member in which two recipes differ, "optimizer.lr", and its two values as JSON; all
// empty when there is none.
struct RecipeDifference {
  std::string member, a, b;
};
RecipeDifference first_difference(const Recipe& a, const Recipe& b);

}  // namespace lockstep::train
