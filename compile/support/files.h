// Whole files in and out of memory. Writing is atomic: a reader sees the old file or the complete
// new one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

// The bytes of `path`. InputError names the path when it is missing, unreadable, larger than
// `limit_bytes`, or no regular file: a pipe or device may have no end, and files are read twice
// where their kind has to be told first.
std::vector<std::byte> read_file(const std::filesystem::path& path,
                                 std::size_t limit_bytes = std::size_t{4} << 30);
std::string read_text_file(const std::filesystem::path& path,
                           std::size_t limit_bytes = std::size_t{64} << 20);

// The file that write_file_atomically(path, ...) makes or replaces, whether it is there or not: a
// symbolic link stays, and what it points to is the output. None for what is written directly.
// InputError when links lead in a circle.
std::optional<std::filesystem::path> replaced_file(const std::filesystem::path& path);

// Writes beside `path` into a temporary file, fsyncs it, renames it over `path`, fsyncs the folder.
// On any failure (a full disk, say) the temporary file is removed, an older file at `path` stays as
// it was, and InputError names the path and the system's reason. Temporary files that a killed
// process left for the same `path` are removed first; an interrupt removes its own
// (interruption.h). /dev/... and pipes are written directly.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomically(const std::filesystem::path& path, std::string_view text);

// Removes replaced_file(path) if it is there, so that a run that fails later leaves no old output
// looking new.
void remove_old_output(const std::filesystem::path& path);

// Lower-case hexadecimal SHA-256 (OpenSSL's).
std::string sha256_hex(std::span<const std::byte> bytes);

}  // namespace lockstep
