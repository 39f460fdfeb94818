// What a replay does where Lockstep differs from QSPARSE on purpose: which recorded values it
// leaves out, and which of our own promises it checks instead. One tag per case; the list of them
// is in tests/golden/layers/README.md.
#pragma once

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/network_state.h"

namespace lockstep::test {

std::unique_ptr<train::Network> make_network(const nlohmann::json& nodes,
                                             const nlohmann::json& output,
                                             const std::vector<std::int64_t>& input_shape);
StateDict copy_of(const train::Network& network);
bool same_state(const StateDict& a, const StateDict& b);
std::string text_of(const torch::Tensor& tensor);   // shape and first values
std::string case_quirk(const nlohmann::json& one);  // empty without a tag

struct ForwardTrace {
  bool training = false;
  torch::Tensor input;
  StateDict before;  // the forward
  torch::Tensor output = {}, grad_output = {};
  std::string error = {};                                          // of the InputError, if any
  std::vector<std::pair<std::string, torch::Tensor>> values = {};  // by node, with gradients
  std::vector<std::string> events = {};
};

struct Finding {
  enum Kind { kPromise, kLeftOut } kind;
  bool holds;  // for a promise
  std::string text;
};

class Quirk {
 public:
  Quirk(std::string tag, const nlohmann::json& one);

  // From here on the recorded values are of another state than ours.
  bool diverged = false;
  // Of the step at hand.
  bool other_output = false, other_gradients = false;

  std::vector<Finding> after_forward(train::Network& net, const nlohmann::json& step,
                                     const ForwardTrace& trace);
  std::vector<Finding> after_access(train::Network& net, const nlohmann::json& step,
                                    const torch::Tensor& value);
  void after_reload() { collected_.clear(); }

 private:
  std::vector<Finding> fresh_window(train::Network& net, const ForwardTrace& trace);
  std::vector<Finding> whole_mask(train::Network& net, const ForwardTrace& trace);
  std::vector<Finding> counted_once(train::Network& net, const ForwardTrace& trace) const;
  std::vector<Finding> refused(train::Network& net, const ForwardTrace& trace,
                               const std::string& reason);

  std::string tag_;
  const nlohmann::json& case_;
  bool reading_counts_ = false;  // in QSPARSE, so that its counters run ahead of ours
  // interval_stale_window: by quantize node, the samples seen at each value of its counter.
  std::map<std::string, std::vector<std::pair<std::int64_t, torch::Tensor>>> collected_;
};

// InputError for a tag that is not known here.
Quirk quirk_of(const nlohmann::json& one);

}  // namespace lockstep::test
