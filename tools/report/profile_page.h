// Where a plan's time goes on this machine, next to what the machine can do, as one HTML page.
#pragma once

#include <string>
#include <vector>

#include "tools/profile/profile.h"

namespace lockstep::cli {

// A whole document that needs no other file and has no script; charts are SVG in it. Any texts are
// allowed as names.
std::string profile_page(const Profile& profile);

}  // namespace lockstep::cli
