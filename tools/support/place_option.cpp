#include "tools/support/place_option.h"

#include <fmt/format.h>

#include <charconv>

#include "compile/support/error.h"

namespace lockstep::cli {

verify::ExplainedPlace parse_place(const std::string& text, std::int64_t sample) {
  verify::ExplainedPlace place;
  place.sample = sample;
  std::string_view rest = text;
  bool good = true;
  for (std::int64_t* const number : {&place.x, &place.y, &place.channel}) {
    const std::size_t comma = rest.rfind(',');
    good = good && comma != std::string_view::npos;
    if (!good) break;
    const std::string_view digits = rest.substr(comma + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), *number);
    good = error == std::errc() && end == digits.data() + digits.size();
    rest = rest.substr(0, comma);
  }
  if (!good || rest.empty())
    throw InputError(fmt::format(
        "--explain '{}': give LAYER,CHANNEL,Y,X, three numbers behind the layer's name, such as "
        "conv1,0,3,4",
        text));
  place.layer = rest;
  return place;
}

}  // namespace lockstep::cli
