// Plans that are opened with a list of kernels: what a plan needs is enough, less is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "intrt/kernels.h"
#include "tests/intrt/mixed_network.h"
#include "tests/intrt/stored_network.h"

namespace {

using namespace lockstep::testing;

struct NamedKernel {
  std::string name;
  std::string operator_name;
  const intrt_kernel* kernel;
};
const std::vector<NamedKernel> kNamedKernels = {
#define INTRT_KERNEL(operator_name, name) {#name, #operator_name, &intrt_kernel_##name},
#include "intrt/kernel_list.def"
#undef INTRT_KERNEL
};

const intrt_kernel* kernel_named(const std::string& name) {
  return std::ranges::find(kNamedKernels, name, &NamedKernel::name)->kernel;
}

// The kernels of a plan's operators, in their order.
std::vector<std::string> kernels_of(const AlignedBytes& bytes) {
  intrt_plan plan;
  REQUIRE(intrt_open(&plan, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
  std::vector<std::string> names;
  for (std::uint32_t op = 0; op < intrt_op_count(&plan); ++op)
    names.emplace_back(intrt_op_kernel(&plan, op));
  return names;
}

std::vector<const intrt_kernel*> list_of(const std::set<std::string>& names) {
  std::vector<const intrt_kernel*> list;
  for (const std::string& name : names) list.push_back(kernel_named(name));
  list.push_back(nullptr);
  return list;
}

std::vector<std::uint8_t> run(const intrt_plan& plan) {
  AlignedBytes arena(intrt_arena_bytes(&plan));
  std::fill_n(arena.data(), arena.size(), std::uint8_t{3});
  REQUIRE(intrt_run(&plan, arena.data(), arena.size(), nullptr) == INTRT_OK);
  return {arena.data(), arena.data() + arena.size()};
}

}  // namespace

TEST_CASE("operators with weights have a kernel for each form, others have one") {
  using Names = std::vector<std::string>;
  CHECK(kernels_of(AlignedBytes(small_network())) ==
        Names{"conv2d", "requantize", "max_pool2d", "move", "linear_wide", "requantize"});
  CHECK(kernels_of(AlignedBytes(stored_network())) ==
        Names{"conv2d_sparse", "conv2d_segments_wide", "linear_sparse", "linear_segments"});
  CHECK(kernels_of(AlignedBytes(mixed_network())) == Names{"table", "table", "add", "avg_pool2d",
                                                           "mul", "conv_transpose2d_wide", "move",
                                                           "argmax", "requantize"});
}

TEST_CASE("the kernels that a plan needs are enough, and none of them can be left out") {
  for (const std::vector<std::uint8_t>& network :
       {small_network(), stored_network(), mixed_network()}) {
    const AlignedBytes bytes(network);
    const std::vector<std::string> names = kernels_of(bytes);
    const std::set<std::string> needed(names.begin(), names.end());
    const std::vector<const intrt_kernel*> kernels = list_of(needed);
    intrt_plan all, some;
    REQUIRE(intrt_open(&all, bytes.data(), bytes.size(), nullptr) == INTRT_OK);
    REQUIRE(intrt_open_with(&some, bytes.data(), bytes.size(), kernels.data(), nullptr) ==
            INTRT_OK);
    CHECK(run(some) == run(all));

    for (const std::string& missing : needed) {
      INFO(missing);
      std::set<std::string> rest;
      for (const NamedKernel& kernel : kNamedKernels)
        if (kernel.name != missing) rest.insert(kernel.name);
      std::uint32_t failed_op = 0;
      CHECK(intrt_open_with(&some, bytes.data(), bytes.size(), list_of(rest).data(), &failed_op) ==
            INTRT_ERROR_NOT_LINKED);
      CHECK(failed_op ==
            static_cast<std::uint32_t>(std::ranges::find(names, missing) - names.begin()));
      CHECK(some.bytes == nullptr);
      AlignedBytes arena(64);
      CHECK(intrt_run(&some, arena.data(), arena.size(), nullptr) == INTRT_ERROR_NULL);
    }
  }
}

TEST_CASE("an empty list refuses every plan, and no list is an error") {
  const AlignedBytes bytes(small_network());
  const intrt_kernel* const none = nullptr;
  intrt_plan plan;
  std::uint32_t failed_op = UINT32_MAX;
  CHECK(intrt_open_with(&plan, bytes.data(), bytes.size(), &none, &failed_op) ==
        INTRT_ERROR_NOT_LINKED);
  CHECK(failed_op == 0);
  CHECK(intrt_open_with(&plan, bytes.data(), bytes.size(), nullptr, nullptr) == INTRT_ERROR_NULL);
  CHECK(std::string(intrt_status_text(INTRT_ERROR_NOT_LINKED)).find("kernel") != std::string::npos);
}

TEST_CASE("every operator has a kernel") {
  std::set<std::string> operators;
  for (const NamedKernel& kernel : kNamedKernels) {
    operators.insert(kernel.operator_name);
    CHECK(kernel.name.starts_with(kernel.operator_name));
  }
  for (const char* const name : {
#define INTRT_OP(code, name) #name,
#include "intrt/op_list.def"
#undef INTRT_OP
       })
    CHECK(operators.contains(name));
}
