// What the prepared memory of a linear layer of 8 bits begins with.
#pragma once

namespace intrt {

struct alignas(64) LinearHeader {
  bool nonzeros_alone;  // what follows is that of linear_nonzeros.h, else that of weights.h
};

}  // namespace intrt
