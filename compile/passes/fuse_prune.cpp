// conv2d, then prune: the mask joins the convolution's Post, and the unmasked values are never
// stored.
#include "compile/passes/fuse.h"
#include "compile/passes/pass.h"

namespace lockstep::passes {

ir::Program fuse_prune(ir::Program program) {
  return fuse_into_maker(std::move(program), [](const ir::Program& p, const ir::Op& op) {
    const ir::Post& post = *ir::post_of(op.kind);
    const ir::Range all = ir::code_limits(p.values[op.input()].bits);
    const bool only_mask = post.is_none() || (is_clamp(post) && post.requantize()->lo == all.lo &&
                                              post.requantize()->hi == all.hi);
    return only_mask && !post.mask.empty();
  });
}

}  // namespace lockstep::passes
