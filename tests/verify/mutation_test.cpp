// Does the verifier notice? Single numbers of compiled plans are changed, one at a time, and the
// plan sealed again. Every changed plan that the runtime still opens must be refuted, naming the
// layer, unless the change provably changes nothing; those few are listed by kind and held against
// the unchanged plan.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <random>
#include <set>

#include "compile/support/error.h"
#include "intrt/intrt.h"
#include "tests/verify/recorded.h"
#include "verify/differential/differential.h"

using namespace lockstep;
using namespace lockstep::test;

namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
T get(const Bytes& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

struct Mutant {
  std::string kind;              // "weight", "shift", ...
  std::set<std::string> layers;  // a refutation must name one of these
  std::size_t offset, size;      // the bytes that change
  std::uint64_t value;           // what they become
};

// All mutants of one plan, made from its records.
class Mutants {
 public:
  explicit Mutants(const Bytes& plan) : plan_(plan), random_(7) {
    header_ = get<intrt_plan_header>(plan, 0);
    for (std::uint32_t i = 0; i < header_.op_count; ++i)
      mutate_op(get<std::uint32_t>(plan, header_.ops_offset + 4 * i));
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t) mutate_tensor(t);
  }
  const std::vector<Mutant>& all() const { return mutants_; }

 private:
  std::string text(std::size_t offset) const {
    return reinterpret_cast<const char*>(plan_.data()) + offset;
  }
  intrt_tensor_record tensor(std::uint32_t index) const {
    return get<intrt_tensor_record>(plan_,
                                    header_.tensors_offset + index * sizeof(intrt_tensor_record));
  }

  template <typename T>
  void change(const std::string& kind, std::size_t offset, T value) {
    std::uint64_t raw = 0;
    std::memcpy(&raw, &value, sizeof value);
    if (get<T>(plan_, offset) != value)
      mutants_.push_back({kind, layers_, offset, sizeof value, raw});
  }
  // The field plus and minus one.
  template <typename T>
  void nudge(const std::string& kind, std::size_t offset) {
    const T value = get<T>(plan_, offset);
    change<T>(kind, offset, static_cast<T>(value + 1));
    change<T>(kind, offset, static_cast<T>(value - 1));
  }
  // One bit of up to `most` of `count` numbers of `size` bytes each.
  void flip(const std::string& kind, std::size_t offset, std::size_t count, std::size_t size,
            std::size_t most) {
    for (std::size_t i = 0; i < std::min(count, most); ++i) {
      const std::size_t at =
          offset + (count <= most ? i : random_() % count) * size + random_() % size;
      const auto bit = static_cast<std::uint8_t>(1U << random_() % 8);
      change<std::uint8_t>(kind, at, get<std::uint8_t>(plan_, at) ^ bit);
    }
  }

  void mutate_op(std::size_t at) {
    const auto op = get<intrt_op_record>(plan_, at);
    const intrt_tensor_record input = tensor(op.inputs[0]), output = tensor(op.output);
    layers_ = {text(op.name_offset), text(output.name_offset)};
    const std::size_t params = at + sizeof op;
    switch (op.code) {
      case 1: {
        const auto conv = get<intrt_conv2d_params>(plan_, params);
        for (std::size_t field = 0; field < 11; ++field)
          nudge<std::uint32_t>("geometry", params + field * 4);
        mutate_weights(params + offsetof(intrt_conv2d_params, weight_type), conv.weight_type,
                       conv.weights_offset, conv.bias_offset, output.channels,
                       std::size_t{conv.kernel_h} * conv.kernel_w * (input.channels / conv.groups));
        mutate_post(params + offsetof(intrt_conv2d_params, post), output);
        break;
      }
      case 2: {
        const auto linear = get<intrt_linear_params>(plan_, params);
        mutate_weights(params, linear.weight_type, linear.weights_offset, linear.bias_offset,
                       output.channels, std::size_t{input.channels} * input.height * input.width);
        mutate_post(params + offsetof(intrt_linear_params, post), output);
        break;
      }
      case 3:
        for (std::size_t field = 0; field < 10; ++field)
          nudge<std::uint32_t>("geometry", params + field * 4);
        break;
      case 4:
        mutate_post(params, output);
        break;
      default:
        break;
    }
    layers_.insert(text(input.name_offset));
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t) {
      layers_.insert(text(tensor(t).name_offset));  // a wrong wire may be noticed at its other end
      change<std::uint32_t>("wiring", at + offsetof(intrt_op_record, output), t);
      change<std::uint32_t>("wiring", at + offsetof(intrt_op_record, inputs), t);
    }
    for (std::uint32_t code = 1; code <= 6; ++code) change<std::uint32_t>("operator", at, code);
    nudge<std::uint32_t>("name", at + offsetof(intrt_op_record, name_offset));
  }

  // `fields`: weight_type, weights_offset, bias_offset.
  void mutate_weights(std::size_t fields, std::uint32_t type, std::size_t weights, std::size_t bias,
                      std::size_t rows, std::size_t row) {
    flip("weight", weights, rows * row, type, 60);
    if (bias != 0) flip("bias", bias, rows, 4, 12);
    change<std::uint32_t>("weight type", fields, 3 - type);
    change<std::uint32_t>("weight offset", fields + 4, get<std::uint32_t>(plan_, fields + 4) + 16);
    change<std::uint32_t>("weight offset", fields + 4, get<std::uint32_t>(plan_, fields + 4) - 16);
    change<std::uint32_t>("bias offset", fields + 8, get<std::uint32_t>(plan_, fields + 8) + 16);
    change<std::uint32_t>("bias offset", fields + 8, 0);
  }

  void mutate_post(std::size_t at, const intrt_tensor_record& output) {
    const auto post = get<intrt_post_record>(plan_, at);
    change<std::uint8_t>("post kind", at, post.kind ^ 1U);
    if (post.kind == INTRT_POST_SHIFT) {
      for (std::uint8_t mode = 0; mode < 3; ++mode) change<std::uint8_t>("rounding", at + 1, mode);
      nudge<std::int32_t>("lower limit", at + offsetof(intrt_post_record, lo));
      nudge<std::int32_t>("upper limit", at + offsetof(intrt_post_record, hi));
      change<std::int32_t>("lower limit", at + offsetof(intrt_post_record, lo),
                           post.lo == 0 ? -(1 << (output.bits - 1)) : 0);
      for (std::uint32_t i = 0; i < std::min(post.shift_count, 8U); ++i)
        nudge<std::int8_t>("shift", post.shifts_offset + i);
      nudge<std::uint32_t>("shift offset", at + offsetof(intrt_post_record, shifts_offset));
    }
    if (post.mask_offset != 0) {
      flip("mask", post.mask_offset,
           std::size_t{output.channels} * output.height * output.width / 8, 1, 24);
      nudge<std::uint32_t>("mask offset", at + offsetof(intrt_post_record, mask_offset));
      change<std::uint32_t>("mask offset", at + offsetof(intrt_post_record, mask_offset), 0);
    }
  }

  void mutate_tensor(std::uint32_t index) {
    const intrt_tensor_record record = tensor(index);
    const std::size_t at = header_.tensors_offset + index * sizeof record;
    layers_ = {text(record.name_offset)};
    for (std::uint32_t i = 0; i < std::min(record.decimal_count, 6U); ++i)
      nudge<std::int8_t>("decimal", record.decimals_offset + i);
    // Operators around the tensor may be the first to notice what follows.
    for (std::uint32_t i = 0; i < header_.op_count; ++i) {
      const auto op =
          get<intrt_op_record>(plan_, get<std::uint32_t>(plan_, header_.ops_offset + 4 * i));
      layers_.insert(text(op.name_offset));
    }
    for (std::uint32_t t = 0; t < header_.tensor_count; ++t)
      layers_.insert(text(tensor(t).name_offset));
    nudge<std::uint8_t>("bits", at + offsetof(intrt_tensor_record, bits));
    for (std::uint8_t type = 1; type <= 3; ++type)
      change<std::uint8_t>("type", at + offsetof(intrt_tensor_record, type), type);
    for (std::uint8_t rank = 1; rank <= 3; ++rank)
      change<std::uint8_t>("rank", at + offsetof(intrt_tensor_record, logical_rank), rank);
    for (const std::uint8_t bit : {1, 2, 4})
      change<std::uint8_t>("flags", at + offsetof(intrt_tensor_record, flags), record.flags ^ bit);
    for (const std::size_t field :
         {offsetof(intrt_tensor_record, channels), offsetof(intrt_tensor_record, height),
          offsetof(intrt_tensor_record, width)})
      nudge<std::uint32_t>("shape", at + field);
    nudge<std::uint32_t>("decimal offset", at + offsetof(intrt_tensor_record, decimals_offset));
    nudge<std::uint32_t>("name", at + offsetof(intrt_tensor_record, name_offset));
    for (std::uint32_t other = 0; other < header_.tensor_count; ++other)
      change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                            tensor(other).arena_offset);
    change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                          record.arena_offset + 16);
    change<std::uint32_t>("arena offset", at + offsetof(intrt_tensor_record, arena_offset),
                          record.arena_offset - 16);
  }

  const Bytes& plan_;
  std::mt19937 random_;
  intrt_plan_header header_;
  std::set<std::string> layers_;
  std::vector<Mutant> mutants_;
};

bool opens(const Bytes& plan) {
  try {
    verify::OpenPlan open(plan);
    return true;
  } catch (const InputError&) {
    return false;
  }
}

Bytes apply(const Bytes& plan, const Mutant& mutant) {
  Bytes changed = plan;
  std::memcpy(changed.data() + mutant.offset, &mutant.value, mutant.size);
  const std::uint32_t crc = intrt_plan_crc32(changed.data(), changed.size());
  std::memcpy(changed.data() + offsetof(intrt_plan_header, crc32), &crc, sizeof crc);
  return changed;
}

struct Tally {
  int made = 0, rejected = 0, refuted = 0, unchanged = 0, run = 0, caught_by_running = 0;
  std::map<std::string, int> unchanged_kinds;
};

// Kinds that can change nothing: post-processing of accumulators that do not occur, and memory that
// is free.
const std::set<std::string> kMayChangeNothing = {"shift",       "shift offset", "lower limit",
                                                 "upper limit", "rounding",     "arena offset"};

void judge(const Recorded& net, const verify::ExactNetwork& exact, const Bytes& changed,
           const Mutant& mutant, Tally& tally) {
  tally.made += 1;
  if (!opens(changed)) {
    tally.rejected += 1;
    return;
  }
  verify::Options nothing;
  nothing.plan = changed;
  nothing.random_samples = 0;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, nothing);
  const auto* refuted = std::get_if<verify::Refuted>(&report.verdict);

  verify::Options some = nothing;
  some.random_samples = 2;
  const bool run_it = refuted == nullptr || tally.made % 6 == 0;
  bool differs = false;
  if (run_it) {
    const verify::DifferentialResult result =
        verify::run_differential(exact, verify::OpenPlan(changed), net.data(), some);
    differs = result.first_divergence.has_value() || !result.failures.empty();
  }
  CAPTURE(mutant.kind);
  CAPTURE(mutant.offset);
  CAPTURE(mutant.value);
  if (refuted != nullptr) {
    tally.refuted += 1;
    if (run_it) {
      tally.run += 1;
      tally.caught_by_running += differs ? 1 : 0;
    }
    CAPTURE(refuted->first_difference);
    CHECK((mutant.kind == "name" || mutant.layers.contains(refuted->layer)));
    CHECK(refuted->first_difference.find("'" + refuted->layer + "'") != std::string::npos);
    return;
  }
  const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
  REQUIRE(unknown != nullptr);
  CHECK(unknown->reason == "nothing was compared: no samples");
  tally.unchanged += 1;
  tally.unchanged_kinds[mutant.kind] += 1;
  CHECK(kMayChangeNothing.contains(mutant.kind));
  CHECK_FALSE(differs);
}

}  // namespace

TEST_CASE("every changed number of a plan is rejected, refuted by layer, or changes nothing") {
  Tally tally;
  for (const std::string& name : kRecordedNetworks)
    for (const bool keep_layers : {false, true}) {
      CAPTURE(name);
      CAPTURE(keep_layers);
      const Recorded net = read_recorded(name);
      const verify::ExactNetwork exact(net.graph, net.parameters);
      const Bytes plan = compile_plan(net, keep_layers);
      const Mutants mutants(plan);
      for (const Mutant& mutant : mutants.all())
        judge(net, exact, apply(plan, mutant), mutant, tally);
    }
  std::string kinds;
  for (const auto& [kind, count] : tally.unchanged_kinds)
    kinds += fmt::format(" {} {},", kind, count);
  MESSAGE(fmt::format(
      "{} mutants: {} rejected by intrt_open, {} refuted by the constants, {} change nothing ({}); "
      "of {} refuted ones that also ran, running alone caught {}",
      tally.made, tally.rejected, tally.refuted, tally.unchanged, kinds, tally.run,
      tally.caught_by_running));
  CHECK(tally.refuted > 1000);
  CHECK(tally.caught_by_running > 0);
}

TEST_CASE("the unchanged plans agree, and without a float path that is said") {
  for (const std::string& name : kRecordedNetworks)
    for (const bool keep_layers : {false, true}) {
      CAPTURE(name);
      const Recorded net = read_recorded(name);
      const Bytes plan = compile_plan(net, keep_layers);
      verify::Options options;
      options.plan = plan;
      options.random_samples = 16;
      const verify::Report report = verify::verify_plan(net.graph, net.state, net.data(), options);
      const auto* unknown = std::get_if<verify::Unknown>(&report.verdict);
      REQUIRE_MESSAGE(unknown != nullptr,
                      std::get<verify::Refuted>(report.verdict).first_difference);
      CHECK(
          unknown->reason ==
          fmt::format("agreed on {} inputs, not proved; float path not compared", report.samples));
      CHECK(report.agreed);
      CHECK(report.constants_checked > 100);
      CHECK(report.samples > net.samples + 16);
      REQUIRE(!report.paths.empty());
      CHECK(report.paths.back().path == "plan (scalar)");
      for (const verify::PathReport& path : report.paths) {
        CHECK(path.samples == report.samples);
        CHECK(path.values > 0);
        CHECK(path.differing == 0);
      }
      CHECK(report.plan_predictions.size() == static_cast<std::size_t>(net.samples));
    }
}

TEST_CASE("no samples are not agreement") {
  const Recorded net = read_recorded("bias12");
  const Bytes plan = compile_plan(net, false);
  verify::Options options;
  options.plan = plan;
  options.random_samples = 0;
  const verify::Report report = verify::verify_plan(net.graph, net.state, {}, options);
  CHECK(std::get<verify::Unknown>(report.verdict).reason == "nothing was compared: no samples");
  CHECK(!report.agreed);
}

TEST_CASE("a plan of another state dict is refuted") {
  const Recorded net = read_recorded("lenet_pt_bias20");
  const Bytes plan = compile_plan(net, false);
  StateDict changed;
  for (const auto& [key, tensor] : net.state.entries()) {
    Tensor copy = tensor;
    if (key == "conv2.bias") copy.bytes[3] ^= std::byte{0x80};  // the sign of the first bias
    changed.add(key, copy);
  }
  verify::Options options;
  options.plan = plan;
  options.random_samples = 1;
  const verify::Report report = verify::verify_plan(net.graph, changed, {}, options);
  CHECK(std::get<verify::Refuted>(report.verdict).layer == "conv2");
  CHECK(std::get<verify::Refuted>(report.verdict).first_difference.find("bias of channel 0") !=
        std::string::npos);
}
