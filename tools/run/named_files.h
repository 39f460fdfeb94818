// The files of --input and --output, and the tensors of the network that they stand for.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "lockstep/model.h"

namespace lockstep::cli {

// A file given as FILE, which will do for a plan's only input or output, or as NAME=FILE. The first
// '=' ends the name, whatever the plan holds, so the files are known before the plan is read.
struct NamedFile {
  std::string name;  // empty: not given
  std::filesystem::path file;
};

// InputError names `option` where a file has no name.
std::vector<NamedFile> split_names(const char* option, const std::vector<std::string>& arguments);

struct Binding {
  std::size_t tensor;  // which of those that files were bound to
  std::filesystem::path file;
};

// `files` of `option` bound to `tensors`, the model's inputs or outputs. InputError for a name that
// none of them has, that is missing where there are several, or that is given twice.
std::vector<Binding> bind_files(const char* option, const std::vector<NamedFile>& files,
                                std::span<const TensorInfo> tensors);

// FOLDER/NODE.npy for every one of the layers. InputError for a name that can be no file's.
std::vector<Binding> dump_files(std::span<const TensorInfo> layers,
                                const std::filesystem::path& folder);

// InputError when `folder` holds a .npy file that is neither one of `dumps` nor of `inputs`: it may
// be a layer of another network, and whoever reads the folder could not tell.
void require_no_other_arrays(const std::filesystem::path& folder, const std::vector<Binding>& dumps,
                             const std::vector<Binding>& inputs);

}  // namespace lockstep::cli
