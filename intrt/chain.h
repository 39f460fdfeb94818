// Chains: operators one after the other, each of which makes rows out of rows that the one before
// has just computed. They run together, some rows at a time, so that what goes from one to the next
// stays in the cache of the core that computes it, however large the tensors are. What is computed
// is the same. With an observer, who sees every tensor whole, and for more threads than a chain can
// be divided among, they run one by one.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/intrt.h"

namespace intrt {

struct PreparedHeader;

// More need more rows to begin with, and leave memory for fewer at a time.
constexpr uint32_t kMostLinks = 3;

// An operator, as a link of a chain. Prepared for all operators.
struct ChainLink {
  // As RowSlices; 0 rows: it cannot be part of a chain.
  uint32_t rows, slices;
  // Which rows of its input are under row y: `reach` from y * stride - padding on, as far as there
  // are such. Of what is no window, y.
  uint32_t stride, reach, padding;
  // Rows behind these that its kernel may read, too, though they count for nothing.
  uint32_t read_behind;
  uint32_t height, row_bytes;  // of its output
  // In a chain: which input comes from the link before; of all but the last link, how many rows of
  // its output are kept, and where in the memory of a part.
  uint32_t linked_input, kept_rows, kept_offset;
  // Of the first link of a chain; else 0. The chain's links, the rows of the last link's output
  // that are computed at a time, and what each part takes of the arena from an offset on.
  uint32_t links, band_rows, arena_offset, part_bytes, most_parts;

  // Rows of the input, which has `input_height`, under the rows below `end`.
  uint32_t input_rows_below(uint32_t end, uint32_t input_height) const {
    return inside(uint64_t{end - 1} * stride + reach, input_height);
  }
  uint32_t first_input_row(uint32_t row, uint32_t input_height) const {
    return inside(uint64_t{row} * stride, input_height);
  }
  // The first row of the slice that has this one; the end of the slice before which this one ends.
  uint32_t slice_begin(uint32_t row) const { return row - row % rows; }
  uint32_t slice_end(uint32_t end) const {
    const uint32_t rest = end % rows;
    return rest == 0 ? end : rows - rest < height - end ? end + (rows - rest) : height;
  }

 private:
  uint32_t inside(uint64_t padded_row, uint32_t input_height) const {
    if (padded_row <= padding) return 0;
    const uint64_t row = padded_row - padding;
    return row < input_height ? static_cast<uint32_t>(row) : input_height;
  }
};

// Of a link for each operator, and a number for each tensor behind them.
size_t chain_bytes(const intrt_plan& plan);
// With the kernels that `header` says. The memory, chain_bytes, was set to 0.
void find_chains(const intrt_plan& plan, const PreparedHeader& header, ChainLink* links);

// Runs the chain that begins with operator number `first`. False: it was not done, and its
// operators are to be run one by one.
bool run_chain(const intrt_plan& plan, const PreparedHeader& header, uint32_t first, void* arena,
               const intrt_run_options* options);

}  // namespace intrt
