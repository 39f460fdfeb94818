// The operators of a plan.
#include <algorithm>
#include <cstdlib>
#include <functional>

#include "verify/checker/plan_bytes.h"

namespace lockstep::checker {
namespace {

Int element_bytes(const PlanTensor& tensor) { return tensor.bytes / tensor.count(); }

class OpReader {
 public:
  // Code, node and tensors of `op` have been read; its parameters begin at `params`.
  OpReader(PlanBytes& plan, const std::vector<PlanTensor>& tensors, PlanOp& op, std::size_t params)
      : plan_(plan),
        tensors_(tensors),
        op_(op),
        params_(params),
        in_(tensors[op.inputs[0]]),
        out_(tensors[op.output]),
        channels_(at(out_.channels)) {}

  template <typename Params>
  void convolution() {
    const auto p = params<Params>();
    window(p);
    op_.groups = p.groups;
    need(p.groups != 0 && in_.channels % p.groups == 0 && out_.channels % p.groups == 0, "groups",
         p.groups);
    weights(p, std::size_t{p.kernel_h} * p.kernel_w, at(in_.channels / op_.groups));
    post(p.post);
  }

  void linear() {
    const auto p = params<intrt_linear_params>();
    need(out_.height == 1 && out_.width == 1, "output", out_.count());
    // Bits go through all elements of the input, segments through the channels of each place.
    const Int inputs = p.nonzero_offset != 0 ? in_.count() : in_.channels;
    weights(p, at(in_.count() / inputs), at(inputs));
    post(p.post);
  }

  void max_pool() {
    window(params<intrt_max_pool2d_params>());
    need(in_.channels == out_.channels && element_bytes(in_) == element_bytes(out_) &&
             in_.bits == out_.bits && in_.decimals == out_.decimals,
         "output", out_.channels);
  }

  void avg_pool() {
    const auto p = params<intrt_avg_pool2d_params>();
    need(in_.channels == out_.channels, "channels", out_.channels);
    op_.rows = spans(p.rows_offset, out_.height, in_.height);
    op_.columns = spans(p.columns_offset, out_.width, in_.width);
    post(p.post);
  }

  void requantize() {
    need(in_.has_shape_of(out_), "output", out_.count());
    post(params<intrt_requantize_params>().post);
    need(op_.post.kind != PostKind::kNone || in_.bits <= out_.bits, "bits", in_.bits);
  }

  void add() {
    const auto p = params<intrt_add_params>();
    need_spread();
    for (std::size_t i = 0; i < 2; ++i)
      op_.multipliers[i] = plan_.array<std::int32_t>(
          "multipliers", p.multipliers_offset + i * channels_ * sizeof(std::int32_t), channels_);
    post(p.post);
  }

  void mul() {
    need_spread();
    post(params<intrt_mul_params>().post);
  }

  void table() {
    const auto p = params<intrt_table_params>();
    const std::size_t entry_bytes = at(element_bytes(out_)), size = std::size_t{1} << in_.bits;
    need(in_.has_shape_of(out_) && element_bytes(in_) <= 2 && entry_bytes <= 2, "output",
         out_.count());
    for (std::size_t t = 0; t < p.table_count; ++t) {
      const std::size_t offset = p.entries_offset + t * size * entry_bytes;
      op_.tables.push_back(integers("entries", entry_bytes, offset, size, entry_bytes));
    }
    op_.table_of = p.tables_offset == 0 ? plan_.repeated<std::size_t>("tables", channels_, 0)
                                        : plan_.array<std::uint16_t, std::size_t>(
                                              "tables", p.tables_offset, channels_);
    for (const std::size_t table : op_.table_of) need(table < p.table_count, "table", table);
    mask(p.mask_offset);
  }

  void move() {
    const auto p = params<intrt_move_params>();
    for (const std::size_t i : op_.inputs)
      need(element_bytes(tensors_[i]) == element_bytes(out_), "input", i);
    Int left = out_.count();
    for (std::size_t i = 0; i < p.piece_count; ++i)
      op_.pieces.push_back(piece(p.pieces_offset + i * sizeof(intrt_move_piece), left));
  }

  void argmax() {
    need(element_bytes(out_) == 4 && out_.channels == 1 && out_.height == in_.height &&
             out_.width == in_.width && out_.decimals[0] == 0,
         "output", out_.count());
    need(std::ranges::count(in_.decimals, in_.decimals[0]) == in_.channels, "decimals",
         in_.decimals[0]);
  }

 private:
  template <typename Params>
  Params params() const {
    return plan_.record<Params>("parameters", params_);
  }
  void need(bool ok, const char* field, std::integral auto value) const {
    plan_.need(ok, field, value);
  }
  // Signed, of 1, 2 or 4 bytes.
  std::vector<Int> integers(const char* field, std::size_t bytes, std::size_t offset,
                            std::size_t count, std::size_t alignment) {
    if (bytes == 1) return plan_.array<std::int8_t>(field, offset, count, alignment);
    if (bytes == 2) return plan_.array<std::int16_t>(field, offset, count, alignment);
    return plan_.array<std::int32_t>(field, offset, count, alignment);
  }

  // Along each axis an input has the output's size, or 1.
  void need_spread() const {
    for (const std::size_t i : op_.inputs) {
      const PlanTensor& in = tensors_[i];
      need((in.channels == out_.channels || in.channels == 1) &&
               (in.height == out_.height || in.height == 1) &&
               (in.width == out_.width || in.width == 1),
           "input", i);
    }
  }

  // --- windows --------------------------------------------------------------------------------

  template <typename Params>
  void window(const Params& p) {
    op_.kernel = {p.kernel_h, p.kernel_w};
    op_.stride = {p.stride_h, p.stride_w};
    op_.dilation = {p.dilation_h, p.dilation_w};
    op_.pad_before = {p.pad_top, p.pad_left};
    if constexpr (requires { p.pad_bottom; }) op_.pad_after = {p.pad_bottom, p.pad_right};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const Int kernel = op_.kernel[axis], stride = op_.stride[axis], dilation = op_.dilation[axis],
                pad = op_.pad_before[axis];
      for (const Int size : {kernel, stride, dilation})
        need(size >= 1 && size <= Int{INTRT_MAX_DIM}, "kernel, stride or dilation", size);
      for (const Int size : {pad, op_.pad_after[axis]})
        need(size <= Int{INTRT_MAX_DIM}, "padding", size);
      if (op_.code == OpCode::kConvTranspose2d) continue;
      const Int input = axis == 0 ? in_.height : in_.width,
                output = axis == 0 ? out_.height : out_.width;
      const Int reach = dilation * (kernel - 1) + 1,
                room = input + pad + op_.pad_after[axis] - reach, last = (output - 1) * stride;
      // As many windows as there is room for, those of a pooling up or down, each with a place
      // inside the input.
      need(op_.code == OpCode::kConv2d ? room >= 0 && output == room / stride + 1
                                       : std::abs(last - room) < stride && last < pad + input &&
                                             (pad == 0 || (dilation <= input && pad < reach)),
           "output", output);
    }
  }

  std::vector<Span> spans(std::size_t offset, Int count, Int size) {
    auto spans = plan_.repeated("spans", at(count), Span{});
    for (Span& span : spans) {
      const auto record = plan_.record<intrt_pool_span>("span", offset);
      span = {record.begin, record.end, record.multiplier};
      need(span.begin < span.end && span.end <= size, "end of span", span.end);
      need(span.multiplier >= 1 && span.multiplier <= 1 << 24, "multiplier", span.multiplier);
      offset += sizeof record;
    }
    return spans;
  }

  // --- weights --------------------------------------------------------------------------------

  // Of each output channel [taps][inputs]. Each of the four sizes is at most 2^16.
  template <typename Params>
  void weights(const Params& p, std::size_t taps, std::size_t inputs) {
    need(element_bytes(in_) <= 2, "bits", in_.bits);
    need(p.weight_type >= INTRT_INT8 && p.weight_type <= INTRT_INT32, "weight_type", p.weight_type);
    op_.weight_bits = 4 << p.weight_type;
    op_.is_wide = p.weight_type == INTRT_INT32;
    std::size_t count = 0;
    need(!__builtin_mul_overflow(channels_ * taps, inputs, &count), "weights", channels_ * taps);
    bool is_sparse = false;
    if constexpr (requires { p.nonzero_offset; }) {
      is_sparse = p.nonzero_offset != 0;
      need(p.segment_count == 0 || (!is_sparse && !op_.is_wide), "segment_count", p.segment_count);
      if (is_sparse) sparse_weights(p, taps, inputs);
    }
    if (!is_sparse) op_.weights = stored_weights(p.weights_offset, count);
    if constexpr (requires { p.segment_count; })
      if (p.segment_count != 0) apply_segments(p.segments_offset, p.segment_count, inputs);
    op_.bias = p.bias_offset == 0
                   ? plan_.repeated<Int>("bias", channels_, 0)
                   : plan_.array<std::int32_t>("bias", p.bias_offset, channels_, kAlignment);
  }

  std::vector<Int> stored_weights(std::size_t offset, std::size_t count) {
    return integers("weights", at(op_.weight_bits / 8), offset, count, kAlignment);
  }

  // Bits and starts must say the same, and no bit is set behind the last weight of a tap.
  template <typename Params>
  void sparse_weights(const Params& p, std::size_t taps, std::size_t inputs) {
    const std::size_t tap_bytes = (inputs + 7) / 8, row_bytes = taps * tap_bytes;
    const auto bits =
        plan_.array<std::uint8_t, std::uint8_t>("nonzero", p.nonzero_offset, channels_ * row_bytes);
    const auto starts =
        plan_.array<std::uint32_t, std::size_t>("starts", p.starts_offset, channels_ + 1);
    const std::vector<Int> values = stored_weights(p.weights_offset, starts.back());
    op_.weights = plan_.repeated<Int>("weights", channels_ * taps * inputs, 0);
    std::size_t next = 0;
    for (std::size_t byte = 0; byte < bits.size(); ++byte) {
      if (byte % row_bytes == 0)
        need(starts[byte / row_bytes] == next, "starts: row", byte / row_bytes);
      for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((bits[byte] >> bit & 1) == 0) continue;
        const std::size_t input = byte % tap_bytes * 8 + bit;
        need(input < inputs && next < values.size(), "nonzero: byte", byte);
        op_.weights[byte / tap_bytes * inputs + input] = values[next++];
      }
    }
    need(next == values.size(), "starts: last", values.size());
  }

  // Makes of each weight what it stands for: times 2 to the shifts of all later segments.
  void apply_segments(std::size_t offset, std::size_t count, std::size_t inputs) {
    std::vector<int> shifts;  // for each input, of all segments up to its own, together
    int sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto segment =
          plan_.record<intrt_segment>("segment", offset + i * sizeof(intrt_segment));
      need(segment.end > shifts.size() && segment.end <= inputs, "end", segment.end);
      need(segment.shift <= (i == 0 ? 0 : 30), "shift", segment.shift);
      sum += static_cast<int>(segment.shift);
      shifts.resize(segment.end, sum);
    }
    need(shifts.size() == inputs, "end of segments", shifts.size());
    for (std::size_t k = 0; k < op_.weights.size(); ++k) {
      Int& weight = op_.weights[k];
      const int shift = sum - shifts[k % inputs];
      need(weight == 0 || shift < 48, "shift of weight", weight);  // 2^15 * 2^47 is in 64 bits
      if (weight != 0) weight *= Int{1} << shift;
    }
  }

  // --- moves ----------------------------------------------------------------------------------

  // Stays inside both tensors, and copies no more than `left` elements. Those of a tensor are below
  // 2^32, so that nothing here leaves 64 bits.
  Piece piece(std::size_t offset, Int& left) {
    const auto record = plan_.record<intrt_move_piece>("piece", offset);
    plan_.spend("pieces", 1, sizeof(Piece));
    need(record.input < op_.inputs.size(), "input of piece", record.input);
    Piece piece = {record.input, record.in_first, record.out_first, {}, {}, {}};
    const Int inputs = tensors_[op_.inputs[piece.input]].count(), outputs = out_.count();
    Int low = piece.in_first, high = piece.in_first, last = piece.out_first, copied = 1;
    need(last < outputs, "out_first", last);
    for (std::size_t k = 0; k < 4; ++k) {
      const Int count = piece.count[k] = record.count[k], times = count - 1;
      const Int in_step = piece.in_step[k] = record.in_step[k],
                out_step = piece.out_step[k] = record.out_step[k];
      need(count >= 1 && count <= left / copied, "count", count);
      copied *= count;
      (in_step < 0 ? low : high) += times * in_step;
      need(low >= 0 && high < inputs, "in_step", in_step);
      need(times == 0 || out_step <= (outputs - 1 - last) / times, "out_step", out_step);
      last += times * out_step;
    }
    left -= copied;
    return piece;
  }

  // --- post records ---------------------------------------------------------------------------

  void post(const intrt_post_record& p) {
    const bool is_none = p.kind == INTRT_POST_NONE, is_shift = p.kind == INTRT_POST_SHIFT,
               is_scale = p.kind == INTRT_POST_SCALE;
    need(is_shift || ((is_none || is_scale) && !op_.is_wide), "kind", p.kind);
    need(p.rounding <= 2, "rounding", p.rounding);
    op_.post.kind = static_cast<PostKind>(p.kind);
    op_.post.rounding = static_cast<Rounding>(p.rounding);
    op_.post.lo = p.lo;
    op_.post.hi = p.hi;
    need(!is_shift || p.lo <= p.hi, "limit", p.hi);
    need(!is_none || element_bytes(out_) == 4, "kind", p.kind);
    need(is_none || p.shift_count == channels_ || (is_shift && p.shift_count == 1), "shift_count",
         p.shift_count);
    if (!is_none) {
      op_.post.shifts = plan_.array<std::int8_t, int>("shifts", p.shifts_offset, p.shift_count);
      for (const int shift : op_.post.shifts)
        need(is_shift && !op_.is_wide ? shift >= -31 && shift <= 30 : shift >= 0 && shift <= 62,
             "shift", shift);
      if (p.shift_count != channels_)
        op_.post.shifts = plan_.repeated("shifts", channels_, op_.post.shifts[0]);
    }
    if (is_scale) scales(p);
    mask(p.mask_offset);
  }

  void scales(const intrt_post_record& p) {
    const std::vector<int> shifts = std::exchange(op_.post.shifts, {});
    const auto multipliers =
        plan_.array<std::int32_t>("multipliers", p.multipliers_offset, channels_);
    const auto addends = plan_.array<std::int64_t>("addends", p.addends_offset, channels_);
    const auto limits = plan_.array<std::int16_t>("limits", p.limits_offset, 2 * channels_);
    op_.post.scales = plan_.repeated("scales", channels_, ScaleStep{});
    constexpr Int kEnd = Int{1} << 62;
    for (std::size_t c = 0; c < channels_; ++c) {
      const Int lo = limits[2 * c], hi = limits[2 * c + 1];
      need(addends[c] > -kEnd && addends[c] < kEnd, "addend", addends[c]);
      need(lo <= hi, "limit", hi);
      op_.post.scales[c] = {multipliers[c], addends[c], shifts[c], lo, hi, {}, {}};
    }
    if (p.starts_offset != 0) steps(p);
  }

  // Thresholds and codes of those channels that have some.
  void steps(const intrt_post_record& p) {
    const auto starts = plan_.array<std::uint32_t>("starts", p.starts_offset, channels_ + 1);
    need(starts[0] == 0 && std::ranges::is_sorted(starts), "starts", starts[0]);
    const std::size_t count = at(starts.back());
    const auto thresholds = plan_.array<std::int32_t>("thresholds", p.thresholds_offset, count);
    const auto codes = plan_.array<std::int16_t>("codes", p.codes_offset, count + channels_);
    plan_.spend("steps", 2 * count + channels_, sizeof(Int));
    for (std::size_t c = 0; c < channels_; ++c) {
      const Int first = starts[c], end = starts[c + 1], shift = static_cast<Int>(c);
      if (first == end) continue;
      ScaleStep& scale = op_.post.scales[c];
      scale.thresholds.assign(thresholds.begin() + first, thresholds.begin() + end);
      scale.codes.assign(codes.begin() + first + shift, codes.begin() + end + shift + 1);
      need(std::ranges::adjacent_find(scale.thresholds, std::greater_equal()) ==
               scale.thresholds.end(),
           "thresholds of channel", c);
    }
  }

  void mask(std::size_t offset) {
    if (offset == 0) return;
    const std::size_t count = at(out_.count());
    const auto bytes = plan_.array<std::uint8_t, std::uint8_t>("mask", offset, (count + 7) / 8);
    op_.post.keep = plan_.repeated<std::uint8_t>("mask", count, 0);
    for (std::size_t i = 0; i < count; ++i) op_.post.keep[i] = bytes[i / 8] >> (i % 8) & 1;
  }

  static constexpr std::size_t kAlignment = INTRT_PLAN_ALIGNMENT;

  PlanBytes& plan_;
  const std::vector<PlanTensor>& tensors_;
  PlanOp& op_;
  std::size_t params_;
  const PlanTensor &in_, &out_;  // the first input, and the output
  std::size_t channels_;         // of the output
};

struct Kind {
  OpCode code;
  std::string_view name;
  std::size_t params, inputs;  // inputs 0: any number
  void (OpReader::*read)();
};

using R = OpReader;
constexpr Kind kKinds[] = {
    {OpCode::kConv2d, "conv2d", sizeof(intrt_conv2d_params), 1,
     &R::convolution<intrt_conv2d_params>},
    {OpCode::kLinear, "linear", sizeof(intrt_linear_params), 1, &R::linear},
    {OpCode::kMaxPool2d, "max_pool2d", sizeof(intrt_max_pool2d_params), 1, &R::max_pool},
    {OpCode::kRequantize, "requantize", sizeof(intrt_requantize_params), 1, &R::requantize},
    {OpCode::kConvTranspose2d, "conv_transpose2d", sizeof(intrt_conv_transpose2d_params), 1,
     &R::convolution<intrt_conv_transpose2d_params>},
    {OpCode::kAvgPool2d, "avg_pool2d", sizeof(intrt_avg_pool2d_params), 1, &R::avg_pool},
    {OpCode::kAdd, "add", sizeof(intrt_add_params), 2, &R::add},
    {OpCode::kMul, "mul", sizeof(intrt_mul_params), 2, &R::mul},
    {OpCode::kTable, "table", sizeof(intrt_table_params), 1, &R::table},
    {OpCode::kMove, "move", sizeof(intrt_move_params), 0, &R::move},
    {OpCode::kArgMax, "argmax", 0, 1, &R::argmax},
};

}  // namespace

PlanOp read_op(PlanBytes& plan, const std::vector<PlanTensor>& tensors, std::size_t index,
               std::size_t offset) {
  plan.begin(fmt::format("operator {}", index));
  const auto record = plan.record<intrt_op_record>("record", offset);
  PlanOp op;
  op.node = plan.text("name", record.name_offset);
  plan.begin(fmt::format("operator {} '{}'", index, op.node));
  const Kind* const kind = std::ranges::find(kKinds, OpCode{record.code}, &Kind::code);
  plan.need(kind != std::end(kKinds), "code", record.code);
  op.code = kind->code;
  op.name = kind->name;
  plan.need(record.record_bytes == sizeof record + kind->params, "record_bytes",
            record.record_bytes);
  plan.need(kind->inputs == 0 ? record.input_count >= 1 : record.input_count == kind->inputs,
            "input_count", record.input_count);
  op.inputs =
      plan.array<std::uint32_t, std::size_t>("inputs", record.inputs_offset, record.input_count);
  op.output = record.output;
  plan.need(op.output < tensors.size(), "output", record.output);
  for (const std::size_t input : op.inputs)
    plan.need(input < tensors.size() && (!tensors[input].is_raw || op.code == OpCode::kTable),
              "input", input);
  (OpReader(plan, tensors, op, offset + sizeof record).*kind->read)();
  return op;
}

}  // namespace lockstep::checker
