// JSON as Lockstep's own files use it. nlohmann's parser keeps the last of two equal keys and
// accepts any depth; here both are errors, so that no two readers can understand one file
// differently.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lockstep {

struct JsonLimits {
  std::size_t depth = 64;
  std::size_t values = 2'000'000;  // bounds the memory that a small hostile file can ask for
};

// InputError begins with `name_for_errors`; for a duplicate key it names the enclosing named object
// and the path of the key ("nodes[3].attrs.stride").
nlohmann::json parse_strict_json(std::string_view text, const std::string& name_for_errors,
                                 const JsonLimits& limits = {});

}  // namespace lockstep
