// The micro-kernels as plain C, on this machine; micro_firmware.c is the same for a core that has
// instructions for them.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "tests/intrt/micro_cases.h"

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t kGuard = 0;  // the sanitizer sees more than that
#else
constexpr std::size_t kGuard = 64;
#endif

namespace {

constexpr unsigned char kUntouched = 0xa5;
std::array<std::vector<unsigned char>, 5> memory;

}  // namespace

void* micro_memory(int array, std::uint32_t bytes) {
  std::vector<unsigned char>& of = memory.at(static_cast<std::size_t>(array));
  of = std::vector<unsigned char>();
  of.reserve(bytes + 2 * kGuard + (kGuard == 0 && bytes == 0 ? 1 : 0));  // never null
  of.resize(bytes + 2 * kGuard, kUntouched);
  return of.data() + kGuard;
}

int micro_memory_intact() {
  const auto is_untouched = [](unsigned char byte) { return byte == kUntouched; };
  for (const std::vector<unsigned char>& of : memory)
    if (of.size() >= 2 * kGuard && (!std::all_of(of.begin(), of.begin() + kGuard, is_untouched) ||
                                    !std::all_of(of.end() - kGuard, of.end(), is_untouched)))
      return 0;
  return 1;
}

TEST_CASE("the plain micro-kernels do what their comments say") {
  CHECK(micro_has_dsp() == 0);
  CHECK(micro_has_mve() == 0);
  CHECK(micro_has_neon() == 0);
  CHECK(micro_has_wide() == 0);
  CHECK_MESSAGE(micro_arithmetic_cases() == 0, "the number is a line of micro_cases.c");
  CHECK_MESSAGE(micro_cases() == 0, "the number is a line of micro_cases.c");
}
