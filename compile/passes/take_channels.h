// Gives values another list of channels: fewer, or in another order.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::passes {

// For each value, which of its channels stay, in their new order: different numbers in [0, c).
using ChannelLists = std::vector<std::vector<std::int64_t>>;

// Every value keeps the channels that `lists` says, and every op computes just these. Needs
// weights and masks in (C,H,W) order; the caller sees to it that
// - network inputs and kept values keep all channels, in order;
// - inputs and outputs of ops that work channel by channel have equal lists;
// - convolutions in groups keep whole groups, in order, on both sides;
// - weights that meet a channel that goes are 0, and every value keeps at least one channel.
ir::Program take_channels(ir::Program program, const ChannelLists& lists);

}  // namespace lockstep::passes
