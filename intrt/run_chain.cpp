#include "intrt/prepared.h"

namespace {

using namespace intrt;

struct Chain {
  const intrt_plan& plan;
  const PreparedHeader& header;
  uint32_t first;  // operator
  uint8_t* arena;
  uint32_t parts;

  const ChainLink& link(uint32_t k) const { return header.links()[first + k]; }
  uint32_t last() const { return link(0).links - 1; }
};

// A part computes a range of the last output's rows, and for it whatever is needed of the others.
class Part {
 public:
  Part(const Chain& chain, uint32_t index)
      : chain_(chain), memory_(chain.arena + link(0).arena_offset + index * link(0).part_bytes) {
    const ChainLink& last = link(chain.last());
    const uint32_t slices = (last.height + last.rows - 1) / last.rows;
    done_[chain.last()] = begin_of_part(slices, chain.parts, index) * last.rows;
    const uint32_t end = begin_of_part(slices, chain.parts, index + 1) * last.rows;
    end_ = end < last.height ? end : last.height;
    for (uint32_t k = chain.last(); k > 0; --k) {
      const ChainLink& before = link(k - 1);
      const uint32_t row = link(k).first_input_row(done_[k], before.height);
      first_kept_[k - 1] = done_[k - 1] =
          before.slice_begin(row < before.height ? row : before.height - 1);
    }
  }

  void run() {
    uint32_t ends[kMostLinks];
    const uint32_t last = chain_.last(), band = link(0).band_rows;
    while (done_[last] < end_) {
      ends[last] = band < end_ - done_[last] ? done_[last] + band : end_;
      for (uint32_t k = last; k > 0; --k) {
        const ChainLink& before = link(k - 1);
        const uint32_t needed =
            ends[k] == done_[k]
                ? 0
                : before.slice_end(link(k).input_rows_below(ends[k], before.height));
        ends[k - 1] = needed > done_[k - 1] ? needed : done_[k - 1];
      }
      for (uint32_t k = 0; k <= last; ++k) {
        if (ends[k] == done_[k]) continue;
        if (k < last) make_room(k, ends[k]);
        run_link(k, ends[k]);
        done_[k] = ends[k];
      }
    }
  }

 private:
  const ChainLink& link(uint32_t k) const { return chain_.link(k); }

  // Rows that link k + 1 needs no more make room for those up to `end`.
  void make_room(uint32_t k, uint32_t end) {
    const ChainLink& of = link(k);
    if (end - first_kept_[k] <= of.kept_rows) return;
    uint32_t from = link(k + 1).first_input_row(done_[k + 1], of.height);
    if (from >= done_[k]) from = done_[k] - 1;  // of a window in the padding, the row beside it
    uint8_t* to = memory_ + of.kept_offset;
    const uint8_t* rows = to + size_t{from - first_kept_[k]} * of.row_bytes;
    const size_t bytes = size_t{done_[k] - from} * of.row_bytes;
    for (size_t i = 0; i < bytes; ++i) to[i] = rows[i];
    first_kept_[k] = from;
  }

  // Where row 0 of link k's output would lie.
  void* rows_of(uint32_t k) const {
    const ChainLink& of = link(k);
    return at(memory_ + of.kept_offset, size_t{first_kept_[k]} * of.row_bytes);
  }
  // It may lie before the memory, or before all memory. Kernels add to it what leads back.
  static void* at(uint8_t* memory, size_t before) {
    return reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(memory) - before);
  }

  void run_link(uint32_t k, uint32_t end) const {
    const ChainLink& of = link(k);
    const uint32_t op = chain_.first + k;
    OpToRun call = to_run(chain_.plan, op, chain_.arena);
    if (k > 0) (of.linked_input == 0 ? call.input_data : call.second_data) = rows_of(k - 1);
    if (k < chain_.last()) call.output_data = rows_of(k);
    call.slices = {done_[k] / of.rows * of.slices, (end + of.rows - 1) / of.rows * of.slices};
    call.prepared = chain_.header.memory_of(op);
    call.step_tables = chain_.header.step_tables_of(op);
    fast_kernel(chain_.plan, chain_.header, op).run(call);
  }

  const Chain& chain_;
  uint8_t* memory_;
  uint32_t end_;
  // Of each output: the first row that is kept, and the row up to which it is computed.
  uint32_t first_kept_[kMostLinks], done_[kMostLinks];
};

void run_part(void* work, uint32_t index) { Part(*static_cast<const Chain*>(work), index).run(); }

}  // namespace

bool intrt::run_chain(const intrt_plan& plan, const PreparedHeader& header, uint32_t first,
                      void* arena, const intrt_run_options* options) {
  const ChainLink& chain = header.links()[first];
  const uint32_t parts = parts_worth_it(plan, first, chain.links, options);
  if (parts > 1 && parts > chain.most_parts) return false;
  Chain run = {plan, header, first, static_cast<uint8_t*>(arena), parts};
  if (parts > 1)
    options->parallel->run(options->parallel->pool, parts, run_part, &run);
  else
    run_part(&run, 0);
  return true;
}
