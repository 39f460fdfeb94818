// Random ops of one operator, for small_programs.
#pragma once

#include <string_view>

#include "compile/ir/ir.h"
#include "tests/compile/backends/small_programs.h"

namespace lockstep::test {

// Adds inputs and an op of that operator that reads them; elementwise operators get one more op in
// front whose memory they may take.
void add_random_op(std::string_view op, ProgramMaker& maker, Dice& dice);

// A post-op for accumulators of up to `magnitude`: of any kind where bits <= 16, none above;
// sometimes with a mask.
ir::Post random_post(const ir::Shape& shape, int bits, std::int64_t magnitude, Dice& dice);
// Zeros and ones, now and then empty.
std::vector<std::uint8_t> random_mask(const ir::Shape& shape, Dice& dice);
// A few copies that write no element twice, as moves of every kind make them; adds the inputs, too.
void add_random_move(ProgramMaker& maker, Dice& dice);

}  // namespace lockstep::test
