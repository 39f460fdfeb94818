#include "compile/backends/c_source/strategies/sparse_entries.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>

namespace lockstep::backends {
namespace {

struct Chunk {
  std::vector<std::int64_t> numbers;
  ir::Range sum;
};

}  // namespace

void SparseEntries::add_channel(std::vector<Entry> channel) {
  // The largest ones first: then chunks fill better.
  std::ranges::stable_sort(channel, std::greater(), [](const Entry& entry) {
    return std::abs(entry.weight) * (entry.codes.hi - entry.codes.lo);
  });
  std::vector<Chunk> chunks;
  for (const Entry& entry : channel) {
    fits_ = fits_ && entry.weight >= INT8_MIN && entry.weight <= INT8_MAX &&
            entry.word * 4 <= UINT16_MAX;
    const auto [least, most] =
        std::minmax({0L, entry.weight * entry.codes.lo, entry.weight * entry.codes.hi});
    const ir::Range product{least, most};
    auto chunk = std::ranges::find_if(chunks, [&](const Chunk& open) {
      return open.sum.lo + product.lo >= INT16_MIN && open.sum.hi + product.hi <= INT16_MAX;
    });
    if (chunk == chunks.end()) chunk = chunks.insert(chunk, Chunk{});
    chunk->sum = {chunk->sum.lo + product.lo, chunk->sum.hi + product.hi};
    chunk->numbers.push_back(entry.weight * 65536 + entry.word * 4);
  }
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    numbers_.insert(numbers_.end(), chunks[i].numbers.begin(), chunks[i].numbers.end());
    numbers_.push_back(i + 1 == chunks.size() ? std::ssize(chunks) : 0);
  }
  if (chunks.empty()) numbers_.push_back(0);
  chunks_ += std::max<std::int64_t>(1, std::ssize(chunks));
}

}  // namespace lockstep::backends
