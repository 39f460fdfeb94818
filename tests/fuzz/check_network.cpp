#include "tests/fuzz/check_network.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "compile/checkpoint/parameters.h"
#include "compile/compile.h"
#include "compile/support/error.h"
#include "tests/compile/run_plan.h"
#include "tests/fuzz/program_forms.h"
#include "tests/support/in_child.h"
#include "tests/support/run_variant.h"
#include "verify/semantics/exact_network.h"

namespace lockstep::test {
namespace {

using Codes = std::vector<std::int64_t>;
using Inputs = std::vector<Codes>;  // of one sample

struct Failure {
  std::string place, text;
};

// One tensor of one sample, as a program or a plan holds it.
struct Tensor {
  std::string node;
  Codes codes;                // (C,H,W)
  std::vector<int> decimals;  // 1, or one per channel
  std::vector<float> offsets;
  std::size_t channels = 1;
  std::vector<std::size_t> channel_map = {};  // empty, or which channels of the node these are

  // The element of the node's value that element i is.
  std::size_t element_of_node(std::size_t i) const {
    const std::size_t plane = codes.size() / channels;
    return channel_map.empty() ? i : channel_map[i / plane] * plane + i % plane;
  }
};

// What an element stands for. Codes of up to 32 bits are exact in a double.
double value_of(const Tensor& tensor, std::size_t i) {
  const std::size_t channel = i / (tensor.codes.size() / tensor.channels);
  const int decimal = tensor.decimals[tensor.decimals.size() == 1 ? 0 : channel];
  const double value = std::ldexp(static_cast<double>(tensor.codes[i]), -decimal);
  if (tensor.offsets.empty()) return value;
  return static_cast<float>(value) + tensor.offsets[channel];
}

// What every tensor of every sample must be.
class Expectation {
 public:
  // From the exact semantics; where those refuse the network, `add` has to tell.
  void evaluate(const Graph& graph, const Parameters& parameters,
                const std::vector<Inputs>& samples) {
    try {
      verify::Batch batch;
      for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
        const GraphInput& input = graph.inputs[i];
        const int decimal = input.raw ? 0 : static_cast<int>(input.decimal);
        verify::TensorCodes codes{.shape = input.shape, .decimals = {decimal}, .codes = {}};
        for (const Inputs& sample : samples)
          codes.codes.insert(codes.codes.end(), sample[i].begin(), sample[i].end());
        batch.push_back(std::move(codes));
      }
      exact_ = verify::ExactNetwork(graph, parameters)
                   .evaluate(batch, static_cast<std::int64_t>(samples.size()));
    } catch (const InputError& error) {
      refusal_ = error.what();
    }
  }

  const std::string& refusal() const { return refusal_; }

  // The value of element i of a node; empty when the node is not known.
  std::optional<double> value(const std::string& node, std::size_t sample, std::size_t i) const {
    if (refusal_.empty()) {
      const auto found = exact_.find(node);
      if (found == exact_.end()) return std::nullopt;
      const verify::TensorCodes& tensor = found->second;
      const auto count = static_cast<std::size_t>(tensor.element_count());
      if (i >= count) return std::nullopt;
      const std::int64_t code = tensor.codes[sample * count + i];
      if (tensor.real) return verify::real_from_bits(code);
      return std::ldexp(static_cast<double>(code),
                        -tensor.decimals[tensor.decimals.size() == 1 ? 0 : i]);
    }
    const auto found = lowered_.find({node, sample});
    if (found == lowered_.end() || i >= found->second.codes.size()) return std::nullopt;
    return value_of(found->second, i);
  }

  // Of the lowered program, for networks that the semantics refuse.
  void add(const Tensor& tensor, std::size_t sample) {
    lowered_.try_emplace({tensor.node, sample}, tensor);
  }

 private:
  verify::NodeValues exact_;
  std::string refusal_;
  std::map<std::pair<std::string, std::size_t>, Tensor> lowered_;
};

// Compares one compiled form of the network.
class Checker {
 public:
  Checker(const Network& network, const Network& meaning, std::vector<Inputs> samples)
      : network_(network), samples_(std::move(samples)) {
    expected_.evaluate(meaning.graph, bind_parameters(meaning.graph, meaning.state), samples_);
  }

  const Expectation& expected() const { return expected_; }
  std::uint64_t values() const { return values_; }
  std::uint64_t nonzero() const { return nonzero_; }
  const std::set<std::string>& forms() const { return forms_; }

  void check(bool keep_layers, passes::Objective optimize) {
    const Compiled compiled =
        compile_network(network_.graph, network_.state,
                        {.keep_layers = keep_layers,
                         .optimize = optimize,
                         .after_pass = [&](std::string_view pass, const ir::Program& p) {
                           check_program(std::string(pass), p);
                         }});
    check_plan(compiled, keep_layers);
    forms_.merge(program_forms(compiled.program));
  }

 private:
  void compare(const std::string& place, const Tensor& tensor, std::size_t sample) {
    for (std::size_t i = 0; i < tensor.codes.size(); ++i) {
      const double found = value_of(tensor, i);
      const std::optional<double> wanted =
          expected_.value(tensor.node, sample, tensor.element_of_node(i));
      if (!wanted || *wanted != found)
        throw Failure{
            place,
            fmt::format("tensor '{}', sample {}, element {}: {} (code {}), but it must be {}",
                        tensor.node, sample, i, found, tensor.codes[i],
                        wanted ? fmt::to_string(*wanted) : "absent")};
    }
    values_ += tensor.codes.size();
    nonzero_ += tensor.codes.size() -
                static_cast<std::size_t>(std::ranges::count(tensor.codes, std::int64_t{0}));
  }

  void check_program(const std::string& pass, const ir::Program& program) {
    for (std::size_t sample = 0; sample < samples_.size(); ++sample) {
      const auto codes = ir::evaluate(program, samples_[sample]);
      for (ir::ValueId id = 0; id < program.values.size(); ++id) {
        const ir::Value& value = program.values[id];
        if (!value.exact || codes[id].empty()) continue;
        const Tensor tensor{.node = value.node,
                            .codes = codes[id],
                            .decimals = value.decimals,
                            .offsets = value.offsets,
                            .channels = static_cast<std::size_t>(value.shape.c),
                            .channel_map = {value.channels.begin(), value.channels.end()}};
        if (pass == "lower" && !expected_.refusal().empty()) expected_.add(tensor, sample);
        compare(pass, tensor, sample);
      }
    }
  }

  void check_plan(const Compiled& compiled, bool keep_layers) {
    intrt_plan plan;
    std::uint32_t failed_op = 0;
    const intrt_status status =
        intrt_open(&plan, compiled.plan.data(), compiled.plan.size(), &failed_op);
    if (status != INTRT_OK)
      throw Failure{"open", fmt::format("the runtime refuses the plan: {} (operator {})",
                                        intrt_status_text(status), failed_op)};
    if (intrt_output_count(&plan) != network_.graph.outputs.size())
      throw Failure{"open", "the plan has another number of outputs than the graph"};
    for (std::uint32_t v = 0; intrt_kernel_variant(v) != nullptr; ++v)
      if (intrt_kernel_variant_runs_here(v) != 0)
        for (std::size_t sample = 0; sample < samples_.size(); ++sample)
          run(plan, intrt_kernel_variant(v), sample, keep_layers);
  }

  void run(const intrt_plan& plan, const char* variant, std::size_t sample, bool keep_layers) {
    const std::string place = fmt::format("plan {}", variant);
    testing::AlignedBytes arena(intrt_arena_bytes(&plan));
    for (std::uint32_t i = 0; i < intrt_input_count(&plan); ++i) {
      const std::uint32_t tensor = intrt_input(&plan, i);
      store_codes(intrt_tensor_info(&plan, tensor), samples_[sample][i],
                  intrt_tensor_data(&plan, arena.data(), tensor));
    }
    struct Seen {
      const intrt_plan* plan;
      std::vector<Tensor> tensors;
    } seen{&plan, {}};
    const intrt_run_options options{
        variant,
        [](void* opaque, std::uint32_t tensor, const void* data) {
          auto* const s = static_cast<Seen*>(opaque);
          if ((intrt_tensor_info(s->plan, tensor).flags & INTRT_TENSOR_NAMED) != 0)
            s->tensors.push_back(tensor_of(*s->plan, tensor, data));
        },
        &seen, nullptr};
    const intrt_status status = testing::run_variant(plan, arena.data(), arena.size(), options);
    if (status != INTRT_OK) throw Failure{place, intrt_status_text(status)};
    std::set<std::string> names;
    for (const Tensor& tensor : seen.tensors) {
      if (!names.insert(tensor.node).second)
        throw Failure{place, fmt::format("two tensors are named '{}'", tensor.node)};
      compare(place, tensor, sample);
    }
    // The outputs are still there at the end.
    for (std::uint32_t i = 0; i < intrt_output_count(&plan); ++i) {
      const std::uint32_t tensor = intrt_output(&plan, i);
      if ((intrt_tensor_info(&plan, tensor).flags & INTRT_TENSOR_NAMED) == 0)
        throw Failure{place, fmt::format("output {} has no name", i)};
      const Tensor output = tensor_of(plan, tensor, intrt_tensor_data(&plan, arena.data(), tensor));
      if (output.node != output_node(network_.graph.outputs[i]))
        throw Failure{place, fmt::format("output {} is '{}', but it must be '{}'", i, output.node,
                                         network_.graph.outputs[i])};
      compare(place + " output", output, sample);
    }
    if (keep_layers)
      for (const Node& node : network_.graph.nodes)
        if (node.op == "quantize" && !names.contains(node.name))
          throw Failure{place, fmt::format("quantize node '{}' was not kept", node.name)};
  }

  static Tensor tensor_of(const intrt_plan& plan, std::uint32_t index, const void* data) {
    const intrt_tensor info = intrt_tensor_info(&plan, index);
    Tensor tensor{.node = info.name,
                  .codes = logical_codes(info, data),
                  .decimals = {info.decimals, info.decimals + info.decimal_count},
                  .offsets = {},
                  .channels = info.channels};
    if (info.offsets != nullptr) tensor.offsets = {info.offsets, info.offsets + info.channels};
    if (info.channel_map != nullptr)
      tensor.channel_map = {info.channel_map, info.channel_map + info.channels};
    return tensor;
  }

  // The node whose value an output holds: a softmax gives its input's.
  std::string output_node(std::string name) const {
    std::string candidate = name;
    while (const Node* const node = network_.graph.find_node(candidate)) {
      if (node->op == "softmax" || node->op == "log_softmax") return node->inputs[0];
      if (node->op != "identity" && node->op != "dropout") break;
      candidate = node->inputs[0];
    }
    return name;
  }

  const Network& network_;
  std::vector<Inputs> samples_;
  Expectation expected_;
  std::uint64_t values_ = 0, nonzero_ = 0;
  std::set<std::string> forms_;
};

CheckOutcome check_here(const Network& network, const Network& meaning, std::uint64_t seed) {
  CheckOutcome outcome;
  std::optional<Checker> checker;
  try {
    std::vector<Inputs> samples;
    for (const int corner : {0, 0, 1, 2, 3})
      samples.push_back(input_codes(network.graph, seed + samples.size(), corner));
    checker.emplace(network, meaning, std::move(samples));
    outcome.semantics_refusal = checker->expected().refusal();
    for (const bool keep_layers : {false, true})  // and with sparse weights as well as without
      checker->check(keep_layers, keep_layers == (seed % 2 == 0) ? passes::Objective::kSize
                                                                 : passes::Objective::kSpeed);
    outcome.values = checker->values();
    outcome.nonzero = checker->nonzero();
    outcome.forms = checker->forms();
  } catch (const InputError& error) {
    outcome.result = CheckOutcome::Result::kRefused;
    outcome.text = error.what();
  } catch (const Failure& failure) {
    outcome.result = CheckOutcome::Result::kFails;
    outcome.place = failure.place;
    outcome.text = failure.text;
  }
  return outcome;
}

constexpr char kStart = '\x1f';  // of a field

}  // namespace

CheckOutcome check_against(const Network& network, const Network& meaning, std::uint64_t seed) {
  const Ended ended = in_child([&] {
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGILL}) ::signal(signal, SIG_DFL);
    const CheckOutcome outcome = check_here(network, meaning, seed);
    std::vector<std::string> fields = {fmt::to_string(static_cast<int>(outcome.result)),
                                       outcome.place,
                                       outcome.text,
                                       outcome.semantics_refusal,
                                       fmt::to_string(outcome.values),
                                       fmt::to_string(outcome.nonzero)};
    fields.insert(fields.end(), outcome.forms.begin(), outcome.forms.end());
    const std::string text =
        fmt::format("{}{}", kStart, fmt::join(fields, std::string_view(&kStart, 1)));
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  });
  std::vector<std::string> fields(1);
  for (const char c : ended.text) {
    if (c == kStart)
      fields.emplace_back();
    else
      fields.back() += c;
  }
  CheckOutcome outcome;
  constexpr std::size_t kFirstForm = 7;
  if (ended.exit_code != 0 || fields.size() < kFirstForm) {
    outcome.result = CheckOutcome::Result::kFails;
    outcome.place = "crash";
    outcome.text = fmt::format("exit code {}: {}", ended.exit_code, ended.text);
    return outcome;
  }
  outcome.result = static_cast<CheckOutcome::Result>(std::stoi(fields[1]));
  outcome.place = fields[2];
  outcome.text = fields[3];
  outcome.semantics_refusal = fields[4];
  outcome.values = std::stoull(fields[5]);
  outcome.nonzero = std::stoull(fields[6]);
  outcome.forms.insert(fields.begin() + kFirstForm, fields.end());
  return outcome;
}

CheckOutcome check_network(const Network& network, std::uint64_t seed) {
  return check_against(network, network, seed);
}

}  // namespace lockstep::test
