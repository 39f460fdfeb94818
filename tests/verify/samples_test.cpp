// The samples of a run: those that are made when they are asked for count like those given at once.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/support/input_error.h"
#include "tests/verify/emitted.h"

namespace lockstep::test {
namespace {

// The recorded samples of `net`, over and over.
verify::Batch repeated(const Recorded& net, std::int64_t first, std::int64_t count) {
  verify::TensorCodes codes = net.batch[0];
  const std::int64_t elements = codes.element_count();
  codes.codes.clear();
  for (std::int64_t s = first; s < first + count; ++s) {
    const auto begin = net.batch[0].codes.begin() + s % net.samples * elements;
    codes.codes.insert(codes.codes.end(), begin, begin + elements);
  }
  return {codes};
}

std::string rows(const verify::Report& report) {
  std::string text;
  for (const verify::PathReport& path : report.paths)
    text += fmt::format("{} {} {} {} {}\n", path.path, path.samples, path.tensors, path.values,
                        path.differing);
  return text;
}

}  // namespace

TEST_CASE(
    "a source gives the report of the same data at once, and is asked for a little at a time") {
  constexpr std::int64_t kSamples = 1000;
  const Emitted emitted("bias12");
  verify::Options options = emitted.options();
  options.c_probes = 0;
  const verify::Batch all = repeated(emitted.net, 0, kSamples);
  const verify::Report at_once =
      verify::verify_plan(emitted.net.graph, emitted.net.state, {&all, 1}, options);

  std::int64_t most = 0, last = 0;
  options.source = {kSamples, [&](std::int64_t first, std::int64_t count) {
                      most = std::max(most, count);
                      last = std::max(last, first + count);
                      return repeated(emitted.net, first, count);
                    }};
  verify::Report report = verify::verify_plan(emitted.net.graph, emitted.net.state, {}, options);
  CHECK(last == kSamples);
  CHECK(most <= 256);
  CHECK(rows(report) == rows(at_once));
  CHECK(report.samples == at_once.samples);
  CHECK(report.plan_predictions == at_once.plan_predictions);
  CHECK(report.plan_predictions.size() == kSamples);
  CHECK(std::get<verify::Unknown>(report.verdict).reason ==
        std::get<verify::Unknown>(at_once.verdict).reason);

  // Behind batches that are given, too; of the plan alone.
  options.c_folder.reset();
  const verify::Batch some = repeated(emitted.net, 0, 300);
  options.source = {kSamples - 300, [&](std::int64_t first, std::int64_t count) {
                      return repeated(emitted.net, first + 300, count);
                    }};
  report = verify::verify_plan(emitted.net.graph, emitted.net.state, {&some, 1}, options);
  CHECK(rows(at_once).starts_with(rows(report)));
  CHECK(report.samples == at_once.samples);
  CHECK(report.plan_predictions == at_once.plan_predictions);
}

TEST_CASE("a source that gives another number of samples than asked for is refused") {
  const Emitted emitted("bias12");
  verify::Options options = emitted.options();
  options.c_folder.reset();
  options.source = {5, [&](std::int64_t first, std::int64_t count) {
                      return repeated(emitted.net, first, count - 1);
                    }};
  const std::string error = input_error_of(
      [&] { verify::verify_plan(emitted.net.graph, emitted.net.state, {}, options); });
  CHECK_MESSAGE(error.find("which is no 5 samples") != std::string::npos, error);
}

}  // namespace lockstep::test
