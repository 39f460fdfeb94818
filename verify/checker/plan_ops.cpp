#include "verify/checker/plan_ops.h"

#include <algorithm>
#include <cstdlib>
#include <functional>

namespace lockstep::checker {
namespace {

Int element_bytes(const PlanTensor& tensor) { return tensor.bytes / tensor.count(); }

bool same_shape(const PlanTensor& a, const PlanTensor& b) {
  return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

// Along each axis the input has the output's size, or 1.
bool spreads_over(const PlanTensor& in, const PlanTensor& out) {
  return (in.channels == out.channels || in.channels == 1) &&
         (in.height == out.height || in.height == 1) && (in.width == out.width || in.width == 1);
}

// How weights [rows][taps][inputs] are kept.
struct Storage {
  std::size_t weights = 0, bias = 0, nonzero = 0, starts = 0, segments = 0;  // offsets
  std::size_t segment_count = 0, rows = 0, taps = 0, inputs = 0;
};

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
        channels_(static_cast<std::size_t>(out_.channels)) {}

  template <typename Params>
  void convolution() {
    const auto p = params<Params>();
    window(p);
    op_.groups = p.groups;
    need(p.groups != 0 && in_.channels % p.groups == 0 && out_.channels % p.groups == 0, "groups",
         p.groups);
    Storage storage = storage_of(p);
    if constexpr (requires { p.pad_bottom; })
      need_windows([this](std::size_t axis, Int, Int output, Int, Int room) {
        return room >= 0 && output == room / op_.stride[axis] + 1;
      });
    storage.taps = std::size_t{p.kernel_h} * p.kernel_w;
    storage.inputs = static_cast<std::size_t>(in_.channels / op_.groups);
    weights(p.weight_type, storage);
    post(p.post);
  }

  void linear() {
    const auto p = params<intrt_linear_params>();
    need(out_.height == 1 && out_.width == 1, "output", out_.count());
    Storage storage = storage_of(p);
    // Bits go through all elements of the input, segments through the channels of each place.
    storage.inputs = static_cast<std::size_t>(storage.nonzero != 0 ? in_.count() : in_.channels);
    storage.taps = static_cast<std::size_t>(in_.count()) / storage.inputs;
    weights(p.weight_type, storage);
    post(p.post);
  }

  void max_pool() {
    window(params<intrt_max_pool2d_params>());
    need(in_.channels == out_.channels && element_bytes(in_) == element_bytes(out_) &&
             in_.bits == out_.bits && in_.decimals == out_.decimals,
         "output", out_.channels);
    // As many windows as there is room for, up or down; each with a place inside the input.
    need_windows([this](std::size_t axis, Int input, Int output, Int reach, Int room) {
      const Int last = (output - 1) * op_.stride[axis], pad = op_.pad_before[axis];
      return std::abs(last - room) < op_.stride[axis] && last < pad + input &&
             (pad == 0 || (op_.dilation[axis] <= input && pad < reach));
    });
  }

  void avg_pool() {
    const auto p = params<intrt_avg_pool2d_params>();
    need(in_.channels == out_.channels, "channels", out_.channels);
    op_.rows = spans(p.rows_offset, out_.height, in_.height);
    op_.columns = spans(p.columns_offset, out_.width, in_.width);
    post(p.post);
  }

  void requantize() {
    need(same_shape(in_, out_), "output", out_.count());
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
    const auto entry_bytes = static_cast<std::size_t>(element_bytes(out_));
    need(same_shape(in_, out_) && element_bytes(in_) <= 2 && entry_bytes <= 2, "output",
         out_.count());
    need(p.table_count != 0, "table_count", p.table_count);
    const std::size_t size = std::size_t{1} << in_.bits;
    for (std::size_t t = 0; t < p.table_count; ++t) {
      const std::size_t offset = p.entries_offset + t * size * entry_bytes;
      op_.tables.push_back(entry_bytes == 1 ? plan_.array<std::int8_t>("entries", offset, size)
                                            : plan_.array<std::int16_t>("entries", offset, size));
      for (const Int code : op_.tables.back()) need(is_code(code), "entry", code);
    }
    op_.table_of = p.tables_offset == 0 ? plan_.repeated<std::size_t>("tables", channels_, 0)
                                        : plan_.array<std::uint16_t, std::size_t>(
                                              "tables", p.tables_offset, channels_);
    for (const std::size_t table : op_.table_of)
      need(table < p.table_count, "table", static_cast<Int>(table));
    mask(p.mask_offset);
  }

  void move() {
    const auto p = params<intrt_move_params>();
    need(p.piece_count != 0, "piece_count", p.piece_count);
    for (const std::size_t i : op_.inputs)
      need(element_bytes(tensors_[i]) == element_bytes(out_) && tensors_[i].bits <= out_.bits,
           "input", static_cast<Int>(i));
    Int copied = 0;
    for (std::size_t i = 0; i < p.piece_count; ++i) {
      op_.pieces.push_back(piece(p.pieces_offset + i * sizeof(intrt_move_piece)));
      const auto& count = op_.pieces.back().count;
      copied += count[0] * count[1] * count[2] * count[3];
      need(copied <= out_.count(), "piece", static_cast<Int>(i));
    }
  }

  void argmax() {
    need(element_bytes(out_) == 4 && out_.channels == 1 && out_.height == in_.height &&
             out_.width == in_.width && out_.decimals[0] == 0 && is_code(in_.channels - 1),
         "output", out_.count());
    need(std::ranges::count(in_.decimals, in_.decimals[0]) == in_.channels, "decimals",
         in_.decimals[0]);
  }

 private:
  template <typename Params>
  Params params() const {
    return plan_.record<Params>("parameters", params_);
  }
  void need(bool ok, const char* field, Int value) const { plan_.need(ok, field, value); }
  bool is_code(Int x) const { return x >> (out_.bits - 1) == 0 || x >> (out_.bits - 1) == -1; }

  void need_spread() const {
    for (const std::size_t i : op_.inputs)
      need(spreads_over(tensors_[i], out_), "input", static_cast<Int>(i));
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
      for (const Int size : {op_.kernel[axis], op_.stride[axis], op_.dilation[axis]})
        need(size >= 1 && size <= Int{INTRT_MAX_DIM}, "kernel, stride or dilation", size);
      for (const Int size : {op_.pad_before[axis], op_.pad_after[axis]})
        need(size <= Int{INTRT_MAX_DIM}, "padding", size);
    }
  }

  // Of both axes: fits(axis, input, output, reach of the window, room that it has to move).
  template <typename Fits>
  void need_windows(const Fits& fits) const {
    const std::array<Int, 2> inputs = {in_.height, in_.width}, outputs = {out_.height, out_.width};
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const Int reach = op_.dilation[axis] * (op_.kernel[axis] - 1) + 1;
      const Int room = inputs[axis] + op_.pad_before[axis] + op_.pad_after[axis] - reach;
      need(fits(axis, inputs[axis], outputs[axis], reach, room), "output", outputs[axis]);
    }
  }

  std::vector<Span> spans(std::size_t offset, Int count, Int size) {
    auto spans = plan_.repeated("spans", static_cast<std::size_t>(count), Span{});
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

  template <typename Params>
  Storage storage_of(const Params& p) const {
    Storage s;
    s.weights = p.weights_offset;
    s.bias = p.bias_offset;
    s.rows = channels_;
    if constexpr (requires { p.nonzero_offset; }) {
      s.nonzero = p.nonzero_offset;
      s.starts = p.starts_offset;
      s.segments = p.segments_offset;
      s.segment_count = p.segment_count;
    }
    return s;
  }

  void weights(std::uint32_t type, const Storage& s) {
    need(element_bytes(in_) <= 2, "bits", in_.bits);
    need(type >= INTRT_INT8 && type <= INTRT_INT32, "weight_type", type);
    op_.weight_bits = 4 << type;
    op_.is_wide = type == INTRT_INT32;
    const bool is_sparse = s.nonzero != 0, has_segments = s.segment_count != 0;
    need((is_sparse || s.starts == 0) && (has_segments || s.segments == 0) &&
             !(has_segments && (is_sparse || op_.is_wide)),
         "segment_count", static_cast<Int>(s.segment_count));
    const std::size_t taps = plan_.product("weights", s.rows, s.taps);
    const std::size_t count = plan_.product("weights", taps, s.inputs);
    if (is_sparse) {
      sparse_weights(s, taps, count);
    } else {
      op_.weights = stored_weights(s.weights, count);
    }
    if (has_segments) apply_segments(s);
    op_.bias = s.bias == 0 ? plan_.repeated<Int>("bias", s.rows, 0)
                           : plan_.array<std::int32_t>("bias", s.bias, s.rows, kAlignment);
  }

  std::vector<Int> stored_weights(std::size_t offset, std::size_t count) {
    if (op_.weight_bits == 8) return plan_.array<std::int8_t>("weights", offset, count, kAlignment);
    if (op_.is_wide) return plan_.array<std::int32_t>("weights", offset, count, kAlignment);
    return plan_.array<std::int16_t>("weights", offset, count, kAlignment);
  }

  // Bits and starts must say the same, and no bit is set behind the last weight of a tap.
  void sparse_weights(const Storage& s, std::size_t taps, std::size_t count) {
    const std::size_t tap_bytes = (s.inputs + 7) / 8, row_bytes = s.taps * tap_bytes;
    const auto bits = plan_.array<std::uint8_t, std::uint8_t>(
        "nonzero", s.nonzero, plan_.product("nonzero", taps, tap_bytes));
    const auto starts = plan_.array<std::uint32_t, std::size_t>("starts", s.starts, s.rows + 1);
    const std::vector<Int> values = stored_weights(s.weights, starts.back());
    op_.weights = plan_.repeated<Int>("weights", count, 0);
    std::size_t next = 0;
    for (std::size_t byte = 0; byte < bits.size(); ++byte) {
      if (byte % row_bytes == 0)
        need(starts[byte / row_bytes] == next, "starts: row", static_cast<Int>(byte / row_bytes));
      for (std::size_t bit = 0; bit < 8; ++bit) {
        if ((bits[byte] >> bit & 1) == 0) continue;
        const std::size_t input = byte % tap_bytes * 8 + bit;
        need(input < s.inputs && next < values.size(), "nonzero: byte", static_cast<Int>(byte));
        op_.weights[byte / tap_bytes * s.inputs + input] = values[next++];
      }
    }
    need(next == values.size(), "starts: last", static_cast<Int>(values.size()));
  }

  // Makes of each weight what it stands for: times 2 to the shifts of all later segments.
  void apply_segments(const Storage& s) {
    std::vector<int> shifts;  // for each input, of all segments up to its own, together
    int sum = 0;
    for (std::size_t i = 0; i < s.segment_count; ++i) {
      const auto segment =
          plan_.record<intrt_segment>("segment", s.segments + i * sizeof(intrt_segment));
      need(segment.end > shifts.size() && segment.end <= s.inputs, "end", segment.end);
      need(segment.shift <= (i == 0 ? 0 : 30), "shift", segment.shift);
      sum += static_cast<int>(segment.shift);
      shifts.resize(segment.end, sum);
    }
    need(shifts.size() == s.inputs, "end of segments", static_cast<Int>(shifts.size()));
    for (std::size_t k = 0; k < op_.weights.size(); ++k) {
      Int& weight = op_.weights[k];
      const int shift = sum - shifts[k % s.inputs];
      need(weight == 0 || shift < 48, "shift of weight", weight);  // 2^15 * 2^47 is in 64 bits
      if (weight != 0) weight *= Int{1} << shift;
    }
  }

  // --- moves ----------------------------------------------------------------------------------

  // Stays inside both tensors. Their elements are below 2^32, so that nothing here leaves 64 bits.
  Piece piece(std::size_t offset) {
    const auto record = plan_.record<intrt_move_piece>("piece", offset);
    plan_.spend("pieces", 1, sizeof(Piece));
    need(record.input < op_.inputs.size(), "input of piece", record.input);
    Piece piece = {record.input, record.in_first, record.out_first, {}, {}, {}};
    const Int inputs = tensors_[op_.inputs[piece.input]].count(), outputs = out_.count();
    Int low = piece.in_first, high = piece.in_first, last = piece.out_first, copied = 1;
    need(last < outputs, "out_first", last);
    for (std::size_t k = 0; k < 4; ++k) {
      piece.count[k] = record.count[k];
      piece.in_step[k] = record.in_step[k];
      piece.out_step[k] = record.out_step[k];
      need(piece.count[k] >= 1 && piece.count[k] <= outputs / copied, "count", piece.count[k]);
      copied *= piece.count[k];
      const Int times = piece.count[k] - 1, way = times * piece.in_step[k];
      (way < 0 ? low : high) += way;
      need(low >= 0 && high < inputs, "in_step", piece.in_step[k]);
      need(times == 0 || piece.out_step[k] <= (outputs - 1 - last) / times, "out_step",
           piece.out_step[k]);
      last += times * piece.out_step[k];
    }
    return piece;
  }

  // --- post records ---------------------------------------------------------------------------

  void post(const intrt_post_record& p) {
    need(p.reserved == 0, "reserved", p.reserved);
    need(p.kind <= INTRT_POST_SCALE && (!op_.is_wide || p.kind == INTRT_POST_SHIFT), "kind",
         p.kind);
    op_.post.kind = static_cast<PostKind>(p.kind);
    op_.post.rounding = static_cast<Rounding>(p.rounding);
    const int roundings[] = {0, 2, 1};  // the last that each kind allows
    need(p.rounding <= roundings[p.kind], "rounding", p.rounding);
    op_.post.lo = p.lo;
    op_.post.hi = p.hi;
    const bool has_limits = p.kind == INTRT_POST_SHIFT;
    need(has_limits ? p.lo <= p.hi && is_code(p.lo) && is_code(p.hi) : p.lo == 0 && p.hi == 0,
         "limit", p.hi);
    need(
        p.kind == INTRT_POST_SCALE || (p.multipliers_offset | p.addends_offset | p.limits_offset |
                                       p.starts_offset | p.thresholds_offset | p.codes_offset) == 0,
        "fields of a scale: kind", p.kind);
    const bool is_none = p.kind == INTRT_POST_NONE;
    need(!is_none || (element_bytes(out_) == 4 && p.shifts_offset == 0), "kind", p.kind);
    need(is_none ? p.shift_count == 0
                 : p.shift_count == channels_ || (has_limits && p.shift_count == 1),
         "shift_count", p.shift_count);
    if (!is_none) shifts(p);
    if (p.kind == INTRT_POST_SCALE) scales(p);
    mask(p.mask_offset);
  }

  // Of a shift, or of the steps of a scale.
  void shifts(const intrt_post_record& p) {
    auto shifts = plan_.array<std::int8_t, int>("shifts", p.shifts_offset, p.shift_count);
    const bool is_narrow = p.kind == INTRT_POST_SHIFT && !op_.is_wide;
    for (const int shift : shifts)
      need(is_narrow ? shift >= -31 && shift <= 30 : shift >= 0 && shift <= 62, "shift", shift);
    if (p.shift_count != channels_) shifts = plan_.repeated("shifts", channels_, shifts[0]);
    op_.post.shifts = std::move(shifts);
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
      need(lo <= hi && is_code(lo) && is_code(hi), "limit", hi);
      op_.post.scales[c] = {multipliers[c], addends[c], shifts[c], lo, hi, {}, {}};
    }
    if (p.starts_offset != 0) steps(p);
    need(p.starts_offset != 0 || (p.thresholds_offset | p.codes_offset) == 0, "starts", 0);
  }

  // Thresholds and codes of those channels that have some.
  void steps(const intrt_post_record& p) {
    const auto starts = plan_.array<std::uint32_t>("starts", p.starts_offset, channels_ + 1);
    need(starts[0] == 0 && std::ranges::is_sorted(starts), "starts", starts[0]);
    const auto count = static_cast<std::size_t>(starts.back());
    const auto thresholds = plan_.array<std::int32_t>("thresholds", p.thresholds_offset, count);
    const auto codes = plan_.array<std::int16_t>("codes", p.codes_offset, count + channels_);
    for (const Int code : codes) need(is_code(code), "code", code);
    plan_.spend("steps", 2 * count + channels_, sizeof(Int));
    for (std::size_t c = 0; c < channels_; ++c) {
      const Int first = starts[c], end = starts[c + 1], code = first + static_cast<Int>(c);
      if (first == end) continue;
      ScaleStep& scale = op_.post.scales[c];
      scale.thresholds.assign(thresholds.begin() + first, thresholds.begin() + end);
      scale.codes.assign(codes.begin() + code, codes.begin() + code + (end - first) + 1);
      need(std::ranges::adjacent_find(scale.thresholds, std::greater_equal()) ==
               scale.thresholds.end(),
           "thresholds of channel", static_cast<Int>(c));
    }
  }

  void mask(std::size_t offset) {
    if (offset == 0) return;
    const auto count = static_cast<std::size_t>(out_.count());
    const auto bytes = plan_.array<std::uint8_t, std::uint8_t>("mask", offset, (count + 7) / 8);
    op_.post.keep = plan_.repeated<std::uint8_t>("mask", count, 0);
    for (std::size_t i = 0; i < count; ++i) op_.post.keep[i] = bytes[i / 8] >> (i % 8) & 1;
    need(count % 8 == 0 || bytes.back() >> (count % 8) == 0, "last byte of mask", bytes.back());
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
  std::size_t params, inputs;  // inputs 0: any number
  void (OpReader::*read)();
};

constexpr Kind kKinds[] = {
    {OpCode::kConv2d, sizeof(intrt_conv2d_params), 1, &OpReader::convolution<intrt_conv2d_params>},
    {OpCode::kLinear, sizeof(intrt_linear_params), 1, &OpReader::linear},
    {OpCode::kMaxPool2d, sizeof(intrt_max_pool2d_params), 1, &OpReader::max_pool},
    {OpCode::kRequantize, sizeof(intrt_requantize_params), 1, &OpReader::requantize},
    {OpCode::kConvTranspose2d, sizeof(intrt_conv_transpose2d_params), 1,
     &OpReader::convolution<intrt_conv_transpose2d_params>},
    {OpCode::kAvgPool2d, sizeof(intrt_avg_pool2d_params), 1, &OpReader::avg_pool},
    {OpCode::kAdd, sizeof(intrt_add_params), 2, &OpReader::add},
    {OpCode::kMul, sizeof(intrt_mul_params), 2, &OpReader::mul},
    {OpCode::kTable, sizeof(intrt_table_params), 1, &OpReader::table},
    {OpCode::kMove, sizeof(intrt_move_params), 0, &OpReader::move},
    {OpCode::kArgMax, 0, 1, &OpReader::argmax},
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
              "input", static_cast<Int>(input));
  (OpReader(plan, tensors, op, offset + sizeof record).*kind->read)();
  return op;
}

}  // namespace lockstep::checker
