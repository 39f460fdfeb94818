#include "verify/proof/moving.h"

#include <fmt/format.h>

#include "verify/proof/post_processing.h"
#include "verify/semantics/index.h"

namespace lockstep::verify {
void check_move(PlanCheck& check, const PlanOp& op) {
  const VisibleTensor& output = check.tensors[op.output];
  Arguments before;
  for (std::int64_t e = 0; e < output.element_count(); ++e)
    before.expected.push_back({}, output.decimal(e), {0, 0});
  std::vector<std::uint8_t> written(at(output.element_count()), 0);
  for (const PlanPiece& piece : op.pieces) {
    const std::uint32_t source = op.inputs.at(piece.input);
    const VisibleTensor& input = check.tensors[source];
    const ElementFacts& facts = check.held[source];
    check.checked += 15;
    each_copy(piece, [&](std::int64_t from, std::int64_t to) {
      if (from < 0 || from >= input.element_count() || to < 0 || to >= output.element_count())
        throw Difference{op.node,
                         fmt::format("layer '{}': copies from or to outside a tensor", op.node)};
      const std::size_t element = at(logical_index(input, from));
      const std::size_t place = at(logical_index(output, to));
      const bool same = before.expected.terms[place] == facts.terms[element] &&
                        before.expected.decimals[place] == facts.decimals[element];
      if (written[place] != 0 && !same)
        throw Difference{op.node,
                         fmt::format("layer '{}': copies two elements to {}", op.node,
                                     place_text(output, static_cast<std::int64_t>(place)))};
      written[place] = 1;
      before.expected.terms[place] = facts.terms[element];
      before.expected.decimals[place] = facts.decimals[element];
      before.expected.lo[place] = facts.lo[element];
      before.expected.hi[place] = facts.hi[element];
    });
  }
  check_post(check, op, before);
}

}  // namespace lockstep::verify
