// The files of tools/project/templates, put into the program when it is built.
#pragma once

#include <span>
#include <string_view>

namespace lockstep::cli {

struct TemplateFile {
  std::string_view path;  // "make/Makefile"
  std::string_view text;
};

std::span<const TemplateFile> template_files();

}  // namespace lockstep::cli
