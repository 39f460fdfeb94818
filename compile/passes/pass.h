// What a pass is: a pure function from program to program. pipeline.cpp says in which order they
// run.
//
// Each pass may rely on validate() before it, and must leave a program that validates and that
// evaluates to the same codes in every value that it keeps.
#pragma once

#include "compile/ir/ir.h"
#include "compile/passes/storage_cost.h"

namespace lockstep::passes {

// Drops ops whose result nobody reads and nobody keeps.
ir::Program remove_dead(ir::Program program);

// Needs: Flatten ops as lowered. Leaves none: each became a view (its readers read the feature map,
// still in H,W,C order) or, where a reader tells positions of one channel apart, a Move.
ir::Program resolve_flatten(ir::Program program);

// Folds a prune node into the op that makes its input: one mask, applied as the code is stored.
ir::Program fuse_prune(ir::Program program);

// Folds a quantize node into the op that makes its input, so that accumulators are never stored.
ir::Program fuse_requantize(ir::Program program);

// Folds a relu into the clamp of the op that makes its input.
ir::Program fuse_relu(ir::Program program);

// Turns a move that puts zeros around a feature map into the padding of the convolutions that read
// it.
ir::Program fold_pad(ir::Program program);

// Drops channels that nothing needs and channels that are constant, everywhere at once. Needs views
// in place of Flatten ops, and weights and masks in (C,H,W) order.
ir::Program remove_channels(ir::Program program);

// Takes low bits that the results do not depend on from weights, biases and shifts, where that
// makes weights of 16 bits fit 8, or may do so with segments (group_channels).
ir::Program narrow_weights(ir::Program program);

// Orders channels by their decimals and gives layers segments where that is cheaper than weights
// that were brought to the finest grid, on any machine: neither form has vector kernels. Needs
// weights and masks in (C,H,W) order.
ir::Program group_channels(ir::Program program, const Goal& goal);

// Brings weights and masks from the order of (C,H,W) into the order in which a machine meets them,
// (H,W,C).
ir::Program assign_layout(ir::Program program);

// Gives every value its place in one static arena. InputError when it would exceed 4 GiB.
ir::Program plan_memory(ir::Program program);

}  // namespace lockstep::passes
