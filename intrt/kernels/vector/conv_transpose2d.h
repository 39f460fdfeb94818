// The transpose of a convolution, as convolutions: outputs that are a stride apart, a phase, are
// reached by the same taps. They are a dense convolution of the input with these taps, the last one
// first, and with a stride of 1. Where windows are larger than the input, each output is a phase of
// its own, with the taps that read the input there. Include the variant's vector.h or wide.h
// before.
#pragma once

#include "intrt/kernels/vector/convolution.h"

namespace intrt {
namespace {

// Outputs first, first + step, ... along one axis.
struct PhaseAxis {
  size_t outputs;
  size_t taps;      // that reach them; 0: none
  size_t last_tap;  // the window begins with it, and goes on backwards
  ptrdiff_t padding;
};

// One axis of an operator, and into which phases it is divided.
struct Axis {
  size_t input, outputs, kernel, stride, dilation, pad;
  size_t tap_step;         // from a tap to the next that reaches the same outputs
  size_t window_dilation;  // how far apart such taps read
  size_t step;             // from an output to the next of its phase

  Axis(uint32_t input_, uint32_t outputs_, uint32_t kernel_, uint32_t stride_, uint32_t dilation_,
       uint32_t pad_)
      : input(input_),
        outputs(outputs_),
        kernel(kernel_),
        stride(stride_),
        dilation(dilation_),
        pad(pad_) {
    size_t a = stride, b = dilation;  // their greatest common divisor
    while (b != 0) {
      const size_t rest = a % b;
      a = b;
      b = rest;
    }
    tap_step = stride / a;
    window_dilation = dilation / a;
    step = kernel > tap_step * input ? outputs : stride;
  }

  size_t phases() const { return step < outputs ? step : outputs; }
  // Of one phase, the most.
  size_t most_outputs() const { return (outputs + step - 1) / step; }

  PhaseAxis phase(size_t first) const {
    PhaseAxis phase = {(outputs - first + step - 1) / step, 0, 0, 0};
    // Tap k reads, for the first output, position distance(k) / stride of the input.
    const auto distance = [&](size_t k) {
      return static_cast<ptrdiff_t>(first + pad) - static_cast<ptrdiff_t>(k * dilation);
    };
    const ptrdiff_t of_stride = static_cast<ptrdiff_t>(stride);
    size_t tap = 0;
    while (tap < tap_step && distance(tap) % of_stride != 0) ++tap;
    if (tap == tap_step || tap >= kernel) return phase;
    const size_t all_taps = (kernel - tap - 1) / tap_step + 1;
    // Those that read in front of the input or behind it, whatever the output; but for one.
    const ptrdiff_t nearest = distance(tap) / of_stride;
    const size_t behind = least_of(steps_of(nearest - end() + 1), all_taps - 1);
    const ptrdiff_t farthest = nearest - static_cast<ptrdiff_t>((all_taps - 1) * window_dilation);
    const size_t before = least_of(steps_of(-farthest - static_cast<ptrdiff_t>(phase.outputs) + 1),
                                   all_taps - 1 - behind);
    phase.taps = all_taps - behind - before;
    phase.last_tap = tap + (all_taps - 1 - before) * tap_step;
    phase.padding = -(farthest + static_cast<ptrdiff_t>(before * window_dilation));
    return phase;
  }

 private:
  ptrdiff_t end() const { return static_cast<ptrdiff_t>(input); }
  // Steps of a window that take so many positions, or more.
  size_t steps_of(ptrdiff_t positions) const {
    if (positions <= 0) return 0;
    return (static_cast<size_t>(positions) + window_dilation - 1) / window_dilation;
  }
  static size_t least_of(size_t a, size_t b) { return a < b ? a : b; }
};

// The weights of a phase, [O][taps][I]. A plan stores all of them.
struct PhaseWeights {
  StoredWeights stored;
  const Axis &down, &across;
  const PhaseAxis &rows, &columns;

  // Goes through those of one output.
  class Row {
   public:
    Row(const PhaseWeights& weights, size_t output) : w_(weights), output_(output) {}

    int32_t next() {
      const size_t ky = w_.rows.last_tap - y_ * w_.down.tap_step,
                   kx = w_.columns.last_tap - x_ * w_.across.tap_step;
      const size_t tap = ky * w_.across.kernel + kx;
      const int32_t weight =
          w_.stored.weight((output_ * w_.stored.taps + tap) * w_.stored.inputs + input_);
      if (++input_ == w_.stored.inputs) {
        input_ = 0;
        if (++x_ == w_.columns.taps) {
          x_ = 0;
          ++y_;
        }
      }
      return weight;
    }

   private:
    const PhaseWeights& w_;
    size_t output_, y_ = 0, x_ = 0, input_ = 0;
  };
};

// Outputs (y, x), (y, x + across.step), ...
struct Phase {
  size_t number, y, x;
  PhaseAxis rows, columns;
  Sizes s;  // of the convolution

  bool has_taps() const { return rows.taps != 0 && columns.taps != 0; }
};

// An operator and its phases.
struct Phases {
  const intrt_conv_transpose2d_params& p;
  Axis down, across;
  size_t inputs, outputs;  // channels

  explicit Phases(const OpToPrepare& op)
      : p(params_of<intrt_conv_transpose2d_params>(op.record)),
        down(op.input.height, op.output.height, p.kernel_h, p.stride_h, p.dilation_h, p.pad_top),
        across(op.input.width, op.output.width, p.kernel_w, p.stride_w, p.dilation_w, p.pad_left),
        inputs(op.input.channels),
        outputs(op.output.channels) {}

  size_t count() const { return down.phases() * across.phases(); }
  // Calls f(phase) for each, for as long as it says yes.
  template <typename F>
  bool for_each(const F& f) const {
    size_t number = 0;
    for (size_t y = 0; y < down.phases(); ++y)
      for (size_t x = 0; x < across.phases(); ++x) {
        const PhaseAxis rows = down.phase(y), columns = across.phase(x);
        const Sizes s = {inputs,
                         p.groups,
                         inputs / p.groups,
                         outputs / p.groups,
                         down.input,
                         across.input,
                         rows.outputs,
                         columns.outputs,
                         rows.taps,
                         columns.taps,
                         1,
                         1,
                         down.window_dilation,
                         across.window_dilation,
                         rows.padding,
                         columns.padding};
        if (!f(Phase{number++, y, x, rows, columns, s})) return false;
      }
    return true;
  }

  PhaseWeights weights(const OpToPrepare& op, const Phase& phase) const {
    return {{op.plan.bytes + p.weights_offset, p.weight_type, nullptr, nullptr,
             down.kernel * across.kernel, phase.s.group_inputs},
            down,
            across,
            phase.rows,
            phase.columns};
  }
};

// Prepared memory has this and a dense convolution's for each phase.
struct alignas(kBlockAlignment) PhaseHeader {
  size_t bytes;  // of header and all
};

// Many phases, or windows of few codes, leave little to multiply for what is prepared.
constexpr size_t kMostPhases = 64, kPhasesOfCode = 4;

// Along an axis the taps of all windows, of which many may read nothing but padding, are to be at
// most twice as many as all taps at all positions of the input.
bool multiplies_little_in_vain(const Axis& axis) {
  size_t taps = 0;
  for (size_t first = 0; first < axis.phases(); ++first) {
    const PhaseAxis phase = axis.phase(first);
    taps += phase.outputs * phase.taps;
  }
  return taps <= 2 * axis.kernel * axis.input;
}

bool takes(const OpToPrepare& op) {
  const Phases phases(op);
  const intrt_conv_transpose2d_params& p = phases.p;
  if (p.weight_type == INTRT_INT32) return false;
  if (p.groups > 1 && op.output.channels / p.groups < kFewOutputs) return false;
  const size_t count = phases.count();
  return count <= kMostPhases && multiplies_little_in_vain(phases.down) &&
         multiplies_little_in_vain(phases.across) && phases.for_each([&](const Phase& phase) {
           return phase.has_taps() && dense_fits(phase.s) &&
                  count <=
                      kPhasesOfCode * phase.rows.taps * phase.columns.taps * phase.s.group_inputs;
         });
}

size_t prepared_bytes(const OpToPrepare& op) {
  const Phases phases(op);
  size_t bytes = 0;
  phases.for_each([&](const Phase& phase) {
    bytes += sizeof(PhaseHeader) +
             aligned(dense_bytes(op, phases.p.post, phase.s, phases.weights(op, phase)));
    return true;
  });
  return bytes;
}

void prepare(const OpToPrepare& op, void* to) {
  const Phases phases(op);
  const uint32_t bias_offset = phases.p.bias_offset;
  const int32_t* bias = bias_offset == 0 ? nullptr : object_at<int32_t>(op.plan, bias_offset);
  uint8_t* at = static_cast<uint8_t*>(to);
  phases.for_each([&](const Phase& phase) {
    PhaseHeader& header = *static_cast<PhaseHeader*>(static_cast<void*>(at));
    const PhaseWeights weights = phases.weights(op, phase);
    header.bytes = sizeof header + aligned(dense_bytes(op, phases.p.post, phase.s, weights));
    prepare_dense(op, phases.p.post, phase.s, weights, bias, &header + 1);
    at += header.bytes;
    return true;
  });
}

// A slice is a row of each phase; where phases have one row, a column; where they have one output,
// a phase.
uint32_t slices(const OpToPrepare& op) {
  const Phases phases(op);
  const size_t rows = phases.down.most_outputs(), columns = phases.across.most_outputs();
  return static_cast<uint32_t>(rows > 1 ? rows : columns > 1 ? columns : phases.count());
}

void run(const OpToRun& op) {
  const Phases phases({op.plan, op.record, op.input, op.output});
  const Target target(op, phases.p.post);
  const size_t row = op.output.width * phases.outputs;
  const bool by_rows = phases.down.most_outputs() > 1,
             by_columns = phases.across.most_outputs() > 1;
  const uint8_t* at = static_cast<const uint8_t*>(op.prepared);
  phases.for_each([&](const Phase& phase) {
    const PhaseHeader& header = *static_cast<const PhaseHeader*>(static_cast<const void*>(at));
    at += header.bytes;
    const void* const prepared = &header + 1;
    const Dense dense = {phase.s, *static_cast<const DenseHeader*>(prepared),
                         phase.y * row + phase.x * phases.outputs, phases.down.step * row,
                         phases.across.step * phases.outputs};
    Part part(phase.s);
    if (by_rows || by_columns) {
      Extent& sliced = by_rows ? part.rows : part.columns;
      sliced.begin = op.slices.begin;
      if (op.slices.end < sliced.end) sliced.end = op.slices.end;
    } else if (phase.number < op.slices.begin || phase.number >= op.slices.end) {
      return true;
    }
    with_input(op, [&](const auto* input) { run_part(input, target, dense, part); });
    return true;
  });
}

constexpr FastKernel kConvTranspose2d = {takes, run, prepared_bytes, prepare, slices};

}  // namespace
}  // namespace intrt
