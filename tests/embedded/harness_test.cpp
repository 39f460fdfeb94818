// The harness on every emulated core: its counter and its measure of the stack are exact, and C
// that faults, hangs, overruns or does not fit never passes.
#include <doctest/doctest.h>
#include <elf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"
#include "verify/differential/c_build.h"
#include "verify/differential/harness_stream.h"
#include "verify/differential/stack_bound.h"

namespace lockstep::test {
namespace {

std::vector<std::string> core_names() {
  std::vector<std::string> names;
  for (const verify::EmulatedTarget& target : verify::emulated_targets())
    names.emplace_back(target.name);
  return names;
}

// A network on one core; it may be changed between runs.
class OnCore {
 public:
  OnCore(const Emitted& emitted, const std::string& core)
      : emitted_(emitted), target_(verify::c_targets({core}).at(0)) {}

  verify::CRun run(std::chrono::milliseconds timeout = std::chrono::seconds(60)) const {
    return verify::run_c(target_, program(timeout), emitted_.net.graph, emitted_.table(),
                         emitted_.net.batch, emitted_.net.samples);
  }
  // What the build that a device would run takes for one sample.
  struct Cost {
    verify::ExecutionCounts counts;
    std::uint32_t stack_bytes = 0;
    std::optional<std::uint64_t> stack_bound_bytes;
  };
  Cost cost() const {
    const verify::CProgram built = program(std::chrono::seconds(60));
    verify::CBuild build(target_, built, verify::CBuildKind::kDeployed);
    const verify::CBuild::Output output =
        build.run(verify::harness_input(emitted_.net.graph, emitted_.net.batch, 1),
                  verify::kOutputSlackBytes);
    REQUIRE_MESSAGE(output.failure.empty(), target_.name, ": ", output.failure);
    const verify::HarnessOutput parsed = verify::parse_harness_output(output.bytes, 1, false);
    REQUIRE_MESSAGE(parsed.seen.has_value(), target_.name, ": ", parsed.failure);
    const auto counts = build.counts(1);
    REQUIRE(counts.has_value());
    return {counts->front(), parsed.stack_bytes, build.stack_bound_bytes()};
  }

 private:
  verify::CProgram program(std::chrono::milliseconds timeout) const {
    return {emitted_.folder.path(), "net", timeout};
  }

  const Emitted& emitted_;
  verify::CTarget target_;
};

// net_run with `statement` at its begin; `before`: in front of it.
void change(const Emitted& emitted, const std::string& original, const std::string& before,
            const std::string& statement) {
  const std::string head = "void net_run(void *arena) {";
  emitted.write_source(replaced(original, head, head, before + head + " " + statement));
}

// A loop of ITERATIONS rounds, each of the instructions that kPerRound counts.
constexpr const char* kLoop = R"(
static __attribute__((noinline)) void counted(void) {
#if defined(__arm__)
  __asm__ volatile(
      ".syntax unified\n"
      "movs r0, #ITERATIONS\n"
      "1: push {r0, r1}\n"
      "pop {r0, r1}\n"
      "muls r1, r0\n"
      "subs r0, #1\n"
      "bne 1b\n" ::: "r0", "r1", "cc", "memory");
#elif defined(__riscv)
  __asm__ volatile(
      "li t0, ITERATIONS\n"
      "1: addi sp, sp, -16\n"
      "sw t0, 0(sp)\n"
      "lw t1, 0(sp)\n"
      "addi sp, sp, 16\n"
      "mul t1, t1, t0\n"
      "addi t0, t0, -1\n"
      "bnez t0, 1b\n" ::: "t0", "t1", "memory");
#else
  __asm__ volatile(
      "mov x0, ITERATIONS\n"
      "1: stp x0, x1, [sp, #-16]!\n"
      "ldp x0, x1, [sp], #16\n"
      "mul x1, x1, x0\n"
      "add v0.4s, v0.4s, v0.4s\n"
      "subs x0, x0, #1\n"
      "b.ne 1b\n" ::: "x0", "x1", "v0", "cc", "memory");
#endif
}
)";

verify::ExecutionCounts per_round(const std::string& core) {
  if (core == "rv32imc")
    return {.instructions = 7, .reads = 1, .writes = 1, .multiplications = 1, .branches = 1};
  if (core == "aarch64")
    return {.instructions = 6,
            .reads = 2,
            .writes = 2,
            .multiplications = 1,
            .branches = 1,
            .vector_instructions = 1};
  return {.instructions = 5, .reads = 2, .writes = 2, .multiplications = 1, .branches = 1};
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at))
    text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("the tests know every core") {
  CHECK(fmt::format("{}", fmt::join(core_names(), ",")) == LOCKSTEP_TEST_CORES);
}

TEST_CASE("the counter is exact on every core, in every class") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  for (const std::string& core : core_names()) {
    INFO(core);
    const OnCore on_core(emitted, core);
    const auto counts_with = [&](const char* iterations) {
      std::string loop = kLoop;
      replace_all(loop, "ITERATIONS", iterations);
      change(emitted, source, loop, "counted();");
      return on_core.cost().counts;
    };
    const verify::ExecutionCounts few = counts_with("100"), many = counts_with("200"),
                                  again = counts_with("200"), one = per_round(core);
    CHECK(many.instructions - few.instructions == 100 * one.instructions);
    CHECK(many.reads - few.reads == 100 * one.reads);
    CHECK(many.writes - few.writes == 100 * one.writes);
    CHECK(many.multiplications - few.multiplications == 100 * one.multiplications);
    CHECK(many.branches - few.branches == 100 * one.branches);
    CHECK(many.vector_instructions - few.vector_instructions == 100 * one.vector_instructions);
    CHECK(many.instructions == again.instructions);
    CHECK(many.reads == again.reads);
    CHECK(many.writes == again.writes);
  }
}

TEST_CASE("the helium unit of a Cortex-M55 is on, and its instructions are counted") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  const auto counts_with = [&](const std::string& body) {
    change(emitted, source, "",
           "{ __asm__ volatile(\"mov r0, sp\\n dls lr, %0\\n 1:" + body +
               "le lr, 1b\\n\" :: \"r\"(50) : \"r0\", \"lr\", \"q0\", \"memory\"); }");
    return OnCore(emitted, "cortex-m55").cost().counts;
  };
  const verify::ExecutionCounts none = counts_with(""),
                                some = counts_with("vldrb.u8 q0, [r0]\\n vadd.i8 q0, q0, q0\\n");
  CHECK(some.instructions - none.instructions == 100);
  CHECK(some.vector_instructions - none.vector_instructions == 100);
  CHECK(some.branches == none.branches);
  CHECK(some.reads - none.reads == 50 * 16);  // byte by byte, as the emulator does
}

TEST_CASE("the stack of net_run is measured to the word") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  for (const std::string& core : core_names()) {
    INFO(core);
    const OnCore on_core(emitted, core);
    // Each byte is written, so that none counts as untouched.
    const auto stack_with = [&](int bytes) {
      change(emitted, source,
             fmt::format("static __attribute__((noinline)) void deep(void) {{\n"
                         "  volatile unsigned char b[{0}];\n  int i;\n"
                         "  for (i = 0; i < {0}; ++i) b[i] = (unsigned char)i;\n"
                         "  (void)b[0];\n}}\n",
                         bytes),
             "deep();");
      const OnCore::Cost cost = on_core.cost();
      CHECK(cost.stack_bound_bytes.value() >= cost.stack_bytes);
      CHECK(cost.stack_bound_bytes.value() < cost.stack_bytes + 400);
      return cost.stack_bytes;
    };
    CHECK(stack_with(9000) - stack_with(5000) == 4000);
  }
}

TEST_CASE("the stack bound follows the deepest calls, and is none where there is no bound") {
  const std::string graph =
      "graph: { title: \"net.c\"\n"
      "node: { title: \"net.c:leaf\" label: \"leaf\\nnet.c:1:2\\n24 bytes (static)\" }\n"
      "node: { title: \"net.c:op\" label: \"op\\nnet.c:9:2\\n100 bytes (static)\" }\n"
      "node: { title: \"net_run\" label: \"net_run\\nnet.c:20:1\\n8 bytes (dynamic,bounded)\" }\n"
      "node: { title: \"memcpy\" label: \"memcpy\\n<built-in>\" shape : ellipse }\n"
      "edge: { sourcename: \"net.c:op\" targetname: \"net.c:leaf\" label: \"net.c:10:3\" }\n"
      "edge: { sourcename: \"net_run\" targetname: \"net.c:leaf\" label: \"net.c:21:3\" }\n";
  const std::string run_calls_op =
      "edge: { sourcename: \"net_run\" targetname: \"net.c:op\" label: \"net.c:22:3\" }\n";
  const std::uint64_t flat = verify::stack_bound(graph + "}\n", "net_run").value();
  const auto with = [&](const std::string& lines) {
    return verify::stack_bound(graph + run_calls_op + lines + "}\n", "net_run");
  };
  CHECK(flat >= 8 + 24);
  CHECK(with("") == flat + 100);
  CHECK(with("edge: { sourcename: \"net.c:op\" targetname: \"memcpy\" }\n").value() > flat + 100);
  CHECK(!with("edge: { sourcename: \"net.c:leaf\" targetname: \"net_run\" }\n"));
  // The compiler made one of two functions that are the same.
  CHECK(with("edge: { sourcename: \"net_run\" targetname: \"net_op3\" }\n") == flat + 100);
  const std::string call_of_pointer =
      "edge: { sourcename: \"net.c:op\" targetname: \"__indirect_call\" }\n";
  CHECK(
      !with("node: { title: \"__indirect_call\" label: \"Indirect Call Placeholder\" shape : "
            "ellipse }\n" +
            call_of_pointer));
  const std::string dynamic =
      "node: { title: \"net.c:op\" label: \"op\\nnet.c:9:2\\n100 bytes (dynamic)\" }\n";
  CHECK(!with(dynamic));
  CHECK(!verify::stack_bound(graph + "}\n", "other"));
  // Of each function, by its symbol; without those that have none.
  const auto bounds = verify::stack_bounds(graph + run_calls_op + dynamic + "}\n");
  CHECK(bounds.at("leaf") + 8 == flat);
  CHECK(!bounds.contains("op"));
  CHECK(!bounds.contains("net_run"));
  CHECK(verify::stack_bounds(graph + run_calls_op + "}\n").at("net_run") == flat + 100);
  CHECK(verify::stack_bounds(graph + "edge: { sourcename: \"net").empty());
  CHECK(!verify::stack_bound(graph + "edge: { sourcename: \"net", "net_run"));
}

TEST_CASE("C that faults, overruns, hangs, stops early or does not fit fails on every core") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  const auto failure_with = [&](const OnCore& core, const std::string& before,
                                const std::string& statement,
                                std::chrono::milliseconds timeout = std::chrono::seconds(60)) {
    change(emitted, source, before, statement);
    const verify::CRun ran = core.run(timeout);
    CHECK(!ran.seen);
    CHECK(!ran.deployed);
    CHECK(!ran.cost);
    return ran.failure;
  };
  for (const std::string& name : core_names()) {
    INFO(name);
    const OnCore core(emitted, name);
    const bool is_linux = name == "aarch64";
    const std::string fault = failure_with(core, "", "__builtin_trap();");
    CHECK_MESSAGE(contains(fault, is_linux ? "killed by signal" : "exit code 5: the core faulted"),
                  fault);
    const std::string arena =
        failure_with(core, "", "((unsigned char *)arena)[NET_ARENA_BYTES] = 0;");
    CHECK_MESSAGE(contains(arena, "exit code 3: it wrote outside its arena"), arena);
    const std::string stack = failure_with(
        core, "",
        "{ volatile char b[62500]; int i; for (i = 62499; i >= 0; --i) b[i] = 1; (void)b[0]; }");
    CHECK_MESSAGE(contains(stack, "exit code 6: its stack is too small"), stack);
    const std::string hang =
        failure_with(core, "", "for (;;) __asm__ volatile(\"\");", std::chrono::seconds(2));
    CHECK_MESSAGE(contains(hang, "no result after 2.0 seconds"), hang);
    const std::string early =
        failure_with(core, "int harness_close(void);\n#include \"semihosting.h\"\n",
                     is_linux ? "{ extern void exit(int); exit(0); }"
                              : "{ const uint32_t a[2] = {0x20026u, 0u}; "
                                "semihosting(SYS_EXIT_EXTENDED, a); }");
    CHECK_MESSAGE(contains(early, "its output ends"), early);
    if (is_linux) continue;
    const std::string large = failure_with(
        core, "extern const char large[];\nconst char large[1 << 25] = {1};\n", "(void)large[0];");
    CHECK_MESSAGE(contains(large, "net.c does not link with the harness"), large);
  }
}

TEST_CASE("sizes are those of an object file's sections, and of nothing else") {
  // A header and three sections: code, constants, and one that is not loaded.
  const auto object = [](std::uint16_t type, std::uint16_t sections) {
    struct {
      Elf32_Ehdr header;
      Elf32_Shdr sections[3];
    } file{};
    std::memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS32;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_type = type;
    file.header.e_shoff = offsetof(decltype(file), sections);
    file.header.e_shentsize = sizeof(Elf32_Shdr);
    file.header.e_shnum = sections;
    file.sections[0].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
    file.sections[0].sh_size = 100;
    file.sections[1].sh_flags = SHF_ALLOC;
    file.sections[1].sh_size = 20;
    file.sections[2].sh_size = 3000;
    std::vector<std::byte> bytes(sizeof file);
    std::memcpy(bytes.data(), &file, sizeof file);
    return bytes;
  };
  const auto sizes = verify::object_sizes(object(ET_REL, 3));
  REQUIRE(sizes.has_value());
  CHECK(sizes->code_bytes == 100);
  CHECK(sizes->constant_bytes == 20);
  CHECK(!verify::object_sizes(object(ET_EXEC, 3)));
  CHECK(!verify::object_sizes(object(ET_REL, 0)));
  CHECK(!verify::object_sizes(object(ET_REL, 4)));  // beyond the end
  CHECK(!verify::object_sizes({}));
  std::vector<std::byte> bytes = object(ET_REL, 3);
  CHECK(!verify::object_sizes(std::span(bytes).first(bytes.size() - 1)));
  bytes[EI_DATA] = std::byte{ELFDATA2MSB};
  CHECK(!verify::object_sizes(bytes));
}

TEST_CASE("functions and tables of an object file are listed with their sizes") {
  const Emitted emitted("bias12");
  const verify::CProgram program = {emitted.folder.path(), "net", std::chrono::seconds(60)};
  for (const char* const core : {"cortex-m0", "cortex-m4", "rv32imc", "aarch64"}) {
    INFO(core);
    const verify::CTarget target = verify::c_targets({core}).at(0);
    const verify::CBuild build(target, program, verify::CBuildKind::kDeployed);
    verify::ObjectSizes sum;
    std::map<std::string, verify::Symbol> by_name;
    for (const verify::Symbol& symbol : build.symbols()) {
      (symbol.is_code ? sum.code_bytes : sum.constant_bytes) += symbol.bytes;
      by_name[symbol.name] = symbol;
    }
    const verify::ObjectSizes all = build.sizes().value();
    CHECK(sum.code_bytes <= all.code_bytes);
    CHECK(sum.code_bytes + 64 > all.code_bytes);
    CHECK(sum.constant_bytes <= all.constant_bytes);
    CHECK(by_name.at("net_run").is_code);
    CHECK(!by_name.at("net_tensors").is_code);
    CHECK(by_name.at("net_op5_linear_weight").bytes == 288);
    CHECK(build.stack_bounds().contains("net_op5_linear"));
  }
  CHECK(verify::object_symbols({}).empty());
  CHECK(verify::object_symbols(read_file(emitted.folder / "net.c")).empty());
}

TEST_CASE("a missing compiler, emulator or counter is named, with what to install") {
  const std::string path = std::getenv("PATH");
  for (const verify::EmulatedTarget& target : verify::emulated_targets()) {
    INFO(std::string(target.name));
    const auto error = [&] {
      return input_error_of([&] { verify::c_targets({std::string(target.name)}); });
    };
    const TemporaryFolder folder;
    setenv("PATH", folder.path().c_str(), 1);
    const std::string no_compiler = error();
    std::filesystem::create_symlink("/bin/true", folder / std::string(target.compiler));
    const std::string no_emulator = error();
    setenv("PATH", path.c_str(), 1);
    for (const auto& [text, program_name] :
         {std::pair(no_compiler, target.compiler), std::pair(no_emulator, target.emulator)}) {
      CHECK_MESSAGE(contains(text, fmt::format("target '{}': {} is not installed; on Debian: "
                                               "apt-get install {}",
                                               target.name, program_name,
                                               verify::debian_packages(program_name))),
                    text);
    }
  }
}

TEST_CASE("a harness that does not compile fails every build, and is not tried again") {
  const Emitted emitted("bias12");
  const OnCore on_core(emitted, "cortex-m4");
  const TemporaryFolder folder;
  std::filesystem::create_symlink("/bin/false", folder / "arm-none-eabi-gcc");
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder.path().c_str(), 1);
  const std::string first = on_core.run().failure;
  setenv("PATH", path.c_str(), 1);
  CHECK_MESSAGE(contains(first, "the harness does not compile (exit code 1)"), first);
  CHECK(on_core.run().failure == first);
  CHECK(OnCore(emitted, "cortex-m4").run().failure.empty());
}

TEST_CASE("a plan runs on cores alone, each once; what is missing for the runtime is named") {
  CHECK(verify::plan_targets({"host"}).empty());
  CHECK(verify::plan_targets({"all", "cortex-m4"}).size() == core_names().size());
  CHECK(verify::plan_targets({"rv32imc"}).at(0).name == "plan rv32imc (qemu)");
  CHECK(contains(input_error_of([&] { verify::plan_targets({"z80"}); }), "'z80' is unknown"));

  const TemporaryFolder folder;
  for (const char* const program : {"aarch64-linux-gnu-gcc", "qemu-aarch64"})
    std::filesystem::create_symlink("/bin/true", folder / program);
  const std::string path = std::getenv("PATH");
  setenv("PATH", folder.path().c_str(), 1);
  const std::string error = input_error_of([&] { verify::plan_targets({"aarch64"}); });
  setenv("PATH", path.c_str(), 1);
  CHECK_MESSAGE(contains(error,
                         "aarch64-linux-gnu-g++ is not installed; on Debian: apt-get "
                         "install g++-aarch64-linux-gnu"),
                error);
}

TEST_CASE("'all' is the host and every core, and nothing runs twice") {
  const std::vector<verify::CTarget> all = verify::c_targets({"all"});
  CHECK(all.size() == 4 + core_names().size());
  CHECK(verify::c_targets({"host", "rv32imc", "all", "cortex-m0"}).size() == all.size());
  CHECK(verify::c_targets({"rv32imc", "cortex-m0"}).at(1).name == "C cortex-m0 (qemu)");
}

TEST_CASE("code for a core without unaligned accesses faults at one, whatever core runs it") {
  const Emitted emitted("bias12");
  const std::string source = emitted.source();
  change(emitted, source, "",
         "{ volatile uint32_t *word = (volatile uint32_t *)((uintptr_t)arena + 1);\n"
         "  __asm__ volatile(\"\" : \"+r\"(word)); (void)*word; }");
  const std::string fault = OnCore(emitted, "cortex-m0").run().failure;
  CHECK_MESSAGE(contains(fault, "exit code 5: the core faulted"), fault);
  const std::string none = OnCore(emitted, "cortex-m3").run().failure;
  CHECK_MESSAGE(none.empty(), none);
}

}  // namespace lockstep::test
