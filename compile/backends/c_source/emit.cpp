// Three files: the interface, the network, the known-answer test.
#include "compile/backends/c_source/emit.h"

#include <algorithm>
#include <bit>

#include "compile/backends/c_source/arith_text.h"
#include "compile/backends/c_source/c_text.h"
#include "compile/backends/c_source/functions.h"
#include "compile/backends/c_source/functions/sparse.h"
#include "compile/backends/c_source/scratch.h"
#include "compile/backends/c_source/selftest.h"
#include "compile/backends/c_source/strategies/strategy.h"
#include "compile/support/error.h"
#include "intrt/plan_format.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// "input: int8_t [28][28][1] (H, W, C), 8 bits, decimal 7".
std::string format_text(const Value& value) {
  if (value.bytes)
    return fmt::format("{}: uint8_t [{}][{}][{}] (H, W, C), raw bytes", in_comment(value.node),
                       value.shape.h, value.shape.w, value.shape.c);
  const auto [lo, hi] = std::minmax_element(value.decimals.begin(), value.decimals.end());
  return fmt::format(
      "{}: {} [{}][{}][{}] (H, W, C), {} bits, decimal {}{}", in_comment(value.node),
      c_type(value.type()), value.shape.h, value.shape.w, value.shape.c, value.bits,
      *lo == *hi ? fmt::format("{}", *lo) : fmt::format("{} to {} by channel", *lo, *hi),
      value.offsets.empty() ? "" : "; add its offset to each value");
}

std::string header(const Program& program, const CFacts& facts, std::string_view prefix,
                   std::int64_t arena_bytes) {
  const std::string name = upper(prefix);
  CText text;
  text.line(
      "/* Network '{}', integers only. Made by Lockstep; docs/generated-c.md tells how to use it.",
      in_comment(program.name));
  text.line(" *");
  text.line(" * multiply-accumulates  {} ({} with a weight that is not zero)", facts.macs,
            facts.nonzero_macs);
  text.line(" * weights               {} bytes", facts.weight_bytes);
  text.line(" * arena                 {} bytes", arena_bytes);
  for (const ValueId id : program.inputs)
    text.line(" * input   {}", format_text(program.values[id]));
  for (const ValueId id : program.outputs)
    text.line(" * output  {}", format_text(program.values[id]));
  text.line(" */");
  text.line("#ifndef {}_H_", name);
  text.line("#define {}_H_", name);
  text.blank();
  text.line("#include <stdint.h>");
  text.blank();
  text.line("#ifdef __cplusplus");
  text.verbatim("extern \"C\" {\n");
  text.line("#endif");
  text.blank();
  text.line("#define {}_ARENA_BYTES {}u /* working memory; align it to 16 bytes */", name,
            arena_bytes);
  text.line("#define {}_TENSOR_COUNT {}u", name, program.values.size());
  text.line("#define {}_INPUT_COUNT {}u", name, program.inputs.size());
  text.line("#define {}_OUTPUT_COUNT {}u", name, program.outputs.size());
  text.blank();
  text.line("typedef struct {{");
  text.line("const char *name;                 /* the graph node or input that this belongs to */");
  text.line(
      "uint8_t type;                     /* 1: int8_t, 2: int16_t, 3: int32_t, 4: uint8_t */");
  text.line(
      "uint8_t bits;                     /* codes lie in [-2^(bits-1), 2^(bits-1)-1]; uint8_t: "
      "0..255 */");
  text.line("uint8_t logical_rank;             /* 1: [C*H*W], 2: [C,W], 3: [C,H,W] */");
  text.line("uint8_t decimal_count;            /* 1: per tensor, 0: one decimal per channel */");
  text.line("uint32_t channels, height, width; /* stored HWC, channel fastest */");
  text.line("uint32_t arena_offset;");
  text.line("const int8_t *decimals;           /* value = code * 2^-decimal */");
  text.line(
      "const uint32_t *offsets;          /* 0, or bits of a float32 per channel, to be added */");
  text.line(
      "const uint16_t *channel_map;      /* 0: all channels of `name`, in order; else which */");
  text.line(
      "uint8_t flags;                    /* 1: input, 2: output, 4: holds exactly the value of "
      "`name` */");
  text.line("}} {}_tensor;", prefix);
  text.blank();
  text.line("extern const {0}_tensor {0}_tensors[{1}_TENSOR_COUNT];", prefix, name);
  text.line("extern const uint16_t {0}_inputs[{1}_INPUT_COUNT];   /* indices into {0}_tensors */",
            prefix, name);
  text.line("extern const uint16_t {0}_outputs[{1}_OUTPUT_COUNT]; /* indices into {0}_tensors */",
            prefix, name);
  text.blank();
  text.line(
      "/* Fill the inputs in the arena, run, read the outputs. Inputs may be overwritten. */");
  text.line("void {}_run(void *arena);", prefix);
  text.blank();
  text.line(
      "/* {0}_selftest.c: 0, or 1 + the position of the first output element that differs. */",
      prefix);
  text.line("int {}_selftest(void *arena);", prefix);
  text.blank();
  text.line("#ifdef __cplusplus");
  text.verbatim("}\n");
  text.line("#endif");
  text.blank();
  text.line("#endif");
  return text.take();
}

// Bit patterns, since generated C has no floating point; the numbers stand beside them.
void emit_offsets(CText& text, const std::vector<float>& offsets, std::string_view name) {
  text.line("static const uint32_t {}[{}] = {{", name, offsets.size());
  for (std::size_t i = 0; i < offsets.size(); ++i)
    text.line("0x{:08x}u{} /* {} */", std::bit_cast<std::uint32_t>(offsets[i]),
              i + 1 < offsets.size() ? "," : "", offsets[i]);
  text.line("}};");
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
}

struct Network {
  std::string text;
  std::int64_t arena_bytes = 0;
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
  for (const char* micro : {kDspText, kPackedText, kMveText})
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
  CNetwork result{.files = {{prefix + ".c", std::move(made.text)},
                            {prefix + ".h", header(program, facts, prefix, made.arena_bytes)},
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
