// What segments (pass.h, group_channels) cost the layers that did without them.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "compile/ir/ir.h"
#include "compile/passes/storage_cost.h"

namespace lockstep::passes {

struct SegmentOffer {
  std::size_t segments = 0;   // as few as possible; 0: there is no such form
  StorageCost cost;           // with so many
  std::string_view obstacle;  // why there is no such form
};

// By op, in either layout: the form with segments of a convolution or linear layer that has none,
// with the channels of its input in the order that group_channels gave them or would have. Of two
// forms it is the one of fewer bytes, or the faster one. Nothing of other ops.
std::vector<SegmentOffer> segment_offers(const ir::Program& program, Objective objective);

}  // namespace lockstep::passes
