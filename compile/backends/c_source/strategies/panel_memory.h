// Where the panels of a convolution lie: in the tensors that it reads and writes, as far as these
// are not needed then (scratch.h), else in working memory of their own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/backends/c_source/functions.h"
#include "compile/backends/c_source/scratch.h"
#include "compile/backends/c_source/strategies/panel_convolution.h"

namespace lockstep::backends {

class PanelMemory {
 public:
  // Loops that fill a panel once for each value of a C variable.
  enum class Loop : std::uint8_t {
    kRows,      // "y": so many times for each row of the output
    kColumns,   // "x": for `positions` positions of the only row
    kPositions  // "i": for `positions` positions, through the rows
  };
  // A panel has `count` numbers of the C type `type`: another one than the output's, or it lies
  // apart, since the proof of the C takes such numbers in the output for elements.
  PanelMemory(const ir::Program& program, const ir::Op& op, const PanelShape& shape, Loop loop,
              std::int64_t positions, ir::ElementType type, std::int64_t count);
  // Of a PanelConvolution.
  PanelMemory(const ir::Program& program, const ir::Op& op, const PanelShape& shape,
              ir::ElementType type, std::int64_t count)
      : PanelMemory(program, op, shape, shape.rows.output == 1 ? Loop::kColumns : Loop::kRows, 2,
                    type, count) {}
  // The same for steps of the C variable `variable`.
  PanelMemory(const ir::Program& program, const ir::Op& op, std::string_view variable,
              const std::vector<Step>& steps, ir::ElementType type, std::int64_t count);

  // Bytes of its own.
  std::int64_t scratch_bytes() const { return spare_ ? 0 : bytes_; }
  // The parameters of the function behind its output, for a panel with this name.
  std::string parameters(std::string_view name) const;
  // Declares the panel in the loop, where it is no parameter.
  void declare(CText& text, std::string_view name) const;
  // What the call passes.
  void add_to(FunctionCall& call) const;

 private:
  std::string_view variable_, type_;
  std::int64_t bytes_ = 0;
  std::optional<SpareMemory> spare_;
};

}  // namespace lockstep::backends
