// What `compile` made, as one HTML page: operators, passes, and how the C is written.
#pragma once

#include <string>

#include "compile/compile.h"

namespace lockstep::cli {

struct CompilePage {
  std::string plan;  // its file
  const Compiled& compiled;
  const CSources* c = nullptr;  // null: none
  std::string target = {};      // of the C
};

// A document as html_page.h says. Equal contents give equal bytes. Any names are allowed.
std::string compile_page(const CompilePage& page);

}  // namespace lockstep::cli
