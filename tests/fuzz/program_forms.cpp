#include "tests/fuzz/program_forms.h"

#include <algorithm>

namespace lockstep::test {
namespace {

constexpr std::string_view kForms[] = {"conv2d",
                                       "conv_transpose2d",
                                       "linear",
                                       "max_pool2d",
                                       "avg_pool2d",
                                       "add",
                                       "mul",
                                       "requantize",
                                       "table",
                                       "move",
                                       "argmax",
                                       "wide sums",
                                       "sparse weights",
                                       "shift left",
                                       "shift 0",
                                       "shift right",
                                       "toward_zero",
                                       "floor",
                                       "half_even",
                                       "shift per channel",
                                       "multiply",
                                       "steps",
                                       "mask",
                                       "no post-op",
                                       "offsets",
                                       "several inputs",
                                       "several outputs",
                                       "codes as an output",
                                       "sums as an output",
                                       "decimal per channel",
                                       "int16 codes",
                                       "channel map",
                                       "raw bytes"};

void add_post(const ir::Post& post, std::set<std::string>& forms) {
  if (post.is_none()) forms.insert("no post-op");
  if (!post.mask.empty()) forms.insert("mask");
  if (const ir::Requantize* shift = post.requantize()) {
    for (const int s : shift->shifts)
      forms.insert(s < 0 ? "shift left" : s == 0 ? "shift 0" : "shift right");
    if (shift->shifts.size() > 1) forms.insert("shift per channel");
    if (std::ranges::any_of(shift->shifts, [](int s) { return s > 0; }))
      forms.insert(std::string(rounding_name(shift->rounding)));
  }
  if (const ir::Scale* scale = post.scale())
    for (const ir::ChannelScale& channel : scale->channels)
      forms.insert(channel.has_steps() ? "steps" : "multiply");
}

}  // namespace

std::span<const std::string_view> all_program_forms() { return kForms; }

std::set<std::string> program_forms(const ir::Program& program) {
  std::set<std::string> forms;
  for (const ir::Op& op : program.ops) {
    forms.insert(std::string(ir::op_name(op.kind)));
    if (const ir::Post* post = ir::post_of(op.kind)) add_post(*post, forms);
    std::visit(
        [&](const auto& kind) {
          if constexpr (requires { kind.wide; })
            if (kind.wide) forms.insert("wide sums");
          if constexpr (requires { kind.sparse; })
            if (kind.sparse) forms.insert("sparse weights");
        },
        op.kind);
  }
  for (const ir::Value& value : program.values) {
    if (!value.offsets.empty()) forms.insert("offsets");
    if (!value.channels.empty()) forms.insert("channel map");
    if (value.decimals.size() > 1) forms.insert("decimal per channel");
    if (value.bits > 8 && value.bits <= 16) forms.insert("int16 codes");
    if (value.bytes) forms.insert("raw bytes");
  }
  if (program.inputs.size() > 1) forms.insert("several inputs");
  if (program.outputs.size() > 1) forms.insert("several outputs");
  for (const ir::ValueId id : program.outputs)
    forms.insert(program.values[id].bits <= 16 ? "codes as an output" : "sums as an output");
  return forms;
}

}  // namespace lockstep::test
