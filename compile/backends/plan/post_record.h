// What an operator does to its accumulators, as intrt_post_record and the arrays it points to.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/backends/plan/bytes.h"
#include "compile/ir/ir.h"
#include "intrt/plan_format.h"

namespace lockstep::backends {

// Appends the arrays of `post`; the record is the caller's to append.
intrt_post_record write_post(PlanBytes& bytes, const ir::Post& post);

// The offset of the packed mask; 0 when there is none.
std::uint32_t write_mask(PlanBytes& bytes, const std::vector<std::uint8_t>& mask);

}  // namespace lockstep::backends
