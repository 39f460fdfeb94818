#include "tests/train/golden_replay.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <map>
#include <memory>

#include "compile/support/error.h"
#include "tests/train/golden_quirks.h"
#include "train/network_state.h"

namespace lockstep::test {
namespace {

using nlohmann::json;
using train::Network;
using train::StateEntry;

constexpr const char* kWarningStart = "window is not full";

class Replay {
 public:
  Replay(const GoldenGroup& group, const json& one)
      : group_(group), case_(one), quirk_(quirk_of(one)) {}

  ReplayReport run() {
    if (!case_.at("fragile").empty()) {
      leave_out("its decimals depend on the order in which float32 numbers are summed");
      return report_;
    }
    start(case_.at("nodes"));
    check_keys();
    set_parameters(case_.at("init"));
    for (const json& step : case_.at("steps")) {
      ++step_;
      const auto op = step.at("op").get<std::string>();
      if (op == "forward") forward(step);
      if (op == "access") access(step);
      if (op == "reload") reload(step);
      if (op == "reload_uninitialised") reload_uninitialised(step);
    }
    if (!quirk_.diverged) compare_state(case_.at("final_state"), "final state");
    return report_;
  }

 private:
  void start(const json& nodes) {
    nodes_ = nodes;
    net_ = make_network(nodes, case_.at("output"), first_shape());
    const std::vector<std::string>& said = net_->events();
    if (case_quirk(case_) == "bias_bits_without_bias")
      promise(said.size() == 1 && said[0].find("bias_bits") != std::string::npos,
              "making a layer with bias_bits and no bias warns");
    else
      expect(said.empty(), fmt::format("making the network says {}", fmt::join(said, "; ")));
    net_->events().clear();
  }

  // Without the batch; 1 where there is no other axis.
  std::vector<std::int64_t> first_shape() const {
    for (const json& step : case_.at("steps"))
      if (step.contains("input")) {
        const torch::Tensor x = group_.tensor(step.at("input"));
        return x.dim() < 2 ? std::vector<std::int64_t>{1} : x.sizes().slice(1).vec();
      }
    return {1};
  }

  void check_keys() {
    std::vector<std::string> keys;
    for (const StateEntry& entry : net_->state()) keys.push_back(entry.key);
    const auto wanted = case_.at("init_state_keys").get<std::vector<std::string>>();
    report_.values += static_cast<std::int64_t>(wanted.size());
    expect(keys == wanted,
           fmt::format("keys are {}, recorded {}", fmt::join(keys, " "), fmt::join(wanted, " ")));
  }

  void set_parameters(const json& values) {
    const torch::NoGradGuard values_only;
    std::map<std::string, torch::Tensor> ours;
    for (const StateEntry& entry : net_->state()) ours[entry.key] = entry.tensor;
    for (const auto& [key, value] : values.items()) ours.at(key).copy_(group_.tensor(value));
  }

  void forward(const json& step) {
    net_->train(step.at("training"));
    if (step.contains("set")) set_parameters(step.at("set"));
    for (auto& [key, tensor] : net_->trainable()) tensor.mutable_grad() = torch::Tensor();
    torch::Tensor x = group_.tensor(step.at("input"));
    const bool backward = step.contains("grad_output");
    if (backward) x.requires_grad_();
    ForwardTrace trace{.training = step.at("training"), .input = x, .before = copy_of(*net_)};
    net_->events().clear();
    try {
      trace.output = net_->forward({x}, [&](const Node& node, const torch::Tensor& value) {
        if (backward && value.requires_grad()) value.retain_grad();
        trace.values.emplace_back(node.name, value);
      })[0];
    } catch (const InputError& error) {
      trace.error = error.what();
    }
    trace.events = net_->events();
    if (backward && trace.error.empty()) {
      const torch::Tensor grad_output = group_.tensor(step.at("grad_output"));
      trace.grad_output = grad_output.clone();
      trace.output.backward(trace.grad_output);
      promise(same_values(trace.grad_output, grad_output), "the incoming gradient is not modified");
    }
    const std::vector<Finding> findings = quirk_.after_forward(*net_, step, trace);
    take(findings);
    if (!quirk_.diverged) compare_forward(step, trace);
  }

  void compare_forward(const json& step, const ForwardTrace& trace) {
    if (step.contains("error")) {
      promise(trace.error.find("layer '") != std::string::npos,
              fmt::format("QSPARSE fails ({}); an error names the layer, found '{}'",
                          step.at("error").at("message").get<std::string>(), trace.error));
    } else {
      expect(trace.error.empty(), trace.error);
      if (!trace.error.empty()) return;
      if (!quirk_.other_output) compare(trace.output, step.at("output"), "output");
    }
    compare_lines(step, trace.events);
    if (step.contains("grads") && !quirk_.other_gradients)
      compare_gradients(step.at("grads"), trace);
    compare_state(step.at("state"), "state");
  }

  void compare_gradients(const json& recorded, const ForwardTrace& trace) {
    std::map<std::string, torch::Tensor> ours = {{"input", trace.input.grad()}};
    for (const auto& [key, tensor] : net_->trainable()) ours[key] = tensor.grad();
    for (const auto& [key, gradient] : ours) {
      expect(gradient.defined() == recorded.contains(key),
             fmt::format("'{}' has {} gradient", key, gradient.defined() ? "a" : "no"));
      if (gradient.defined() && recorded.contains(key))
        compare(gradient, recorded.at(key), "gradient of " + key);
    }
  }

  void compare_lines(const json& step, const std::vector<std::string>& events) {
    std::vector<std::string> log, warnings, wanted_warnings;
    for (const std::string& event : events)
      (event.starts_with(kWarningStart) ? warnings : log).push_back(event);
    if (step.contains("warnings"))
      wanted_warnings = step.at("warnings").get<std::vector<std::string>>();
    const auto wanted = step.at("log").get<std::vector<std::string>>();
    report_.values += static_cast<std::int64_t>(wanted.size() + wanted_warnings.size());
    expect(log == wanted, fmt::format("log is '{}', recorded '{}'", fmt::join(log, "; "),
                                      fmt::join(wanted, "; ")));
    expect(warnings == wanted_warnings,
           fmt::format("warnings are '{}', recorded '{}'", fmt::join(warnings, "; "),
                       fmt::join(wanted_warnings, "; ")));
  }

  void access(const json& step) {
    net_->train(step.at("training"));
    train::SparseModule* const layer = net_->wrapped_layer(step.at("node").get<std::string>());
    if (layer == nullptr) return expect(false, "the node has no wrapped weight");
    const StateDict before = copy_of(*net_);
    net_->events().clear();
    torch::Tensor value;
    for (int i = 0; i < step.at("times").get<int>(); ++i)
      value = step.at("what") == "weight" ? layer->effective_weight() : layer->effective_bias();
    promise(same_state(before, copy_of(*net_)) && net_->events().empty(),
            "reading changes nothing and says nothing");
    take(quirk_.after_access(*net_, step, value));
    if (quirk_.diverged) return;
    if (!quirk_.other_output) compare(value, step.at("value"), "value read");
    compare_lines(step, net_->events());
    compare_state(step.at("state"), "state");
  }

  StateDict checkpoint_of(const json& step) {
    StateDict checkpoint;
    for (const StateEntry& entry : net_->state()) {
      const auto found = step.at("checkpoint").find(entry.key);
      if (found == step.at("checkpoint").end()) {
        expect(false, fmt::format("'{}' is not in the recorded checkpoint", entry.key));
        continue;
      }
      if (quirk_.diverged) {
        checkpoint.add(entry.key, train::from_torch(entry.tensor));
        continue;
      }
      const torch::Tensor recorded = group_.tensor(*found);
      expect_same(entry.tensor, recorded, fmt::format("checkpoint '{}'", entry.key));
      checkpoint.add(entry.key, train::from_torch(recorded));
    }
    return checkpoint;
  }

  void reload(const json& step) {
    const StateDict checkpoint = checkpoint_of(step);
    start(step.contains("nodes") ? step.at("nodes") : nodes_);
    net_->train();
    net_->forward({group_.tensor(step.at("init_input"))});
    if (!quirk_.diverged) compare_lines(step, net_->events());
    train::load_state(*net_, checkpoint, "checkpoint");
    quirk_.after_reload();
    if (!quirk_.diverged) compare_state(step.at("state"), "state");
  }

  // In QSPARSE this fails or loads wrong values; here it loads.
  void reload_uninitialised(const json& step) {
    const StateDict checkpoint = checkpoint_of(step);
    start(step.contains("nodes") ? step.at("nodes") : nodes_);
    train::load_state(*net_, checkpoint, "checkpoint");
    quirk_.after_reload();
    promise(same_state(checkpoint, copy_of(*net_)),
            "a layer that has seen no data adopts the checkpoint's shapes and values");
    leave_out(
        "uninitialised_load: QSPARSE cannot load into a layer that has seen no data, or "
        "keeps one element of what it loads");
    quirk_.diverged = true;
  }

  void compare_state(const json& recorded, const char* what) {
    std::map<std::string, torch::Tensor> ours;
    for (const StateEntry& entry : net_->state()) ours[entry.key] = entry.tensor;
    for (const auto& [key, value] : recorded.items()) {
      if (!ours.contains(key)) {
        expect(false, fmt::format("{}: there is no '{}'", what, key));
        continue;
      }
      expect_same(ours.at(key), group_.tensor(value), fmt::format("{} '{}'", what, key));
    }
  }

  void expect_same(const torch::Tensor& ours, const torch::Tensor& recorded,
                   const std::string& what) {
    report_.values += recorded.numel();
    expect(ours.scalar_type() == recorded.scalar_type() && same_values(ours.detach(), recorded),
           fmt::format("{} is {} {}, recorded {} {}", what, c10::toString(ours.scalar_type()),
                       text_of(ours), c10::toString(recorded.scalar_type()), text_of(recorded)));
  }

  void compare(const torch::Tensor& ours, const json& key, const std::string& what) {
    const torch::Tensor recorded = group_.tensor(key);
    report_.values += recorded.numel();
    const bool exact = case_.at("exact").get<bool>();
    expect((exact ? same_values : close_values)(ours.detach(), recorded),
           fmt::format("{} is {}, recorded {}", what, text_of(ours), text_of(recorded)));
  }

  void take(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
      if (finding.kind == Finding::kLeftOut)
        leave_out(finding.text);
      else
        promise(finding.holds, finding.text);
    }
  }

  void leave_out(const std::string& why) {
    const std::string text =
        fmt::format("{}, step {}: {}", case_.at("tag").get<std::string>(), step_, why);
    if (report_.left_out.empty() || report_.left_out.back() != text)
      report_.left_out.push_back(text);
  }

  void promise(bool holds, const std::string& text) {
    ++report_.promises;
    expect(holds, "not kept: " + text);
  }

  void expect(bool holds, const std::string& otherwise) {
    if (!holds) report_.differences.push_back(fmt::format("step {}: {}", step_, otherwise));
  }

  const GoldenGroup& group_;
  const json& case_;
  Quirk quirk_;
  json nodes_;
  std::unique_ptr<Network> net_;
  int step_ = -1;
  ReplayReport report_;
};

}  // namespace

ReplayReport replay(const GoldenGroup& group, const json& one) { return Replay(group, one).run(); }

}  // namespace lockstep::test
