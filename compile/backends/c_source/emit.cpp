// Four files: the network, its interface, what programs around it may use, the known-answer test.
#include "compile/backends/c_source/emit.h"

#include <algorithm>
#include <bit>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/c_text.h"
#include "compile/backends/c_source/functions.h"
#include "compile/backends/c_source/functions/sparse.h"
#include "compile/backends/c_source/header.h"
#include "compile/backends/c_source/io_header.h"
#include "compile/backends/c_source/scratch.h"
#include "compile/backends/c_source/selftest.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/support/error.h"
#include "intrt/plan_format.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// Bit patterns, since generated C has no floating point; the numbers stand beside them.
void emit_offsets(CText& text, const std::vector<float>& offsets, std::string_view name) {
  text.line("static const uint32_t {}[{}] = {{", name, offsets.size());
  for (std::size_t i = 0; i < offsets.size(); ++i)
    text.line("0x{:08x}u{} /* {} */", std::bit_cast<std::uint32_t>(offsets[i]),
              i + 1 < offsets.size() ? "," : "", offsets[i]);
  text.line("}};");
  text.count_constants(4 * static_cast<std::int64_t>(offsets.size()));
}

// As in a plan.
unsigned tensor_flags(const Program& program, ValueId id) {
  const auto is_in = [id](const std::vector<ValueId>& ids) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  return (is_in(program.inputs) ? INTRT_TENSOR_INPUT : 0U) |
         (is_in(program.outputs) ? INTRT_TENSOR_OUTPUT : 0U) |
         (program.values[id].exact ? INTRT_TENSOR_NAMED : 0U);
}

void emit_tensors(CText& text, const Program& program, std::string_view prefix) {
  for (ValueId id = 0; id < program.values.size(); ++id) {
    const std::vector<int>& decimals = program.values[id].decimals;
    text.array("int8_t", fmt::format("{}_decimals{}", prefix, id),
               {decimals.begin(), decimals.end()});
  }
  for (ValueId id = 0; id < program.values.size(); ++id)
    if (!program.values[id].offsets.empty())
      emit_offsets(text, program.values[id].offsets, fmt::format("{}_offsets{}", prefix, id));
  for (ValueId id = 0; id < program.values.size(); ++id)
    if (!program.values[id].channels.empty())
      text.array("uint16_t", fmt::format("{}_channels{}", prefix, id), program.values[id].channels);
  text.blank();
  text.line("const {0}_tensor {0}_tensors[{1}_TENSOR_COUNT] = {{", prefix, upper(prefix));
  for (ValueId id = 0; id < program.values.size(); ++id) {
    const Value& value = program.values[id];
    text.line("{{{}, {}, {}, {}, {}, {}u, {}u, {}u, {}u, {}_decimals{}, {}, {}, {}}},",
              c_string(value.node), static_cast<int>(value.type()), value.bits,
              value.shape.logical_rank, value.decimals.size() == 1 ? 1 : 0, value.shape.c,
              value.shape.h, value.shape.w, value.arena_offset.value(), prefix, id,
              value.offsets.empty() ? "0" : fmt::format("{}_offsets{}", prefix, id),
              value.channels.empty() ? "0" : fmt::format("{}_channels{}", prefix, id),
              tensor_flags(program, id));
  }
  text.line("}};");
  text.line("const uint16_t {}_inputs[{}_INPUT_COUNT] = {{{}}};", prefix, upper(prefix),
            fmt::join(program.inputs, ", "));
  text.line("const uint16_t {}_outputs[{}_OUTPUT_COUNT] = {{{}}};", prefix, upper(prefix),
            fmt::join(program.outputs, ", "));
  text.count_constants(2 *
                       static_cast<std::int64_t>(program.inputs.size() + program.outputs.size()));
}

struct Network {
  std::string text;
  std::int64_t arena_bytes = 0, constant_bytes = 0;
};

Network network(const Program& program, std::string_view prefix,
                const std::vector<StrategyChoice>& choices) {
  CText text;
  text.line("/* Network '{}'; see {}.h. */", in_comment(program.name), prefix);
  text.line("#include \"{}.h\"", prefix);
  text.blank();
  text.line("#include <string.h>");
  text.blank();
  text.verbatim(kArithText);
  text.blank();
  for (const char* micro :
       {kDspText, kPackedText, kSparseText, kMveText, kNeonText, kWideText, kLinearText})
    if (std::ranges::any_of(choices, [micro](const StrategyChoice& choice) {
          return choice.strategy->micro_kernels() == micro;
        })) {
      text.verbatim(micro);
      text.blank();
    }
  text.line("/* Sees every tensor right after it was made, when the command line defines it. */");
  text.line("#ifndef LOCKSTEP_OBSERVE");
  text.line("#define LOCKSTEP_OBSERVE(tensor, data) ((void)0)");
  text.line("#endif");
  text.blank();
  text.line("/* Bit i of a pruning mask; 1 keeps. */");
  text.line("INTRT_INLINE int {}_keeps(const uint8_t *mask, int32_t i) {{", prefix);
  text.line("return (mask[i >> 3] >> (i & 7)) & 1;");
  text.line("}}");
  text.blank();
  if (has_sparse_weights(program)) emit_sparse_helpers(text, prefix);
  emit_tensors(text, program, prefix);

  std::vector<std::vector<FunctionCall>> calls;
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    text.blank();
    text.line("/* {} '{}': {} */", op_name(op.kind), in_comment(op.node),
              choices[i].strategy->name());
    calls.push_back(choices[i].strategy->emit({text, program, i, prefix}));
  }

  Network result;
  result.arena_bytes = program.arena_bytes;
  const auto place = [&](ValueId id) {
    return fmt::format("(void *)(base + {}u)", program.values[id].arena_offset.value());
  };
  text.blank();
  text.line("void {}_run(void *arena) {{", prefix);
  text.line("uint8_t *const base = (uint8_t *)arena;");
  for (const ValueId id : program.inputs) text.line("LOCKSTEP_OBSERVE({}u, {});", id, place(id));
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    for (const FunctionCall& call : calls[i]) {
      std::string inputs;
      for (const ValueId id : call.inputs) inputs += place(id) + ", ";
      std::string scratch;
      for (const std::int64_t offset : call.spare)
        scratch += fmt::format(", (void *)(base + {}u)", offset);
      if (call.scratch_bytes > 0) {
        const Scratch place_of = scratch_for(program, i, call.scratch_bytes);
        result.arena_bytes = std::max(result.arena_bytes, place_of.end);
        scratch = fmt::format(", (void *)(base + {}u)", place_of.offset);
      }
      text.line("{}({}{}{});", call.function, inputs, place(op.output), scratch);
    }
    text.line("LOCKSTEP_OBSERVE({}u, {});", op.output, place(op.output));
  }
  text.line("}}");
  result.constant_bytes = text.constant_bytes();
  result.text = text.take();
  return result;
}

}  // namespace

CNetwork emit_c_source(const Program& program, const CFacts& facts, const std::string& prefix,
                       std::string_view target, const Budget& budget) {
  require_c_prefix(prefix);
  LOCKSTEP_ASSERT(program.layout == Layout::kPhysical && program.arena_bytes > 0);
  const std::vector<StrategyChoice> choices =
      choose_strategies(program, target_named(target), budget);
  Network made = network(program, prefix, choices);
  CMemory memory{.arena_bytes = made.arena_bytes, .constant_bytes = made.constant_bytes};
  for (const StrategyChoice& choice : choices) memory.code_bytes += choice.cost.code_bytes;
  CNetwork result{.files = {{prefix + ".c", std::move(made.text)},
                            {prefix + ".h", emit_header(program, facts, memory, prefix, target)},
                            {prefix + "_io.h", emit_io_header(prefix)},
                            {prefix + "_selftest.c", emit_selftest(program, prefix)}},
                  .operators = {},
                  .arena_bytes = made.arena_bytes};
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const Op& op = program.ops[i];
    CStrategy row{.node = op.node,
                  .op = std::string(op_name(op.kind)),
                  .strategy = std::string(choices[i].strategy->name()),
                  .cost = choices[i].cost,
                  .alternatives = {}};
    for (const auto& [strategy, cost] : choices[i].alternatives)
      row.alternatives.emplace_back(strategy->name(), cost);
    result.operators.push_back(std::move(row));
  }
  return result;
}

}  // namespace lockstep::backends
