#include "tools/run/named_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <system_error>

#include "compile/support/error.h"

namespace lockstep::cli {
namespace fs = std::filesystem;

std::vector<NamedFile> split_names(const char* option, const std::vector<std::string>& arguments) {
  std::vector<NamedFile> files;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos)
      files.push_back({"", argument});
    else
      files.push_back({argument.substr(0, equals), argument.substr(equals + 1)});
    if (files.back().file.empty())
      throw InputError(fmt::format("{} '{}': the name of the file is empty", option, argument));
  }
  return files;
}

std::vector<Binding> bind_files(const char* option, const std::vector<NamedFile>& files,
                                std::span<const TensorInfo> tensors) {
  std::map<std::string, std::size_t> by_name;
  std::string names;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    by_name.emplace(tensors[i].name, i);
    names += (names.empty() ? "" : ", ") + tensors[i].name;
  }
  std::vector<Binding> bindings;
  for (const NamedFile& given : files) {
    const auto named = by_name.find(given.name);
    if (named == by_name.end() && !(given.name.empty() && tensors.size() == 1))
      throw InputError(given.name.empty()
                           ? fmt::format("{} {}: write NAME=FILE, where NAME is one of {}", option,
                                         given.file.string(), names)
                           : fmt::format("{} {}={}: the plan's names are {}", option, given.name,
                                         given.file.string(), names));
    const Binding binding{named == by_name.end() ? 0 : named->second, given.file};
    for (const Binding& earlier : bindings)
      if (earlier.tensor == binding.tensor)
        throw InputError(fmt::format("{} {}: '{}' is given twice", option, given.file.string(),
                                     tensors[binding.tensor].name));
    bindings.push_back(binding);
  }
  return bindings;
}

std::vector<Binding> dump_files(std::span<const TensorInfo> layers, const fs::path& folder) {
  std::vector<Binding> files;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string& name = layers[i].name;
    if (name.empty() || name.find('/') != std::string::npos)
      throw InputError(fmt::format("--dump-layers: layer '{}' cannot be a file name", name));
    files.push_back({i, folder / (name + ".npy")});
  }
  return files;
}

void require_no_other_arrays(const fs::path& folder, const std::vector<Binding>& dumps,
                             const std::vector<Binding>& inputs) {
  std::vector<fs::path> others;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    std::error_code ignored;
    const auto is_entry = [&](const Binding& known) {
      return entry.path() == known.file || fs::equivalent(entry.path(), known.file, ignored);
    };
    if (entry.path().extension() == ".npy" && std::ranges::none_of(dumps, is_entry) &&
        std::ranges::none_of(inputs, is_entry))
      others.push_back(entry.path());
  }
  if (others.empty()) return;
  throw InputError(
      fmt::format("{}: this run does not write it, so it may be another network's layer; give "
                  "--dump-layers a folder without such files",
                  std::ranges::min(others).string()));
}

}  // namespace lockstep::cli
