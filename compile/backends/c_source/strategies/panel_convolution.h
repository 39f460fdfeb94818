// What convolutions by panels have in common: a *panel* gathers the codes under the windows of two
// positions that lie side by side in a row of the output; a micro-kernel then sums its products
// with the weights of four output channels at a time. So each code and each weight is loaded once
// for several products, windows need no index arithmetic in the innermost loop, and padding is
// zeros in the panel. Rows of the window that lie in the padding are left out where that pays.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compile/backends/c_source/functions/axis.h"
#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/strategies/blocks.h"

namespace lockstep::backends {

// The sizes of such a convolution; `taps` of a window, in the order of memory: rows, columns,
// channels.
struct PanelShape {
  PanelShape(const ir::Program& program, const ir::Op& op, const ir::Conv2d& conv);
  PanelShape(const Axis& rows, const Axis& columns, std::int64_t inputs, std::int64_t outputs);

  Axis rows, columns;  // a pointwise convolution is one row
  std::int64_t inputs = 0, outputs = 0;
  std::int64_t row_taps = 0, taps = 0;

  std::int64_t positions() const { return rows.output * columns.output; }
  std::int64_t blocks() const { return (outputs + 3) / 4; }
  bool leaves_rows_out(std::int64_t unit) const;  // rows of windows are multiples of `unit` taps
};

// The operator, if it is a convolution whose codes are int8_t, in one group, with the taps of a row
// of the window side by side; else null.
const ir::Conv2d* sums_of_windows(const ir::Program& program, const ir::Op& op);
// The same with two positions or more in each row of the output.
const ir::Conv2d* convolution_for_panels(const ir::Program& program, const ir::Op& op);

class PanelMemory;

class PanelConvolution : public Blocks {
 public:
  PanelConvolution(const FunctionPlace& place, const ir::Conv2d& conv)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        conv_(conv),
        shape_(place.program, op_, conv) {}
  virtual ~PanelConvolution() = default;

  FunctionCall emit();

 protected:
  // ---- what differs from one family of micro-kernels to another ----
  virtual PanelMemory panel_memory() const = 0;
  virtual std::string_view panel_function() const = 0;
  virtual std::int64_t unit() const = 0;  // taps that the kernel takes at a time
  // What stands in front of the loop over blocks.
  virtual std::string_view loop_hint() const { return ""; }
  // Fills the panel for the positions x and x + 1 of row y.
  virtual void fill_panel();
  virtual void weight_constants() = 0;
  // Functions that sum_blocks calls.
  virtual void functions_of_blocks() {}
  // Whether rows of the window in the padding are neither gathered nor summed.
  virtual bool leaves_rows_out() const { return shape_.leaves_rows_out(unit()); }
  // Whether the others are gathered where they would be with those.
  virtual bool rows_keep_places() const { return false; }
  // Sums and stores all output channels of the two positions.
  virtual void sum_blocks();
  // The call that sums a block: `first_tap` and `count` are C expressions of taps, in multiples of
  // unit().
  virtual void sum(const std::string& /*first_tap*/, const std::string& /*count*/) {}

  std::int32_t weight(std::int64_t output, std::int64_t tap) const {
    return conv_.weights.data()[output * shape_.taps + tap];
  }

  const ir::Conv2d& conv_;
  const PanelShape shape_;

 private:
  void fill_row(const std::string& tap);
  void fill_row_or_zeros(const std::string& tap);
  std::string position(std::string_view column) const;
};

}  // namespace lockstep::backends
