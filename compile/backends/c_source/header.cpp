#include "compile/backends/c_source/header.h"

#include <algorithm>
#include <cmath>

#include "compile/backends/c_source/c_text.h"
#include "intrt/plan_format.h"

namespace lockstep::backends {
namespace {

using namespace ir;

// What net_run takes at most with GCC at -O1 and above: docs/generated-c.md, "Memory".
constexpr int kStackBytes = 1024;

bool has_one_decimal(const Value& value) {
  return std::ranges::adjacent_find(value.decimals, std::not_equal_to<>()) == value.decimals.end();
}

Range codes_of(const Value& value) {
  if (value.bytes) return {0, 255};
  const std::int64_t half = std::int64_t{1} << (value.bits - 1);
  return {-half, half - 1};
}

// "input 0 'x': int8_t [28][28][1] (H, W, C), 8 bits, decimal 7: values from -1 to 0.9921875".
std::string format_text(std::string_view kind, std::size_t index, const Value& value) {
  const std::string place =
      fmt::format("{} {} '{}': {} [{}][{}][{}] (H, W, C)", kind, index, in_comment(value.node),
                  c_type(value.type()), value.shape.h, value.shape.w, value.shape.c);
  if (value.bytes) return place + ", raw bytes 0 to 255";
  const auto [lo, hi] = std::ranges::minmax_element(value.decimals);
  std::string text = fmt::format("{}, {} bits, ", place, value.bits);
  if (has_one_decimal(value)) {
    const Range codes = codes_of(value);
    text += fmt::format("decimal {}: values from {} to {}", *lo,
                        std::ldexp(static_cast<double>(codes.lo), -*lo),
                        std::ldexp(static_cast<double>(codes.hi), -*lo));
  } else {
    text += fmt::format("decimals {} to {} by channel", *lo, *hi);
  }
  return text + (value.offsets.empty() ? "" : "; each value has its channel's offset added");
}

// The same for programs: NET_INPUT0_HEIGHT, ...
void emit_place(CText& text, std::string_view macro, std::string_view comment, const Value& value) {
  const auto number = [&](std::string_view what, std::int64_t n, std::string_view suffix = "u") {
    std::string literal = c_integer(n) + std::string(suffix);
    if (literal.starts_with('-')) literal = fmt::format("({})", literal);
    text.line("#define {}_{} {}", macro, what, literal);
  };
  text.blank();
  text.line("/* {} */", comment);
  text.line("#define {}_TYPE {}", macro, c_type(value.type()));
  number("OFFSET", value.arena_offset.value());
  number("HEIGHT", value.shape.h);
  number("WIDTH", value.shape.w);
  number("CHANNELS", value.shape.c);
  number("ELEMENTS", value.shape.count());
  number("LOWEST", codes_of(value).lo, "");
  number("HIGHEST", codes_of(value).hi, "");
  if (!value.bytes && has_one_decimal(value)) number("DECIMAL", value.decimals[0], "");
}

void emit_tensor_type(CText& text, std::string_view prefix) {
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
}

}  // namespace

std::string emit_header(const Program& program, const CFacts& facts, const CMemory& memory,
                        std::string_view prefix, std::string_view target) {
  const std::string name = upper(prefix);
  CText text;
  text.line(
      "/* Network '{}', integers only. Made by Lockstep; docs/generated-c.md tells how to use it.",
      in_comment(program.name));
  text.line(" *");
  text.line(" * multiply-accumulates  {} ({} with a weight that is not zero)", facts.macs,
            facts.nonzero_macs);
  text.line(" * RAM                   {} bytes of arena, at most {} of stack (GCC, -O1 and above)",
            memory.arena_bytes, kStackBytes);
  text.line(" * constants             {} bytes, {} of them weights and biases",
            memory.constant_bytes, facts.weight_bytes);
  text.line(" * code                  about {} bytes, estimated for {}", memory.code_bytes, target);
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
  text.line("#define {}_ARENA_BYTES {}u /* working memory of one instance */", name,
            memory.arena_bytes);
  text.line("#define {}_ARENA_ALIGNMENT {}u", name, INTRT_ARENA_ALIGNMENT);
  text.line("#define {}_STACK_BYTES {}u /* at most; GCC, -O1 and above */", name, kStackBytes);
  text.line("#define {}_CONSTANT_BYTES {}u /* without {}_tensors */", name, memory.constant_bytes,
            prefix);
  text.line("#define {}_TENSOR_COUNT {}u", name, program.values.size());
  text.line("#define {}_INPUT_COUNT {}u", name, program.inputs.size());
  text.line("#define {}_OUTPUT_COUNT {}u", name, program.outputs.size());
  for (const auto& [kind, ids] :
       {std::pair("input", &program.inputs), std::pair("output", &program.outputs)})
    for (std::size_t i = 0; i < ids->size(); ++i) {
      const Value& value = program.values[(*ids)[i]];
      emit_place(text, fmt::format("{}_{}{}", name, upper(kind), i), format_text(kind, i, value),
                 value);
    }
  text.blank();
  emit_tensor_type(text, prefix);
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

}  // namespace lockstep::backends
