// Numbers in messages.
#pragma once

#include <cmath>

namespace lockstep::train {

// NaN has a sign that means nothing, and fmt prints it.
inline double without_nan_sign(double value) { return std::isnan(value) ? std::abs(value) : value; }

}  // namespace lockstep::train
