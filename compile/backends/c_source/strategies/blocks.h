// Operators whose output channels are summed in blocks of four by a micro-kernel, for two positions
// at a time.
#pragma once

#include <cstdint>
#include <string>
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
    return fmt::format("table[{}]", plus(in_one_table_ ? times(b, kRow) : o, c));
  }
  // Stores sums[2 * c + p] for each channel c of the block at out[element + p * step + c];
  // `element` is that of channel `o`.
  void store_sums(const ir::Post& post, std::int64_t step, const std::string& b = "b",
                  const std::string& o = "o", const std::string& element = "element");

 private:
  // Numbers of a row of the one table: 4 starts, 4 multipliers with their addends.
  static constexpr std::int64_t kRow = 12;

  std::string value(const ir::Post& post, const std::string& b, const std::string& channel,
                    std::int64_t c, const std::string& sum, const std::string& element) const;

  std::string table_;
  bool in_one_table_ = false;  // starts, multipliers and addends, block by block
  std::int32_t lo_ = 0, hi_ = 0;
};

}  // namespace lockstep::backends
