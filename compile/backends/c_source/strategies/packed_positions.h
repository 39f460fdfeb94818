// Convolutions by panels of words that hold the codes of two positions each: the loops over
// positions, and where the codes of one lie.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "compile/backends/c_source/functions/families.h"
#include "compile/backends/c_source/strategies/blocks.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"

namespace lockstep::backends {

class PackedPositions : public Blocks {
 protected:
  PackedPositions(const FunctionPlace& place, const PanelShape& shape, std::int64_t positions)
      : Blocks(place.text, place.program, place.op_index, place.prefix),
        shape_(shape),
        positions_(positions) {}

  // A loop over all `count` positions, so many at a time as a panel has; the last ones may overlap
  // those before.
  void open_positions(std::string_view name, std::int64_t count);
  // A loop over the pairs p of the positions from i on, through the rows of the output, and one
  // over the rows ky of their windows. What it encloses is a call with pair_arguments().
  void open_pairs();
  std::string pair_arguments();
  void close_pairs();

  const PanelShape& shape_;
  const std::int64_t positions_;  // of a panel

 private:
  // Where row ky of the window at a position lies, and what of it lies inside the input.
  std::string position_arguments(const std::string& row, const std::string& column);
};

}  // namespace lockstep::backends
