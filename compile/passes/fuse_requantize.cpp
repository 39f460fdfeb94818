// conv2d, then quantize: the shift and the clamp join the convolution's Post. Also through a relu
// in between, which commutes with requantization because rounding is monotone and keeps zero.
#include "compile/passes/fuse.h"
#include "compile/passes/pass.h"

namespace lockstep::passes {

ir::Program fuse_requantize(ir::Program program) {
  return fuse_into_maker(std::move(program), [](const ir::Program&, const ir::Op& op) {
    const ir::Post& post = *ir::post_of(op.kind);
    return !post.is_none() && !(is_clamp(post) && post.requantize()->lo == 0);
  });
}

}  // namespace lockstep::passes
