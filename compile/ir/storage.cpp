#include "compile/ir/storage.h"

#include <algorithm>

#include "compile/support/error.h"

namespace lockstep::ir {

ElementType weight_type(const xt::xarray<std::int32_t>& weights, bool wide) {
  LOCKSTEP_ASSERT(weights.size() > 0);
  if (wide) return ElementType::kInt32;
  const auto [lo, hi] = std::minmax_element(weights.begin(), weights.end());
  return bits_to_hold(*lo, *hi) <= 8 ? ElementType::kInt8 : ElementType::kInt16;
}

StorageSize storage_size(const xt::xarray<std::int32_t>& weights, bool wide) {
  StorageSize size;
  size.outputs = static_cast<std::int64_t>(weights.shape(0));
  size.inputs = static_cast<std::int64_t>(weights.shape(weights.dimension() - 1));
  size.taps = static_cast<std::int64_t>(weights.size()) / (size.outputs * size.inputs);
  size.nonzeros = size.weights() - std::count(weights.begin(), weights.end(), 0);
  const ElementType type = weight_type(weights, wide);
  size.element_bytes = type == ElementType::kInt8 ? 1 : type == ElementType::kInt16 ? 2 : 4;
  return size;
}

namespace {

template <typename T>
std::int64_t size_of(const std::vector<T>& list) {
  return static_cast<std::int64_t>(list.size());
}

std::int64_t mask_bytes(const std::vector<std::uint8_t>& mask) { return (size_of(mask) + 7) / 8; }

std::int64_t scale_bytes(const Scale& scale) {
  constexpr std::int64_t kPerChannel = 4 + 8 + 1 + 2 * 2;  // multiplier, addend, shift, limits
  std::int64_t bytes = kPerChannel * size_of(scale.channels), steps = 0;
  for (const ChannelScale& channel : scale.channels)
    steps += 4 * size_of(channel.thresholds) + 2 * size_of(channel.codes);
  return steps == 0 ? bytes : bytes + steps + 4 * (size_of(scale.channels) + 1);
}

std::int64_t post_bytes(const Post& post) {
  std::int64_t bytes = mask_bytes(post.mask);
  if (const Requantize* requantize = post.requantize()) bytes += size_of(requantize->shifts);
  if (const Scale* scale = post.scale()) bytes += scale_bytes(*scale);
  return bytes;
}

}  // namespace

std::int64_t table_bytes(const Program& program, const Op& op) {
  std::int64_t bytes = 0;
  if (const Post* post = post_of(op.kind)) bytes += post_bytes(*post);
  if (const auto* table = std::get_if<Table>(&op.kind)) {
    for (const std::vector<std::int16_t>& entries : table->tables)
      bytes += size_of(entries) * program.values[op.output].element_bytes();
    if (table->tables.size() > 1) bytes += 2 * size_of(table->table_of);
    bytes += mask_bytes(table->mask);
  }
  if (const auto* add = std::get_if<Add>(&op.kind))
    bytes += 4 * (size_of(add->multipliers[0]) + size_of(add->multipliers[1]));
  constexpr std::int64_t kSpan = 12, kPiece = 60;
  if (const auto* pool = std::get_if<AvgPool2d>(&op.kind))
    bytes += kSpan * (size_of(pool->rows) + size_of(pool->columns));
  if (const auto* move = std::get_if<Move>(&op.kind)) bytes += kPiece * size_of(move->pieces);
  return bytes;
}

}  // namespace lockstep::ir
