// How a check ends early. Both stay inside verify/proof: check_constants turns them into a result.
#pragma once

#include <string>

namespace lockstep::verify {

struct Difference {  // the plan is wrong: the first difference, and the layer where it is
  std::string layer, text;
};
struct NotUnderstood {  // the plan holds something that this checker cannot judge
  std::string reason;
};

}  // namespace lockstep::verify
