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

std::vector<Binding> bind_files(const PlanFile& plan, const char* option,
                                const std::vector<NamedFile>& files,
                                const std::vector<std::uint32_t>& tensors) {
  std::map<std::string, std::uint32_t> by_name;
  std::string names;
  for (const std::uint32_t tensor : tensors) {
    by_name.emplace(plan.tensor(tensor).name, tensor);
    names += (names.empty() ? "" : ", ") + std::string(plan.tensor(tensor).name);
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
    const Binding binding{named == by_name.end() ? tensors.front() : named->second, given.file};
    for (const Binding& earlier : bindings)
      if (earlier.tensor == binding.tensor)
        throw InputError(fmt::format("{} {}: '{}' is given twice", option, given.file.string(),
                                     plan.tensor(binding.tensor).name));
    bindings.push_back(binding);
  }
  return bindings;
}

std::vector<Binding> dump_files(const PlanFile& plan, const fs::path& folder) {
  std::vector<Binding> files;
  for (std::uint32_t i = 0; i < intrt_tensor_count(plan.plan()); ++i) {
    const intrt_tensor tensor = plan.tensor(i);
    if ((tensor.flags & INTRT_TENSOR_NAMED) == 0) continue;
    const std::string name = tensor.name;
    if (name.empty() || name.find('/') != std::string::npos)
      throw InputError(
          fmt::format("{}: tensor name '{}' cannot be a file name", plan.path(), name));
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
