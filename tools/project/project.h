// Projects around generated C that a person builds on: compile --project.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep::cli {

struct ProjectFile {
  std::string path;  // within the project, with / between folders
  std::string text;
};

// "make", "cmake", "zephyr", "arduino"
std::vector<std::string> project_styles();

// What a project of that style has beside the C of `prefix`, which belongs into its folder src.
// Firmware (make, cmake) is for `target`, a core of generated C; C for any core gets a Cortex-M4.
// InputError where that core runs no firmware.
std::vector<ProjectFile> project_files(std::string_view style, const std::string& prefix,
                                       const std::string& target);

}  // namespace lockstep::cli
