// The variants that kernels come in, and which of them this CPU can run.
#pragma once

#include <stdint.h>

#include "intrt/kernels/kernel.h"

namespace intrt {

// kVariants when there is none of that name that this CPU can run. Null: the best that it can.
uint32_t choose_variant(const char* name);

}  // namespace intrt
