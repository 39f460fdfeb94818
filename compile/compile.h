// The compiler's front door: graph + state dict -> integer program -> plan bytes and C sources.
//
//   Compiled net = compile_network(read_graph("graph.json"), read_state_dict("state.pt"), {});
//   write_file_atomically("net.plan", net.plan);
//
// Same input, same bytes out, on any machine, locale and compiler. What cannot be lowered exactly
// is refused by InputError with the layer's name and the reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/graph/graph.h"
#include "compile/ir/ir.h"
#include "compile/passes/choose_storage.h"

namespace lockstep {

struct CompileOptions {
  bool keep_layers = false;  // every quantize node's codes stay visible as a tensor of their own
  // What the weights' form in the plan is chosen for.
  passes::Objective optimize = passes::Objective::kSpeed;
  passes::Machine machine = passes::Machine::kPortable;
  // Called with the program after each pass, by the pass's name ("lower" first).
  std::function<void(std::string_view pass, const ir::Program&)> after_pass;
};

// One row of the compile table, per operator of the final program.
struct OperatorReport {
  std::string node, op;
  std::int64_t macs = 0;          // multiply-accumulates of the dense operator
  std::int64_t nonzero_macs = 0;  // those whose weight is not zero
  std::int64_t weight_bytes = 0;  // with the bias
  std::int64_t table_bytes = 0;   // of all other constants: shifts, masks, look-up tables, ...
  std::int64_t output_bytes = 0;
  int accumulator_bits = 0;  // bits that the proved accumulator range needs; 0: no accumulator
};

// One row of the table of passes: what the program costs after the pass.
struct PassReport {
  std::string pass;
  std::int64_t ops = 0;
  std::int64_t macs = 0, nonzero_macs = 0, weight_bytes = 0, table_bytes = 0;
  std::int64_t live_bytes = 0;  // the most bytes of values that are needed at the same time
};

struct Compiled {
  ir::Program program;
  std::vector<std::byte> plan;
  std::vector<OperatorReport> operators;
  std::vector<PassReport> passes;              // in order
  std::vector<passes::StorageChoice> storage;  // of the layers with zero weights
  std::int64_t arena_bytes = 0;
};

Compiled compile_network(const Graph& graph, const StateDict& state, const CompileOptions& options);

// The names of the passes, in order, as --print-after takes them.
std::vector<std::string> pass_names();

struct CSourceOptions {
  std::string prefix = "net";      // of file names and symbols; a C identifier
  std::string target = "generic";  // the core that the C is written for: c_targets()
  // At most so many bytes of code and constants, estimated, and of the arena, exactly.
  std::optional<std::int64_t> flash_budget = {}, ram_budget = {};
};
struct CSourceFile {
  std::string name;  // "net.c", "net.h", "net_io.h", "net_selftest.c"
  std::string text;
};
// How one operator is written in C. Of the numbers only scratch_bytes is exact.
struct CStrategyCost {
  std::string strategy;
  std::int64_t instructions = 0;  // of one run on the target
  std::int64_t code_bytes = 0, constant_bytes = 0, scratch_bytes = 0;
};
struct CStrategyReport {
  std::string node, op;
  CStrategyCost taken;
  std::vector<CStrategyCost> alternatives;  // all there are, the taken one included
};
struct CSources {
  std::vector<CSourceFile> files;
  std::vector<CStrategyReport> operators;  // in order
  std::int64_t arena_bytes = 0;            // of the C: with the working memory of operators
};
// The names of the cores that C can be written for.
std::vector<std::string> c_targets();
// Self-contained C99 with a known-answer test; see docs/generated-c.md. It computes the same bits
// on any core, whatever the target. InputError where the prefix or the target is none, or nothing
// fits the budgets.
CSources emit_c_sources(const Compiled& compiled, const CSourceOptions& options);
// Its files alone.
std::vector<CSourceFile> emit_c(const Compiled& compiled, const CSourceOptions& options);

// The plan as C sources for a program that runs it with the runtime: PREFIX_plan.h and
// PREFIX_plan.c, with the bytes as a constant array and the list of kernels that they need, so that
// a linker leaves out all others. InputError where the prefix is no C identifier.
std::vector<CSourceFile> emit_plan_c(const Compiled& compiled, const std::string& prefix);

}  // namespace lockstep
