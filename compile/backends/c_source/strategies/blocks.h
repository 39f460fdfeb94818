// Operators whose output channels are summed in blocks of four by a micro-kernel, for two or more
// positions at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/functions/function.h"

namespace lockstep::backends {

class Blocks : public Function {
 protected:
  using Function::Function;

  std::int64_t outputs() const { return out_.shape.c; }
  std::int64_t block_count() const { return (outputs() + 3) / 4; }
  // The first output channel of a block: the last block may overlap the one before.
  std::int64_t first_output(std::int64_t block) const;

  // The constants of the function of the sums, and where these start.
  void block_constants(const ir::Post& post, const std::vector<std::int64_t>& bias,
                       const std::vector<ir::Accumulator>& accumulators);
  // Opens the loop over blocks, whose number is the C variable b and whose first channel is o;
  // `hint` is the line in front of it.
  void open_blocks(std::string_view hint = "");
  void close_blocks();
  // A pointer to the starts of the sums of block `b`, whose first channel is `o`.
  std::string start(const std::string& b = "b", const std::string& o = "o") const;
  // The start of channel c of the block, read from the C variable `table`, which points to what
  // start("0", "0") does.
  std::string start_number(const std::string& b, const std::string& o, std::int64_t c) const {
    return fmt::format("table[{}]", plus(in_one_table_ ? times(b, row_) : o, c));
  }
  // Stores sums[2 * c + p] for each channel c of the block at out[element + p * step + c];
  // `element` is that of channel `o`.
  void store_sums(const ir::Post& post, std::int64_t step, const std::string& b = "b",
                  const std::string& o = "o", const std::string& element = "element");
  // The same for block b and its C variables, with any C expression as the step.
  void store_sums(const ir::Post& post, const std::string& step);
  // Stores sums[positions * c + p] of block b at out[element + p * step + c], in a loop over its
  // channels c.
  void store_positions(const ir::Post& post, std::int64_t positions, std::int64_t step);

  // Behind all sums: what vectors did not do to the output.
  void finish_output(const ir::Post& post);

  // Sums lie position by position, sums[4 * p + c], and vectors take four at a time:
  // intrt/micro/mve.h, or where positions_ is set intrt/micro/neon.h.
  bool by_position_ = false;
  std::optional<std::int64_t> positions_;  // else two
  // There is one position alone: sums[c]. (Vectors store it as two equal ones.)
  bool one_position_ = false;

 private:
  bool vector_constants(const ir::Post& post, const std::vector<std::int64_t>& starts,
                        const std::vector<ir::Accumulator>& accumulators);
  void store_sum(const ir::Post& post, std::int64_t c, std::int64_t p, const std::string& b,
                 const std::string& o, const std::string& at);
  void store_vectors(const std::string& step, const std::string& b, const std::string& element);
  // `multiplier` and `addend`: where in the table they are.
  std::string value(const ir::Post& post, const std::string& multiplier, const std::string& addend,
                    const std::string& channel, const std::string& sum,
                    const std::string& element) const;

  std::string table_;
  bool in_one_table_ = false;      // starts, multipliers and addends, block by block
  std::int64_t row_ = 12;          // numbers of a block in that table
  std::string_view vector_store_;  // the micro-kernel that stores the sums, or none
  std::int32_t lo_ = 0, hi_ = 0;
};

}  // namespace lockstep::backends
