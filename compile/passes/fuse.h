// What the three fuse-* passes share: merging an element-by-element op into the op that makes its
// input.
#pragma once

#include <functional>
#include <optional>

#include "compile/ir/ir.h"

namespace lockstep::passes {

// One Post that does what `first` and then `second` do, to every x whose channel c lies in
// before[c]; empty when there is none. Two facts carry it: every shift is monotone, and keeps zero.
std::optional<ir::Post> compose(const ir::Post& first, const ir::Post& second,
                                const std::vector<ir::Range>& before);

// Merges every RequantizeOp that `wanted` accepts into the maker of its input, where that value has
// no other reader, need not be kept, and a common Post exists; until nothing changes.
ir::Program fuse_into_maker(ir::Program program,
                            const std::function<bool(const ir::Program&, const ir::Op&)>& wanted);

// A shift and clamp that rounds nothing: all shifts are zero.
bool is_clamp(const ir::Post& post);

}  // namespace lockstep::passes
