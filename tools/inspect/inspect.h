// The parts of `lockstep inspect`, one per kind of artifact. Each prints tables for people and one
// JSON object. InputError where the file is not what its first bytes promise.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "tools/support/console.h"

namespace lockstep::cli {

enum class ArtifactKind { kStateDict, kGraph, kPlan };

// By the first bytes. What is neither a plan nor JSON counts as a state dict, whose reader then
// says what is wrong with it.
ArtifactKind artifact_kind(std::span<const std::byte> bytes);

void inspect_state_dict(const std::filesystem::path& path, Console& console);
void inspect_graph(const std::filesystem::path& path, Console& console);
void inspect_plan(const std::filesystem::path& path, Console& console);

}  // namespace lockstep::cli
