// --kernels and --threads of verbs that run plans.
#pragma once

#include <CLI/CLI.hpp>

#include "lockstep/model.h"

namespace lockstep::cli {

// Returns --kernels.
CLI::Option* add_model_options(CLI::App& verb, ModelOptions& options);

}  // namespace lockstep::cli
