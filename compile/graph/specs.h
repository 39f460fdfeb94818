// The fields of quantize and prune, as nodes and wraps of graph.json and conversion policies have
// them.
#pragma once

#include "compile/graph/fields.h"
#include "compile/graph/graph.h"

namespace lockstep {

constexpr std::int64_t kMaxDecimal = 64;

// Absent fields take QSPARSE's defaults. InputError names the owner and the field. `is_wrap`: of a
// weight, which may have bias_bits.
QuantizeSpec parse_quantize(Fields& fields, bool is_wrap);
PruneSpec parse_prune(Fields& fields);

}  // namespace lockstep
