// The option that names one value of one layer.
#pragma once

#include <string>

#include "verify/explain/explain.h"

namespace lockstep::cli {

// "LAYER,CHANNEL,Y,X"; a layer's name may have commas. InputError unless there is a name and behind
// it three numbers.
verify::ExplainedPlace parse_place(const std::string& text, std::int64_t sample);

}  // namespace lockstep::cli
