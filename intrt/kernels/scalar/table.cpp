// Any function of a code, looked up: one entry for each code that the input's bits allow. Each
// element is read before it is written, so the output may lie exactly on the input.
#include "intrt/kernels/kernel.h"

namespace {

using namespace intrt;

// What is added to a code to give its place in a table.
int32_t first_entry(const intrt_tensor_record& input) {
  return input.type == INTRT_UINT8 ? 0 : -code_min(input.bits);
}

template <typename Y>
bool all_codes(const Y* entries, uint64_t count, uint32_t bits) {
  for (uint64_t i = 0; i < count; ++i)
    if (entries[i] < code_min(bits) || entries[i] > code_max(bits)) return false;
  return true;
}

template <typename Y>
void look_up(const OpToRun& op) {
  const intrt_table_params& p = params_of<intrt_table_params>(op.record);
  const Mask mask(op.plan, p.mask_offset);
  const Y* entries = object_at<Y>(op.plan, p.entries_offset);
  const uint16_t* tables =
      p.tables_offset == 0 ? nullptr : object_at<uint16_t>(op.plan, p.tables_offset);
  Y* output = static_cast<Y*>(op.output_data);
  const int32_t first = first_entry(op.input);
  const size_t pixels = static_cast<size_t>(op.input.height) * op.input.width;
  size_t element = 0;
  for (size_t pixel = 0; pixel < pixels; ++pixel)
    for (uint32_t c = 0; c < op.input.channels; ++c, ++element) {
      const size_t table = tables == nullptr ? 0 : tables[c];
      const size_t entry =
          static_cast<size_t>(load_code(op.input_data, op.input.type, element) + first);
      output[element] = mask.keeps(element) ? entries[(table << op.input.bits) + entry] : Y{0};
    }
}

}  // namespace

intrt_status intrt_check_table(Checker& checker, const OpToCheck& op) {
  const intrt_plan& plan = checker.plan();
  const intrt_table_params& p = params_of<intrt_table_params>(op.record);
  if (p.table_count == 0) return INTRT_ERROR_VALUE;
  if (op.input.type == INTRT_INT32 ||
      (op.output.type != INTRT_INT8 && op.output.type != INTRT_INT16) ||
      !same_shape(op.input, op.output))
    return INTRT_ERROR_SHAPE;

  const uint32_t entry_bytes = element_bytes(op.output.type);
  const uint64_t entry_count = static_cast<uint64_t>(p.table_count) << op.input.bits;
  if (!checker.holds(p.entries_offset, entry_count, entry_bytes, entry_bytes))
    return INTRT_ERROR_BOUNDS;
  if (op.output.bits != 8 * entry_bytes) {
    if (!checker.spend(entry_count * entry_bytes)) return INTRT_ERROR_WORK;
    const bool sound =
        op.output.type == INTRT_INT8
            ? all_codes(object_at<int8_t>(plan, p.entries_offset), entry_count, op.output.bits)
            : all_codes(object_at<int16_t>(plan, p.entries_offset), entry_count, op.output.bits);
    if (!sound) return INTRT_ERROR_VALUE;
  }
  if (p.tables_offset != 0) {
    if (!checker.holds(p.tables_offset, op.input.channels, 2, 2)) return INTRT_ERROR_BOUNDS;
    if (!checker.spend(2 * static_cast<uint64_t>(op.input.channels))) return INTRT_ERROR_WORK;
    const uint16_t* tables = object_at<uint16_t>(plan, p.tables_offset);
    for (uint32_t c = 0; c < op.input.channels; ++c)
      if (tables[c] >= p.table_count) return INTRT_ERROR_BOUNDS;
  }
  return check_mask(checker, p.mask_offset, op.output);
}

namespace {

void run(const OpToRun& op) {
  op.output.type == INTRT_INT8 ? look_up<int8_t>(op) : look_up<int16_t>(op);
}

}  // namespace

INTRT_DEFINE_KERNEL(table, table, run)
