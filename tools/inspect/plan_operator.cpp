#include "tools/inspect/plan_operator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "intrt/arith.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

const char* operator_name(std::uint32_t code) {
  switch (code) {
#define INTRT_OP(value, name) \
  case value:                 \
    return #name;
#include "intrt/op_list.def"
#undef INTRT_OP
    default:
      return "unknown";  // intrt_open has refused such a plan
  }
}

const char* rounding_name(std::uint32_t rounding) {
  return rounding == INTRT_ROUND_TOWARD_ZERO ? "toward_zero"
         : rounding == INTRT_ROUND_FLOOR     ? "floor"
                                             : "half_even";
}

template <typename Params>
Params params_of(const intrt_op_record* record) {
  Params params;  // copied: nothing promises its alignment to C++
  std::memcpy(&params, record + 1, sizeof params);
  return params;
}

void add_word(std::string& text, const std::string& word) {
  if (!word.empty()) text += (text.empty() ? "" : ", ") + word;
}

struct Described {
  std::string text;
  Json json = Json::object();
};

Described describe_shift(const PlanFile& plan, const intrt_post_record& post) {
  const auto shifts = plan.array<std::int8_t>(post.shifts_offset, post.shift_count);
  const auto [lo, hi] = std::minmax_element(shifts.begin(), shifts.end());
  const std::string range = *lo == *hi ? fmt::format("{}", *lo) : fmt::format("{}..{}", *lo, *hi);
  return {fmt::format("shift {} {}, clamp {}..{}", range, rounding_name(post.rounding), post.lo,
                      post.hi),
          {{"kind", "shift"},
           {"shifts", {*lo, *hi}},
           {"rounding", rounding_name(post.rounding)},
           {"clamp", {post.lo, post.hi}}}};
}

// How many channels are a product each, and how many look up the step that they lie on.
Described describe_scale(const PlanFile& plan, const intrt_post_record& post,
                         std::uint32_t channels) {
  std::uint32_t with_steps = 0, thresholds = 0;
  if (post.starts_offset != 0) {
    const auto starts = plan.array<std::uint32_t>(post.starts_offset, channels + 1);
    for (std::uint32_t c = 0; c < channels; ++c) with_steps += starts[c] < starts[c + 1] ? 1 : 0;
    thresholds = starts[channels];
  }
  const std::uint32_t multiplied = channels - with_steps;
  std::string text;
  if (multiplied > 0)
    add_word(text, fmt::format("{} multiply {}", multiplied, rounding_name(post.rounding)));
  if (with_steps > 0)
    add_word(text, fmt::format("{} with steps ({} thresholds)", with_steps, thresholds));
  return {"scale: " + text,
          {{"kind", "scale"},
           {"multiply", multiplied},
           {"rounding", rounding_name(post.rounding)},
           {"with_steps", with_steps},
           {"thresholds", thresholds}}};
}

Described describe_post(const PlanFile& plan, const intrt_post_record& post,
                        const intrt_tensor& output) {
  Described described;
  if (post.kind == INTRT_POST_SHIFT) described = describe_shift(plan, post);
  if (post.kind == INTRT_POST_SCALE) described = describe_scale(plan, post, output.channels);
  if (post.kind == INTRT_POST_NONE) described.json["kind"] = "none";
  if (post.mask_offset != 0) add_word(described.text, "mask");
  described.json["mask"] = post.mask_offset != 0;
  return described;
}

std::uint64_t bytes_of(std::uint32_t weight_type) {
  return weight_type == INTRT_INT8 ? 1 : weight_type == INTRT_INT16 ? 2 : 4;
}

std::string with_commas(std::uint64_t number) {
  std::string text = fmt::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, 1, ',');
  return text;
}

// How `rows` times `taps` times `inputs` weights are stored, and their bytes.
struct Stored {
  Described described;
  std::uint64_t bytes = 0;
};
template <typename Params>
Stored describe_storage(const PlanFile& plan, const Params& params, std::uint32_t rows,
                        std::uint64_t taps, std::uint64_t inputs) {
  const std::uint64_t weights = rows * taps * inputs, each = bytes_of(params.weight_type);
  Stored stored{{"dense", {{"kind", "dense"}}}, weights * each};
  if constexpr (requires { params.nonzero_offset; }) {
    if (params.nonzero_offset != 0) {
      const std::uint32_t values = plan.array<std::uint32_t>(params.starts_offset, rows + 1).back();
      stored.bytes =
          values * each + rows * taps * ((inputs + 7) / 8) + std::uint64_t{4} * (rows + 1);
      stored.described = {fmt::format("sparse {} of {}, {} bytes", with_commas(values),
                                      with_commas(weights), with_commas(stored.bytes)),
                          {{"kind", "sparse"}, {"stored", values}, {"weights", weights}}};
    }
    if (params.segment_count != 0) {
      std::string text = "segments";
      Json list = Json::array();
      for (const intrt_segment& segment :
           plan.array<intrt_segment>(params.segments_offset, params.segment_count)) {
        text += fmt::format(" {}:{}", segment.end, segment.shift);
        list.push_back({{"end", segment.end}, {"shift", segment.shift}});
      }
      stored.bytes += params.segment_count * sizeof(intrt_segment);
      stored.described = {text, {{"kind", "segments"}, {"segments", std::move(list)}}};
    }
  }
  return stored;
}

}  // namespace

PlanOperator plan_operator(const PlanFile& plan, std::uint32_t index) {
  const intrt_op_record* record = intrt_op(plan.plan(), index);
  PlanOperator op{.name = operator_name(record->code),
                  .node = plan.op_node(index),
                  .inputs = plan.array<std::uint32_t>(record->inputs_offset, record->input_count),
                  .output = record->output,
                  .storage_json = {},
                  .post = {},
                  .post_json = {}};
  const intrt_tensor input = plan.tensor(op.inputs.front()), output = plan.tensor(op.output);

  // Each weight meets every position of `map` once.
  const auto weights = [&](const auto& params, std::uint64_t taps, std::uint64_t inputs,
                           const intrt_tensor& map) {
    op.macs = output.channels * taps * inputs * map.height * map.width;
    Stored stored = describe_storage(plan, params, output.channels, taps, inputs);
    op.storage = stored.described.text;
    op.storage_json = std::move(stored.described.json);
    op.weight_bytes =
        stored.bytes + (params.bias_offset == 0 ? 0 : std::uint64_t{4} * output.channels);
  };
  const auto window = [&](const auto& params, const intrt_tensor& map) {
    weights(params, std::uint64_t{params.kernel_h} * params.kernel_w,
            input.channels / params.groups, map);
    return params.post;
  };
  std::optional<intrt_post_record> post;
  Described described;
  if (op.name == "conv2d") post = window(params_of<intrt_conv2d_params>(record), output);
  if (op.name == "conv_transpose2d")
    post = window(params_of<intrt_conv_transpose2d_params>(record), input);
  if (op.name == "linear") {
    const auto params = params_of<intrt_linear_params>(record);
    weights(params, 1, input.element_count, output);
    post = params.post;
  }
  if (op.name == "avg_pool2d") post = params_of<intrt_avg_pool2d_params>(record).post;
  if (op.name == "requantize") post = params_of<intrt_requantize_params>(record).post;
  if (op.name == "add") post = params_of<intrt_add_params>(record).post;
  if (op.name == "mul") post = params_of<intrt_mul_params>(record).post;
  if (op.name == "table") {
    const auto params = params_of<intrt_table_params>(record);
    described.text =
        fmt::format("{} table{}{}", params.table_count, params.table_count == 1 ? "" : "s",
                    params.mask_offset == 0 ? "" : ", mask");
    described.json = {
        {"kind", "table"}, {"tables", params.table_count}, {"mask", params.mask_offset != 0}};
  }
  if (op.name == "move") {
    const auto params = params_of<intrt_move_params>(record);
    described.text =
        fmt::format("{} piece{}", params.piece_count, params.piece_count == 1 ? "" : "s");
    described.json = {{"kind", "move"}, {"pieces", params.piece_count}};
  }
  if (post) described = describe_post(plan, *post, output);
  op.post = described.text.empty() ? "-" : described.text;
  if (!described.json.empty()) op.post_json = std::move(described.json);
  return op;
}

}  // namespace lockstep::cli
