// How numbers and places read in an explanation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "verify/semantics/format.h"

namespace lockstep::verify {

// "47 * 2^-6 = 0.734375"; of a real value the number alone.
std::string code_and_value(std::int64_t code, int decimal);
std::string value_text(const Format& format, std::int64_t element, std::int64_t code);

// "name[0, 3, 4]" for an element, row-major, of a tensor of this shape.
std::string element_name(const std::string& name, std::span<const std::int64_t> shape,
                         std::int64_t element);

// Rows of texts as columns, the first row being the heading: indented, all but the first column to
// the right.
std::string columns(const std::vector<std::vector<std::string>>& rows);

}  // namespace lockstep::verify
