#include "tools/support/open_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <cstdlib>

#include <cstring>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::cli {
namespace {

// Calls visit(logical index, physical index) for every element: C,H,W order outside, HWC in memory.
template <typename Visit>
void for_each_element(const intrt_tensor& tensor, const Visit& visit) {
  std::size_t logical = 0;
  for (std::size_t c = 0; c < tensor.channels; ++c)
    for (std::size_t y = 0; y < tensor.height; ++y)
      for (std::size_t x = 0; x < tensor.width; ++x)
        visit(logical++, (y * tensor.width + x) * tensor.channels + c);
}

// Calls visit(element pointer of the tensor's type).
template <typename Void, typename Visit>
void with_type(const intrt_tensor& tensor, Void* data, const Visit& visit) {
  constexpr bool kConst = std::is_const_v<Void>;
  const auto as = [&]<typename T>(T) {
    visit(static_cast<std::conditional_t<kConst, const T*, T*>>(data));
  };
  switch (tensor.type) {
    case INTRT_INT8:
      return as(std::int8_t{});
    case INTRT_INT16:
      return as(std::int16_t{});
    case INTRT_UINT8:
      return as(std::uint8_t{});
    default:
      LOCKSTEP_ASSERT(tensor.type == INTRT_INT32);
      return as(std::int32_t{});
  }
}

// Of bytes that hold a header.
std::uint32_t version_of(std::span<const std::byte> bytes) {
  intrt_plan_header header;
  LOCKSTEP_ASSERT(bytes.size() >= sizeof header);
  std::memcpy(&header, bytes.data(), sizeof header);
  return header.version;
}

}  // namespace

PlanFile::PlanFile(const std::filesystem::path& path)
    : path_(path.string()), bytes_(read_file(path, UINT32_MAX)) {
  std::uint32_t failed_op = UINT32_MAX;
  const intrt_status status = intrt_open(&plan_, bytes_.data(), bytes_.size(), &failed_op);
  if (status == INTRT_ERROR_VERSION)
    throw InputError(
        fmt::format("{}: it has version {} of the plan format, and this reads version "
                    "{}: compile the network again",
                    path_, version_of(bytes_), INTRT_PLAN_VERSION));
  if (status != INTRT_OK)
    throw InputError(fmt::format(
        "{}: {}{}", path_, intrt_status_text(status),
        failed_op == UINT32_MAX ? std::string() : fmt::format(" (operator {})", failed_op)));
}

OpenPlan::OpenPlan(const std::filesystem::path& path) : PlanFile(path) {
  arena_.resize((std::size_t{arena_bytes()} + sizeof(Block) - 1) / sizeof(Block));
}

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

void OpenPlan::prepare(const std::string& kernels) {
  const char* const name = kernels.c_str();
  const std::size_t bytes = intrt_prepared_bytes(plan(), name);
  prepared_.resize((bytes + sizeof(PreparedBlock) - 1) / sizeof(PreparedBlock));
  require(intrt_prepare(plan(), name, prepared_.data(), bytes));
}

void OpenPlan::run(intrt_observer observer, void* observer_context) {
  LOCKSTEP_ASSERT(!prepared_.empty());
  const intrt_run_options options{.kernels = nullptr,
                                  .observer = observer,
                                  .observer_context = observer_context,
                                  .parallel = nullptr};
  require(intrt_run_prepared(plan(), prepared_.data(), arena_.data(), arena_.size() * sizeof(Block),
                             &options));
}

void OpenPlan::require(intrt_status status) const {
  if (status != INTRT_OK)
    throw InputError(fmt::format("{}: {}", path(), intrt_status_text(status)));
}

std::vector<std::int64_t> logical_shape(const intrt_tensor& tensor) {
  const std::int64_t c = tensor.channels, h = tensor.height, w = tensor.width;
  switch (tensor.logical_rank) {
    case 1:
      return {c * h * w};
    case 2:
      return {c, w};
    default:
      return {c, h, w};
  }
}

std::string shape_text(std::span<const std::int64_t> shape) {
  return fmt::format("({}{})", fmt::join(shape, ", "), shape.size() == 1 ? "," : "");
}

std::vector<int> axis_decimals(const intrt_tensor& tensor) {
  std::vector<int> decimals(tensor.decimals, tensor.decimals + tensor.decimal_count);
  const std::size_t positions = std::size_t{tensor.height} * tensor.width;
  if (decimals.size() == 1 || tensor.logical_rank != 1 || positions == 1) return decimals;
  std::vector<int> per_element;
  for (const int decimal : decimals) per_element.insert(per_element.end(), positions, decimal);
  return per_element;
}

std::vector<float> offsets_of(const intrt_tensor& tensor) {
  if (tensor.offsets == nullptr) return {};
  std::vector<float> offsets(tensor.channels);
  std::memcpy(offsets.data(), tensor.offsets, offsets.size() * sizeof(float));
  return offsets;
}

std::vector<int> channel_map_of(const intrt_tensor& tensor) {
  if (tensor.channel_map == nullptr) return {};
  return {tensor.channel_map, tensor.channel_map + tensor.channels};
}

void store_codes(const intrt_tensor& tensor, std::span<const std::int32_t> codes, void* data) {
  LOCKSTEP_ASSERT(codes.size() == tensor.element_count);
  with_type(tensor, data, [&]<typename T>(T* elements) {
    for_each_element(tensor, [&](std::size_t logical, std::size_t physical) {
      elements[physical] = static_cast<T>(codes[logical]);
    });
  });
}

void load_codes(const intrt_tensor& tensor, const void* data, std::span<std::int32_t> codes) {
  LOCKSTEP_ASSERT(codes.size() == tensor.element_count);
  with_type(tensor, data, [&](const auto* elements) {
    for_each_element(tensor, [&](std::size_t logical, std::size_t physical) {
      codes[logical] = elements[physical];
    });
  });
}

std::string kernel_variant(const std::string& option) {
  const char* const variable = std::getenv("LOCKSTEP_KERNELS");
  const bool from_variable = option.empty() && variable != nullptr && *variable != 0;
  const std::string wanted = from_variable ? variable : option;
  const std::string source = from_variable ? "LOCKSTEP_KERNELS=" : "--kernels ";
  std::string allowed;
  for (std::uint32_t i = 0; intrt_kernel_variant(i) != nullptr; ++i) {
    const std::string name = intrt_kernel_variant(i);
    const bool runs = intrt_kernel_variant_runs_here(i) != 0;
    if (runs && (wanted.empty() || wanted == name)) return name;
    if (wanted == name)
      throw InputError(fmt::format("{}{}: this CPU cannot run these kernels", source, name));
    if (runs) allowed += (allowed.empty() ? "" : ", ") + name;
  }
  throw InputError(fmt::format("{}{}: unknown; this machine can run {}", source, wanted, allowed));
}

}  // namespace lockstep::cli
