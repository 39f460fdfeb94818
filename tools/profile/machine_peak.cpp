#include "tools/profile/machine_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <vector>

#include "compile/support/error.h"
#include "tools/model/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace lockstep::cli {
namespace {

constexpr int kSums = 10;  // that do not wait for each other, in registers
constexpr int kRounds = 20'000;

// kRounds * kSums sums of products; returns the multiply-accumulates.
using Multiply = double (*)();

// A function for instructions that not every CPU has: its name, what it is compiled for, its
// vector, the multiply-accumulates of one step, the step from `sum`, `a` and `b`. Sums have names
// of their own, or they would lie in memory; no step knows what `a` holds.
#define LOCKSTEP_MULTIPLY(name, instructions, vector, macs, step)                               \
  __attribute__((target(instructions))) double name() {                                         \
    vector a, b;                                                                                \
    std::memset(static_cast<void*>(&a), 1, sizeof a);                                           \
    std::memset(static_cast<void*>(&b), 1, sizeof b);                                           \
    vector s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a;      \
    const auto add = [&](vector & sum) __attribute__((target(instructions), always_inline)) {   \
      sum = step;                                                                               \
      asm volatile("" : LOCKSTEP_REGISTER(sum), LOCKSTEP_REGISTER(a));                          \
    };                                                                                          \
    for (int round = 0; round < kRounds; ++round)                                               \
      add(s0), add(s1), add(s2), add(s3), add(s4), add(s5), add(s6), add(s7), add(s8), add(s9); \
    return double{kRounds} * kSums * macs;                                                      \
  }

#if defined(__x86_64__)
#define LOCKSTEP_REGISTER(value) "+v"(value)
LOCKSTEP_MULTIPLY(multiply_avx512vnni, "avx512f,avx512vnni", __m512i, 64,
                  _mm512_dpbusd_epi32(sum, a, b))
LOCKSTEP_MULTIPLY(multiply_avxvnni, "avx2,avxvnni", __m256i, 32, _mm256_dpbusd_avx_epi32(sum, a, b))
// What a compiler makes of scalar kernels at most.
LOCKSTEP_MULTIPLY(multiply_scalar, "sse2", __m128i, 8, _mm_add_epi32(sum, _mm_madd_epi16(a, b)))
// Eight steps share sums of 16 bits, the most that kernels let do so.
__attribute__((target("avx2"), always_inline)) inline __m256i eight_steps(__m256i& a, __m256i b) {
  __m256i sum = _mm256_maddubs_epi16(a, b);
  _Pragma("GCC unroll 8") for (int i = 1; i < 8; ++i) {
    asm volatile("" : LOCKSTEP_REGISTER(a));
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(a, b));
  }
  return sum;
}
LOCKSTEP_MULTIPLY(multiply_avx2, "avx2", __m256i, 256,
                  _mm256_add_epi32(sum, _mm256_madd_epi16(eight_steps(a, b), _mm256_set1_epi16(1))))
#elif defined(__aarch64__)
#define LOCKSTEP_REGISTER(value) "+w"(value)
LOCKSTEP_MULTIPLY(multiply_neondot, "arch=armv8.2-a+dotprod", int32x4_t, 16,
                  vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b)))
LOCKSTEP_MULTIPLY(multiply_scalar, "arch=armv8-a", int32x4_t, 4,
                  vmlal_s16(sum, vget_low_s16(vreinterpretq_s16_s32(a)),
                            vget_low_s16(vreinterpretq_s16_s32(b))))
#else
#define LOCKSTEP_REGISTER(value) "+r"(value)
LOCKSTEP_MULTIPLY(multiply_scalar, "", std::int32_t, 1, sum + a * b)
#endif
#undef LOCKSTEP_MULTIPLY
#undef LOCKSTEP_REGISTER

struct VariantPeak {
  const char* kernels;
  Multiply multiply;
};
constexpr VariantPeak kVariantPeaks[] = {
#if defined(__x86_64__)
    {"avx512vnni", multiply_avx512vnni},
    {"avxvnni", multiply_avxvnni},
    {"avx2", multiply_avx2},
#elif defined(__aarch64__)
    {"neondot", multiply_neondot},
#endif
    {"scalar", multiply_scalar},
};

// Reads `count` numbers, a multiple of 8; returns the bytes.
double read_all(const std::uint64_t* numbers, std::size_t count) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i < count; i += 8)
    for (std::size_t k = 0; k < 8; ++k) sums[k] += numbers[i + k];
  std::uint64_t sum = 0;
  for (const std::uint64_t one : sums) sum += one;
  asm volatile("" : : "r"(sum));
  return static_cast<double>(count * sizeof *numbers);
}

// How much of it all threads do together in a second, at best: the most of several short attempts,
// as other processes can only make it less.
template <typename Work>
double most_per_second(ThreadPool& pool, const Work& work) {
  struct Attempt {
    const Work& work;
    std::vector<double> done;
  } attempt{work, std::vector<double>(static_cast<std::size_t>(pool.threads()))};
  using Clock = std::chrono::steady_clock;
  double most = 0;
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(150);
  do {
    const Clock::time_point start = Clock::now();
    pool.run(
        static_cast<std::uint32_t>(pool.threads()),
        [](void* opaque, std::uint32_t part) {
          Attempt& mine = *static_cast<Attempt*>(opaque);
          mine.done[part] = mine.work(part);
        },
        &attempt);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    double all = 0;
    for (const double done : attempt.done) all += done;
    most = std::max(most, all / seconds);
  } while (Clock::now() < end);
  return most;
}

// From `bytes` of each thread, 256 KB after the other in turn.
double read_per_second(ThreadPool& pool, std::size_t bytes) {
  constexpr std::size_t kAtOnce = (std::size_t{256} << 10) / sizeof(std::uint64_t);
  struct Memory {
    std::vector<std::uint64_t> numbers;
    std::size_t next = 0;
  };
  const std::size_t count =
      std::max(bytes / sizeof(std::uint64_t) / kAtOnce, std::size_t{1}) * kAtOnce;
  std::vector<Memory> memories(static_cast<std::size_t>(pool.threads()),
                               Memory{std::vector<std::uint64_t>(count, 1)});
  return most_per_second(pool, [&](std::uint32_t part) {
    Memory& mine = memories[part];
    const std::uint64_t* const from = mine.numbers.data() + mine.next;
    mine.next = (mine.next + kAtOnce) % count;
    return read_all(from, kAtOnce);
  });
}

}  // namespace

MachinePeak measure_peak(const std::string& kernels, int threads) {
  const auto* const found = std::ranges::find_if(
      kVariantPeaks, [&](const VariantPeak& peak) { return kernels == peak.kernels; });
  LOCKSTEP_ASSERT(found != std::end(kVariantPeaks));
  ThreadPool pool(threads);
  const Multiply multiply = found->multiply;
  return {.macs_per_second = most_per_second(pool, [&](std::uint32_t) { return multiply(); }),
          .cache_bytes_per_second = read_per_second(pool, std::size_t{256} << 10),
          .memory_bytes_per_second =
              read_per_second(pool, (std::size_t{64} << 20) / static_cast<std::size_t>(threads))};
}

}  // namespace lockstep::cli
