// The parts of `lockstep inspect`, one per kind of artifact. Each prints tables for people and one
// JSON object. InputError where the file is not what its first bytes promise.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "tools/support/console.h"

namespace lockstep::cli {

enum class ArtifactKind { kStateDict, kGraph, kPlan };

// By the first bytes of `file`. InputError when they are none of these.
ArtifactKind artifact_kind(const std::string& file, std::span<const std::byte> bytes);

void inspect_state_dict(const std::filesystem::path& path, Console& console);
void inspect_graph(const std::filesystem::path& path, Console& console);
void inspect_plan(const std::filesystem::path& path, Console& console);

}  // namespace lockstep::cli
