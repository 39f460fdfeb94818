// What the prepared memory of a linear layer begins with.
#pragma once

namespace intrt {

struct alignas(64) LinearHeader {
  bool nonzeros_alone;  // as linear_nonzeros.h has them follows; else as weights.h
};

}  // namespace intrt
