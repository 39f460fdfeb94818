// What `verify` found, as tables for people and as JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "verify/verify.h"

namespace lockstep::cli {

// The paths that ran, what the C took on emulated cores, and the probes of the C.
std::string paths_text(const verify::Report& report);
nlohmann::ordered_json paths_json(const verify::Report& report);

// How often each network's prediction is the label, and how often the two networks differ.
struct Accuracy {
  std::int64_t images = 0, float_correct = 0, integer_correct = 0, differing = 0;
  bool has_float = false;
  double fraction(std::int64_t correct) const {
    return static_cast<double>(correct) / static_cast<double>(images);
  }
};

// The predictions of `report` against `labels`, as many as there are predictions.
Accuracy accuracy_of(const verify::Report& report, std::span<const std::int32_t> labels);
std::string accuracy_text(const Accuracy& accuracy);
nlohmann::ordered_json accuracy_json(const Accuracy& accuracy);

}  // namespace lockstep::cli
