#include "tools/model/plan_tensors.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "compile/support/error.h"

namespace lockstep {
namespace {

// Of bytes that hold a header.
std::uint32_t version_of(std::span<const std::byte> bytes) {
  intrt_plan_header header;
  LOCKSTEP_ASSERT(bytes.size() >= sizeof header);
  std::memcpy(&header, bytes.data(), sizeof header);
  return header.version;
}

}  // namespace

intrt_plan open_plan(std::span<const std::byte> bytes, const std::string& name) {
  intrt_plan plan;
  std::uint32_t failed_op = UINT32_MAX;
  const intrt_status status = intrt_open(&plan, bytes.data(), bytes.size(), &failed_op);
  if (status == INTRT_ERROR_VERSION)
    throw InputError(
        fmt::format("{}: it has version {} of the plan format, and this reads version "
                    "{}: compile the network again",
                    name, version_of(bytes), INTRT_PLAN_VERSION));
  if (status != INTRT_OK)
    throw InputError(fmt::format(
        "{}: {}{}", name, intrt_status_text(status),
        failed_op == UINT32_MAX ? std::string() : fmt::format(" (operator {})", failed_op)));
  return plan;
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

std::string kernel_variant(const std::string& given) {
  const char* const variable = std::getenv("LOCKSTEP_KERNELS");
  const bool from_variable = given.empty() && variable != nullptr && *variable != 0;
  const std::string wanted = from_variable ? variable : given;
  const std::string source = from_variable ? "LOCKSTEP_KERNELS=" : "kernels ";
  std::string allowed, reason = "unknown";
  for (std::uint32_t i = 0; intrt_kernel_variant(i) != nullptr; ++i) {
    const std::string name = intrt_kernel_variant(i);
    const bool runs = intrt_kernel_variant_runs_here(i) != 0;
    if (runs && (wanted.empty() || wanted == name)) return name;
    if (wanted == name) reason = "this CPU cannot run these kernels";
    if (runs) allowed += (allowed.empty() ? "" : ", ") + name;
  }
  throw InputError(
      fmt::format("{}{}: {}; this machine can run {}", source, wanted, reason, allowed));
}

}  // namespace lockstep
