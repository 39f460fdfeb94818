// quantize, then relu: the lower limit of the clamp becomes zero. The same for what fuse-requantize
// left: a clamp after an accumulator.
#include "compile/passes/fuse.h"
#include "compile/passes/pass.h"

namespace lockstep::passes {

ir::Program fuse_relu(ir::Program program) {
  return fuse_into_maker(std::move(program), [](const ir::Program&, const ir::Op& op) {
    const ir::Post& post = *ir::post_of(op.kind);
    return is_clamp(post) && post.requantize()->lo == 0;
  });
}

}  // namespace lockstep::passes
