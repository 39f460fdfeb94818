// The bytes of a plan, read with every offset, count and alignment checked, and with a limit to the
// memory that all that is read may take: parts of a plan may share bytes, so that a few of them
// could stand for any amount.
#pragma once

#include <concepts>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "intrt/plan_format.h"
#include "verify/checker/files.h"
#include "verify/checker/plan.h"

namespace lockstep::checker {

class PlanBytes {
 public:
  // A byte of bits of sparse weights becomes 64 bytes of numbers, twice where two operators share.
  static constexpr std::size_t kMemoryPerByte = 128, kFreeMemory = std::size_t{1} << 27;

  explicit PlanBytes(std::span<const std::byte> bytes)
      : bytes_(bytes), memory_left_(kFreeMemory + kMemoryPerByte * bytes.size()) {}

  // Names what is read from here on in messages.
  void begin(std::string place) { place_ = std::move(place); }

  // Unless `ok`: BadFile with the place, the field and its value.
  void need(bool ok, const char* field, std::integral auto value) const {
    if (ok) return;
    refuse("plan: {}: {} {} is out of range or contradicts other fields; compile the network again",
           place_, field, value);
  }

  // Pays for `count` objects of `bytes` bytes in memory.
  void spend(const char* field, std::size_t count, std::size_t bytes) {
    if (count > memory_left_ / bytes)
      refuse("plan: {}: {} {} are more than a plan of {} bytes may stand for", place_, count, field,
             bytes_.size());
    memory_left_ -= count * bytes;
  }

  template <typename Record>
  Record record(const char* field, std::size_t offset) const {
    check(field, offset, 1, sizeof(Record), alignof(Record));
    return load<Record>(offset);
  }

  // `count` numbers of type Stored, widened.
  template <typename Stored, typename Wide = Int>
  std::vector<Wide> array(const char* field, std::size_t offset, std::size_t count,
                          std::size_t alignment = sizeof(Stored)) {
    check(field, offset, count, sizeof(Stored), alignment);
    std::vector<Wide> values = repeated(field, count, Wide{});
    for (std::size_t i = 0; i < count; ++i)
      values[i] = static_cast<Wide>(load<Stored>(offset + i * sizeof(Stored)));
    return values;
  }

  // `count` times `value`, which the plan does not hold.
  template <typename Wide>
  std::vector<Wide> repeated(const char* field, std::size_t count, Wide value) {
    spend(field, count, sizeof(Wide));
    return std::vector<Wide>(count, value);
  }

  // The UTF-8 at an offset, or "" for offset 0.
  std::string text(const char* field, std::size_t offset);

 private:
  // That `count` elements lie in the plan, behind its header.
  void check(const char* field, std::size_t offset, std::size_t count, std::size_t bytes,
             std::size_t alignment) const {
    need(offset >= sizeof(intrt_plan_header) && offset <= bytes_.size() &&
             offset % alignment == 0 && count <= (bytes_.size() - offset) / bytes,
         field, offset);
  }

  template <typename T>
  T load(std::size_t offset) const {
    T value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }

  std::span<const std::byte> bytes_;
  std::size_t memory_left_;
  std::string place_ = "header";
};

// Operator number `index`, whose record begins at `offset`, on tensors that have been read.
PlanOp read_op(PlanBytes& plan, const std::vector<PlanTensor>& tensors, std::size_t index,
               std::size_t offset);

}  // namespace lockstep::checker
