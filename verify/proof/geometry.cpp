#include "verify/proof/geometry.h"

#include "verify/differential/channel_map.h"

namespace lockstep::verify {

void expect_map(PlanCheck& check, const PlanOp& op, const VisibleTensor& tensor,
                const std::string& node, const std::string& which) {
  const std::vector<std::int64_t>& shape = check.network.format(node).shape;
  if (tensor.channel_map.empty())
    check.expect<std::int64_t>(op.node, "channels of its " + which, shape.at(0), tensor.channels);
  else if (const std::string fault = map_fault(tensor, check.network.format(node)); !fault.empty())
    throw Difference{
        op.node, fmt::format("layer '{}': its {} '{}': {}", op.node, which, tensor.name, fault)};
  check.expect<std::int64_t>(op.node, "height of its " + which, shape.size() == 3 ? shape[1] : 1,
                             tensor.height);
  check.expect<std::int64_t>(op.node, "width of its " + which, shape.size() == 1 ? 1 : shape.back(),
                             tensor.width);
}

void expect_same_channels(const PlanOp& op, const VisibleTensor& input,
                          const VisibleTensor& output) {
  for (std::int64_t c = 0; c < output.channels; ++c) {
    const std::int64_t expected = graph_channel(output, c), found = graph_channel(input, c);
    if (found != expected)
      throw Difference{op.node,
                       fmt::format("layer '{}': channel {} of '{}' is made of channel {} of '{}'",
                                   op.node, expected, output.name, found, input.name)};
  }
}

void check_window(PlanCheck& check, const PlanOp& op, const Node& node, HeightWidth pad_before,
                  HeightWidth pad_behind) {
  const SlidingWindow window = sliding_window(node);
  check.expect(op.node, "kernel height", window.kernel.height, op.window.kernel_h);
  check.expect(op.node, "kernel width", window.kernel.width, op.window.kernel_w);
  check.expect(op.node, "vertical stride", window.stride.height, op.window.stride_h);
  check.expect(op.node, "horizontal stride", window.stride.width, op.window.stride_w);
  check.expect(op.node, "vertical dilation", window.dilation.height, op.window.dilation_h);
  check.expect(op.node, "horizontal dilation", window.dilation.width, op.window.dilation_w);
  check.expect(op.node, "padding at the top", pad_before.height, op.window.pad_top);
  check.expect(op.node, "padding at the left", pad_before.width, op.window.pad_left);
  check.expect(op.node, "padding at the bottom", pad_behind.height, op.window.pad_bottom);
  check.expect(op.node, "padding at the right", pad_behind.width, op.window.pad_right);
}

}  // namespace lockstep::verify
