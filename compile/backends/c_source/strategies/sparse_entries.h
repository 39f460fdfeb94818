// The entries of intrt_sparse_dot_8 and intrt_sparse_dot_16 (intrt/micro/sparse.h): weights that
// are not 0, in chunks so small that no sum of one leaves 16 bits.
#pragma once

#include <cstdint>
#include <vector>

#include "compile/ir/ir.h"

namespace lockstep::backends {

class SparseEntries {
 public:
  struct Entry {
    std::int64_t weight = 0;
    std::int64_t word = 0;  // the first of the tap's words in the panel
    ir::Range codes;        // that the weight may be multiplied by; a 0 besides
  };

  void open_block() { firsts_.push_back(std::ssize(numbers_)); }
  // The weights of a channel, in any order: each goes into the first chunk that has room for it.
  void add_channel(std::vector<Entry> channel);

  // Whether weights have 8 bits and places 16.
  bool fits() const { return fits_; }
  const std::vector<std::int64_t>& numbers() const { return numbers_; }
  const std::vector<std::int64_t>& firsts() const { return firsts_; }  // of each block
  std::int64_t chunks() const { return chunks_; }

 private:
  bool fits_ = true;
  std::int64_t chunks_ = 0;
  std::vector<std::int64_t> numbers_, firsts_;
};

}  // namespace lockstep::backends
