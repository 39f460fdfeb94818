#include "tools/support/open_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::cli {
PlanFile::PlanFile(const std::filesystem::path& path)
    : path_(path.string()), bytes_(read_file(path, UINT32_MAX)), plan_(open_plan(bytes_, path_)) {}

intrt_tensor_record PlanFile::tensor_record(std::uint32_t index) const {
  intrt_plan_header header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  LOCKSTEP_ASSERT(index < header.tensor_count);
  intrt_tensor_record record;
  std::memcpy(&record, bytes_.data() + header.tensors_offset + index * sizeof record,
              sizeof record);
  return record;
}

const char* PlanFile::op_node(std::uint32_t op) const {
  const std::uint32_t offset = intrt_op(&plan_, op)->name_offset;
  return offset == 0 ? "" : reinterpret_cast<const char*>(bytes_.data()) + offset;
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

}  // namespace lockstep::cli
