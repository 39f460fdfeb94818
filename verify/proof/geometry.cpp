#include "verify/proof/geometry.h"

namespace lockstep::verify {

void expect_map(PlanCheck& check, const PlanOp& op, const VisibleTensor& tensor,
                const std::string& node, const std::string& which) {
  const std::vector<std::int64_t>& shape = check.network.format(node).shape;
  check.expect<std::int64_t>(op.node, "channels of its " + which, shape.at(0), tensor.channels);
  check.expect<std::int64_t>(op.node, "height of its " + which, shape.size() == 3 ? shape[1] : 1,
                             tensor.height);
  check.expect<std::int64_t>(op.node, "width of its " + which, shape.size() == 1 ? 1 : shape.back(),
                             tensor.width);
}

void check_window(PlanCheck& check, const PlanOp& op, const Node& node, HeightWidth pad_end) {
  const SlidingWindow window = sliding_window(node);
  check.expect(op.node, "kernel height", window.kernel.height, op.window.kernel_h);
  check.expect(op.node, "kernel width", window.kernel.width, op.window.kernel_w);
  check.expect(op.node, "vertical stride", window.stride.height, op.window.stride_h);
  check.expect(op.node, "horizontal stride", window.stride.width, op.window.stride_w);
  check.expect(op.node, "vertical dilation", window.dilation.height, op.window.dilation_h);
  check.expect(op.node, "horizontal dilation", window.dilation.width, op.window.dilation_w);
  check.expect(op.node, "padding at the top", window.padding.height, op.window.pad_top);
  check.expect(op.node, "padding at the left", window.padding.width, op.window.pad_left);
  check.expect(op.node, "padding at the bottom", pad_end.height, op.window.pad_bottom);
  check.expect(op.node, "padding at the right", pad_end.width, op.window.pad_right);
}

}  // namespace lockstep::verify
