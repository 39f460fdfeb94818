#include "tools/report/verify_suite.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace lockstep::cli {
namespace {

using Result = TestCase::Result;

// The texts of paths begin with the path.
bool is_about(const std::string& text, const std::string& path) {
  return text.starts_with(path + ": ");
}

class Suite {
 public:
  Suite(const verify::Report& report, std::string network,
        const std::optional<verify::ProofOutcome>& proof)
      : report_(report),
        network_(std::move(network)),
        undecided_(proof && proof->kind == verify::ProofOutcome::Kind::kUnknown ? &*proof
                                                                                : nullptr),
        refuted_(std::get_if<verify::Refuted>(&report.verdict)),
        unknown_(std::get_if<verify::Unknown>(&report.verdict)) {}

  TestSuite make(const std::vector<std::string>& layers, bool accepted) {
    add_paths();
    std::vector<TestCase> paths = std::move(cases_);
    cases_.clear();
    add_layers(layers, accepted);
    cases_.insert(cases_.end(), paths.begin(), paths.end());
    add_verdict(accepted);
    return {"lockstep verify", properties(accepted), std::move(cases_)};
  }

 private:
  void add(const std::string& group, const std::string& name, Result result,
           const std::string& message = "") {
    cases_.push_back({group, name, result, message});
  }

  void add_layers(std::vector<std::string> layers, bool accepted) {
    // A layer inside a fused operator, an input, or one that the plan does not have.
    const bool of_a_layer = refuted_ != nullptr && !of_a_path_;
    if (of_a_layer && std::ranges::find(layers, refuted_->layer) == layers.end())
      layers.push_back(refuted_->layer);
    if (undecided_ != nullptr && !undecided_->layer.empty()) layers.push_back(undecided_->layer);
    for (const std::string& layer : layers) {
      if (std::ranges::find(cases_, layer, &TestCase::name) != cases_.end()) continue;
      if (of_a_layer && layer == refuted_->layer)
        add(network_, layer, Result::kFailed, refuted_->first_difference);
      else if (report_.constants_agree && undecided_ != nullptr && undecided_->layer == layer)
        add(network_, layer, accepted ? Result::kPassed : Result::kError,
            fmt::format("not proved: {}: {}", undecided_->obligation, undecided_->text));
      else if (report_.constants_agree)
        add(network_, layer, Result::kPassed);
      else
        add(network_, layer, Result::kSkipped,
            of_a_layer ? fmt::format("not decided: the check ended at layer '{}'", refuted_->layer)
                       : "not decided: the check of the plan's constants ended early");
    }
  }

  void add_paths() {
    const std::string group = network_ + ".paths";
    const std::string text = refuted_ != nullptr   ? refuted_->first_difference
                             : unknown_ != nullptr ? unknown_->reason
                                                   : "";
    for (const verify::PathReport& path : report_.paths) {
      const bool told = is_about(text, path.path);
      of_a_path_ = of_a_path_ || told;
      const std::string ran = fmt::format("{} samples, {} tensors, {} values, {} differing",
                                          path.samples, path.tensors, path.values, path.differing);
      if (told)
        add(group, path.path, refuted_ != nullptr ? Result::kFailed : Result::kError, text);
      else if (refuted_ == nullptr && is_about(report_.float32_witness, path.path))
        add(group, path.path, Result::kPassed,
            "float32 depends on the order, for example: " + report_.float32_witness);
      else if (path.differing > 0)
        add(group, path.path, Result::kFailed, ran);
      else if (!path.failure.empty())
        add(group, path.path, Result::kError, path.failure);
      else if (path.samples == 0)
        add(group, path.path, Result::kError, "nothing was compared: no samples");
      else
        add(group, path.path, Result::kPassed, ran);
    }
    if (!report_.c_probes) return;
    const verify::ProbeReport& probes = *report_.c_probes;
    const bool told = is_about(text, probes.path);
    of_a_path_ = of_a_path_ || told;
    add(group, probes.path,
        !told                 ? Result::kPassed
        : refuted_ != nullptr ? Result::kFailed
                              : Result::kError,
        told ? text : fmt::format("{} probes of every operator", probes.probes));
  }

  void add_verdict(bool accepted) {
    if (refuted_ != nullptr) return;
    if (unknown_ == nullptr)
      add(network_, "verdict", Result::kPassed, std::get<verify::Proved>(report_.verdict).method);
    else if (accepted)
      add(network_, "verdict", Result::kPassed,
          "accepted as tested, not proved: " + unknown_->reason);
    else
      add(network_, "verdict", Result::kError, "unknown: " + unknown_->reason);
  }

  std::vector<std::pair<std::string, std::string>> properties(bool accepted) const {
    std::vector<std::pair<std::string, std::string>> result;
    result.emplace_back("verdict", refuted_ != nullptr   ? "refuted"
                                   : unknown_ != nullptr ? "unknown"
                                                         : "proved");
    if (refuted_ != nullptr) result.emplace_back("layer", refuted_->layer);
    if (unknown_ != nullptr) result.emplace_back("accepted_as_tested", accepted ? "true" : "false");
    result.emplace_back("samples", fmt::to_string(report_.samples));
    result.emplace_back("constants_checked", fmt::to_string(report_.constants_checked));
    return result;
  }

  const verify::Report& report_;
  std::string network_;
  const verify::ProofOutcome* undecided_;  // nullptr: there is no proof, or it came to its end
  const verify::Refuted* refuted_;
  const verify::Unknown* unknown_;
  bool of_a_path_ = false;  // the verdict's text is that of a path
  std::vector<TestCase> cases_;
};

}  // namespace

TestSuite verify_suite(const verify::Report& report, const std::string& network,
                       const std::vector<std::string>& layers,
                       const std::optional<verify::ProofOutcome>& proof, bool accepted) {
  return Suite(report, network, proof).make(layers, accepted);
}

TestSuite error_suite(const std::string& message) {
  return {
      "lockstep verify", {{"verdict", "none"}}, {{"lockstep", "verify", Result::kError, message}}};
}

}  // namespace lockstep::cli
