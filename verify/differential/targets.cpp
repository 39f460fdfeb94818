#include "verify/differential/targets.h"

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::verify {
namespace {

constexpr std::string_view kArmCompiler = "arm-none-eabi-gcc",
                           kArmCxxCompiler = "arm-none-eabi-g++", kArmEmulator = "qemu-system-arm";

constexpr std::uint32_t kMiB = 1u << 20;
// Code begins behind the vectors, for which 1 KiB is kept.
constexpr MemoryMap kMps2 = {0, 0x400, 4 * kMiB - 0x400, 0x21000000, 16 * kMiB};
constexpr MemoryMap kMps2OfM7 = {0, 0x400, 4 * kMiB - 0x400, 0x60000000, 16 * kMiB};
constexpr MemoryMap kMps2OfM33 = {0x10000000, 0x10000400, 4 * kMiB - 0x400, 0x80000000, 16 * kMiB};
// Its instruction memory has 512 KiB, which is too little for some networks; DDR takes its place.
constexpr MemoryMap kMps3OfM55 = {0x10000000, 0x70000000, 16 * kMiB, 0x71000000, 16 * kMiB};
constexpr MemoryMap kRiscvVirt = {0x80000000, 0x80000400, 16 * kMiB - 0x400, 0x81000000, 16 * kMiB};

struct Packages {
  std::string_view program, packages;
};
constexpr Packages kPackages[] = {
    {"gcc", "gcc"},
    {"clang", "clang"},
    {kArmCompiler, "gcc-arm-none-eabi"},
    {kArmCxxCompiler, "gcc-arm-none-eabi"},
    {kArmEmulator, "qemu-system-arm"},
    {"riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf"},
    {"riscv64-unknown-elf-g++", "gcc-riscv64-unknown-elf"},
    {"qemu-system-riscv32", "qemu-system-misc"},
    {"aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu libc6-dev-arm64-cross"},
    {"aarch64-linux-gnu-g++", "g++-aarch64-linux-gnu"},
    {"qemu-aarch64", "qemu-user"}};

EmulatedTarget cortex_m(std::string_view name, std::string_view processor,
                        std::vector<std::string_view> flags, std::string_view board,
                        const MemoryMap& memory) {
  flags.emplace_back("-mthumb");
  return {name,  processor,    kArmCompiler,  kArmCxxCompiler, std::move(flags),
          "-O3", kArmEmulator, {"-M", board}, "startup_arm.c", memory};
}

std::vector<EmulatedTarget> make_targets() {
  return {
      // No emulated board with this core has enough RAM: its code runs on a Cortex-M3.
      cortex_m("cortex-m0", "Cortex-M0", {"-mcpu=cortex-m0"}, "mps2-an385", kMps2),
      cortex_m("cortex-m3", "Cortex-M3", {"-mcpu=cortex-m3"}, "mps2-an385", kMps2),
      cortex_m("cortex-m4", "Cortex-M4",
               {"-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"}, "mps2-an386", kMps2),
      cortex_m("cortex-m7", "Cortex-M7", {"-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-d16"},
               "mps2-an500", kMps2OfM7),
      cortex_m("cortex-m33", "Cortex-M33", {"-mcpu=cortex-m33", "-mfloat-abi=hard"}, "mps2-an505",
               kMps2OfM33),
      cortex_m("cortex-m55", "Cortex-M55", {"-mcpu=cortex-m55", "-mfloat-abi=hard"}, "mps3-an547",
               kMps3OfM55),
      {"rv32imc",
       "RV32IMC",
       "riscv64-unknown-elf-gcc",
       "riscv64-unknown-elf-g++",
       {"-march=rv32imc", "-mabi=ilp32", "-mcmodel=medany"},
       "-O3",
       "qemu-system-riscv32",
       {"-M", "virt", "-cpu", "rv32", "-bios", "none"},
       "startup_riscv.c",
       kRiscvVirt},
      {"aarch64",
       "AArch64",
       "aarch64-linux-gnu-gcc",
       "aarch64-linux-gnu-g++",
       {"-march=armv8.6-a", "-fno-pie", "-fno-asynchronous-unwind-tables"},
       "-O3",
       "qemu-aarch64",
       {"-cpu", "max"},
       "",
       std::nullopt},
  };
}

}  // namespace

std::span<const EmulatedTarget> emulated_targets() {
  static const std::vector<EmulatedTarget> targets = make_targets();
  return targets;
}

const EmulatedTarget* find_emulated_target(std::string_view name) {
  const auto found = std::ranges::find(emulated_targets(), name, &EmulatedTarget::name);
  return found == emulated_targets().end() ? nullptr : &*found;
}

std::vector<std::string> target_names() {
  std::vector<std::string> names = {"host", "host-all"};
  for (const EmulatedTarget& target : emulated_targets()) names.emplace_back(target.name);
  names.emplace_back("all");
  return names;
}

std::string_view debian_packages(std::string_view program) {
  const auto* const row = std::ranges::find(kPackages, program, &Packages::program);
  LOCKSTEP_ASSERT(row != std::end(kPackages));
  return row->packages;
}

}  // namespace lockstep::verify
