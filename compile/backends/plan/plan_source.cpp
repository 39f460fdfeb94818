#include "compile/backends/plan/plan_source.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "compile/backends/c_source/c_text.h"
#include "compile/support/error.h"
#include "intrt/intrt.h"

namespace lockstep::backends {
namespace {

constexpr std::size_t kBytesInLine = 20;

struct alignas(INTRT_PLAN_ALIGNMENT) Block {
  std::byte bytes[INTRT_PLAN_ALIGNMENT];
};

// The names of the kernels, each once, in the order of the operators.
std::vector<std::string> kernels_of(const intrt_plan& plan) {
  std::vector<std::string> names;
  for (std::uint32_t op = 0; op < intrt_op_count(&plan); ++op) {
    const std::string name = intrt_op_kernel(&plan, op);
    if (std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return names;
}

std::string header(const intrt_plan& plan, std::size_t size, const std::string& prefix,
                   const std::vector<std::string>& kernels) {
  const std::string macro = upper(prefix);
  CText text;
  text.line("/* The network '{}' as a plan for Lockstep's runtime (intrt).",
            in_comment(intrt_network_name(&plan)));
  text.line(" *");
  text.line(" * Flash: {} bytes of plan, and the runtime with its kernels", size);
  for (const std::string& kernel : kernels) text.line(" *   {}", kernel);
  text.line(" * RAM: {} bytes of arena, aligned to {}.", intrt_arena_bytes(&plan),
            INTRT_ARENA_ALIGNMENT);
  text.line(" *");
  text.line(" *   intrt_plan plan;");
  text.line(" *   intrt_open_with(&plan, {0}_plan, {1}_PLAN_BYTES, {0}_plan_kernels, 0);", prefix,
            macro);
  text.line(" *   intrt_run(&plan, arena, {}_PLAN_ARENA_BYTES, 0);", macro);
  text.line(" *");
  text.line(
      " * or, on a host, with the fastest kernels of its CPU and `bytes` more of RAM, aligned to "
      "{}:",
      INTRT_PREPARED_ALIGNMENT);
  text.line(" *   bytes = intrt_prepared_bytes(&plan, 0);");
  text.line(" *   intrt_prepare(&plan, 0, memory, bytes);");
  text.line(" *   intrt_run_prepared(&plan, memory, arena, {}_PLAN_ARENA_BYTES, 0);", macro);
  text.line(" */");
  text.line("#ifndef {}_PLAN_H_", macro);
  text.line("#define {}_PLAN_H_", macro);
  text.blank();
  text.line("#include \"intrt/intrt.h\"");
  text.blank();
  text.line("#define {}_PLAN_BYTES {}u", macro, size);
  text.line("#define {}_PLAN_ARENA_BYTES {}u", macro, intrt_arena_bytes(&plan));
  text.blank();
  // No braces by line(), which would indent.
  text.verbatim("#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
  text.line("/* At an address that is a multiple of {}. */", INTRT_PLAN_ALIGNMENT);
  text.line("extern const uint8_t {}_plan[{}_PLAN_BYTES];", prefix, macro);
  text.line("/* Those that the plan needs; a null ends the list. */");
  text.line("extern const intrt_kernel *const {}_plan_kernels[{}];", prefix, kernels.size() + 1);
  text.verbatim("#ifdef __cplusplus\n}\n#endif\n");
  text.blank();
  text.line("#endif");
  return text.take();
}

std::string source(std::span<const std::byte> plan, const std::string& prefix,
                   const std::vector<std::string>& kernels) {
  CText text;
  text.line("/* See {}_plan.h. */", prefix);
  text.line("#include \"{}_plan.h\"", prefix);
  text.blank();
  text.line("#include \"intrt/kernels.h\"");
  text.blank();
  text.line("#if defined(__GNUC__)");
  text.line("#define ALIGNED __attribute__((aligned({})))", INTRT_PLAN_ALIGNMENT);
  text.line("#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L");
  text.line("#define ALIGNED _Alignas({})", INTRT_PLAN_ALIGNMENT);
  text.line("#else");
  text.line("#error \"define ALIGNED for this compiler: the array begins at a multiple of {}\"",
            INTRT_PLAN_ALIGNMENT);
  text.line("#endif");
  text.blank();
  text.line("const intrt_kernel *const {}_plan_kernels[{}] = {{", prefix, kernels.size() + 1);
  for (const std::string& kernel : kernels) text.line("&intrt_kernel_{},", kernel);
  text.line("0");
  text.line("}};");
  text.blank();
  text.line("ALIGNED const uint8_t {}_plan[{}_PLAN_BYTES] = {{", prefix, upper(prefix));
  for (std::size_t i = 0; i < plan.size(); i += kBytesInLine) {
    std::vector<unsigned> numbers;
    for (const std::byte byte : plan.subspan(i, std::min(kBytesInLine, plan.size() - i)))
      numbers.push_back(std::to_integer<unsigned>(byte));
    text.line("{},", fmt::join(numbers, ","));
  }
  text.line("}};");
  return text.take();
}

}  // namespace

std::vector<CFile> emit_plan_source(std::span<const std::byte> plan, const std::string& prefix) {
  require_c_prefix(prefix);
  std::vector<Block> aligned(plan.size() / sizeof(Block) + 1);
  std::memcpy(aligned.data(), plan.data(), plan.size());
  intrt_plan opened;
  const intrt_status status = intrt_open(&opened, aligned.data(), plan.size(), nullptr);
  LOCKSTEP_ASSERT(status == INTRT_OK);
  const std::vector<std::string> kernels = kernels_of(opened);
  return {{prefix + "_plan.h", header(opened, plan.size(), prefix, kernels)},
          {prefix + "_plan.c", source(plan, prefix, kernels)}};
}

}  // namespace lockstep::backends
