// Prepared memory: a header, an entry for each operator, chains, and what kernels prepared.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "intrt/chain.h"
#include "intrt/kernels/kernel.h"

namespace intrt {

struct PreparedHeader {
  static constexpr uint32_t kMagic = 0x50524550;  // "PREP"

  uint32_t magic, variant;
  uint32_t plan_crc32, op_count;
  // Entries follow: where an operator's memory lies, counted from here, a multiple of 64 to which
  // the variant is added. 0: the plan is enough for it. Then for each operator where its StepTables
  // lie, or 0, and a ChainLink.

  const uint64_t* entries() const {
    return static_cast<const uint64_t*>(static_cast<const void*>(this + 1));
  }
  const ChainLink* links() const {
    return static_cast<const ChainLink*>(
        static_cast<const void*>(entries() + size_t{2} * op_count));
  }
  bool is_prepared(uint32_t op) const { return entries()[op] != 0; }
  uint32_t variant_of(uint32_t op) const {
    return static_cast<uint32_t>(entries()[op] % INTRT_PREPARED_ALIGNMENT);
  }
  const void* memory_of(uint32_t op) const {
    return static_cast<const uint8_t*>(static_cast<const void*>(this)) +
           (entries()[op] - variant_of(op));
  }
  const StepTables* step_tables_of(uint32_t op) const {
    const uint64_t offset = entries()[op_count + op];
    const uint8_t* base = static_cast<const uint8_t*>(static_cast<const void*>(this));
    return offset == 0 ? nullptr
                       : static_cast<const StepTables*>(static_cast<const void*>(base + offset));
  }
};
static_assert(kVariants <= INTRT_PREPARED_ALIGNMENT, "variants fit beside an offset");

inline OpToPrepare to_prepare(const intrt_plan& plan, uint32_t op) {
  const intrt_op_record& record = op_record(plan, op);
  return {plan, record, input_record(plan, record, 0), tensor_record(plan, record.output)};
}

// From tensor to tensor in the arena, without what was prepared.
inline OpToRun to_run(const intrt_plan& plan, uint32_t op, void* arena) {
  const intrt_op_record& record = op_record(plan, op);
  return {plan,
          record,
          input_record(plan, record, 0),
          tensor_record(plan, record.output),
          intrt_tensor_data(&plan, arena, input_index(plan, record, 0)),
          intrt_tensor_data(&plan, arena, record.output),
          arena,
          {0, 1}};
}

// The kernel of a prepared operator.
inline const FastKernel& fast_kernel(const intrt_plan& plan, const PreparedHeader& header,
                                     uint32_t op) {
  return *find_kernel(plan, kernel_of(plan, op_record(plan, op)))->fast[header.variant_of(op)];
}

struct Prepared {
  const PreparedHeader& header;
  // Run operator number `op` with its prepared kernel, or the chain that begins with it. Pointers,
  // so that programs that prepare nothing link none of it.
  void (*run)(const FastKernel& kernel, OpToRun& call, uint32_t op,
              const intrt_run_options* options);
  decltype(&run_chain) run_links;
};

// intrt_run, with the kernels that were prepared; null: none.
intrt_status run_operators(const intrt_plan* plan, const Prepared* prepared, void* arena,
                           size_t arena_bytes, const intrt_run_options* options);

// Among how many of the options' threads it is worth to divide so many operators, from `first` on;
// 1 where there are no threads.
uint32_t parts_worth_it(const intrt_plan& plan, uint32_t first, uint32_t count,
                        const intrt_run_options* options);

// Where a part begins that has its share of some slices. The first parts have one more where there
// is a remainder.
inline uint32_t begin_of_part(uint32_t slices, uint32_t parts, uint32_t part) {
  const uint32_t rest = slices % parts;
  return part * (slices / parts) + (part < rest ? part : rest);
}

// Prepared::run: divided among the options' threads where that is worth it.
void run_divided(const FastKernel& kernel, OpToRun& call, uint32_t op,
                 const intrt_run_options* options);

}  // namespace intrt
