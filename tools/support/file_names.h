// Which files an error is about. The parts of Lockstep that look at a whole network name the layer
// only; the command knows the files that the layer came from.
#pragma once

#include <string>
#include <utility>

#include "compile/support/error.h"

namespace lockstep::cli {

// `message` with `files` in front when it starts with a layer or a state-dict key; unchanged when
// it starts with what is wrong otherwise: a file, an option, a target.
std::string name_files(const std::string& files, const std::string& message);

// Runs `work`; its InputErrors name `files`.
template <typename Work>
auto naming_files(const std::string& files, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const InputError& error) {
    throw InputError(name_files(files, error.what()));
  }
}

}  // namespace lockstep::cli
