#include "tests/fuzz/minimise.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "compile/support/error.h"

namespace lockstep::test {
namespace {

bool belongs_to(const std::string& key, const std::string& node) {
  return key.size() > node.size() && key.compare(0, node.size(), node) == 0 &&
         key[node.size()] == '.';
}

// Without nodes and inputs that no output needs, and without their state.
Network without_dead(Network network) {
  Graph& graph = network.graph;
  std::set<std::string> live(graph.outputs.begin(), graph.outputs.end());
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node)
    if (live.contains(node->name)) live.insert(node->inputs.begin(), node->inputs.end());
  std::erase_if(graph.nodes, [&](const Node& node) { return !live.contains(node.name); });
  std::erase_if(graph.inputs, [&](const GraphInput& input) { return !live.contains(input.name); });
  StateDict state;
  for (const StateDict::Entry& entry : network.state.entries())
    if (std::ranges::any_of(graph.nodes,
                            [&](const Node& node) { return belongs_to(entry.first, node.name); }))
      state.add(entry.first, entry.second);
  network.state = std::move(state);
  return network;
}

class Minimiser {
 public:
  Minimiser(Network network, const std::function<bool(const Network&)>& fails)
      : best_(std::move(network)), fails_(fails) {}

  Network run() {
    try_change(without_dead(best_));
    for (bool smaller = true; smaller && tries_ < kMostTries;) {
      smaller = false;
      smaller |= fewer_outputs();
      smaller |= fewer_nodes();
      smaller |= fewer_wraps();
      smaller |= no_raw_bytes();
      smaller |= smaller_sizes();
      smaller |= simpler_state();
    }
    best_.json = to_json(best_.graph);
    return best_;
  }

 private:
  static constexpr int kMostTries = 4000;

  // Takes `candidate` over when it still fails.
  bool try_change(Network candidate) {
    if (++tries_ > kMostTries) return false;
    try {
      candidate.json = to_json(candidate.graph);
      candidate.graph = parse_graph(candidate.json, "minimised");  // refuses what is no graph
      if (!fails_(candidate)) return false;
    } catch (const InputError&) {
      return false;
    }
    best_ = std::move(candidate);
    return true;
  }

  // One output, of a node as early as possible; else one output less.
  bool fewer_outputs() {
    const std::vector<Node> nodes = best_.graph.nodes;
    for (const Node& node : nodes) {
      if (best_.graph.outputs.size() == 1 && node.name == nodes.back().name) break;
      Network candidate = best_;
      candidate.graph.outputs = {node.name};
      candidate = without_dead(std::move(candidate));
      if (candidate.graph.nodes.size() < nodes.size() && try_change(std::move(candidate)))
        return true;
    }
    for (std::size_t i = 0; best_.graph.outputs.size() > 1 && i < best_.graph.outputs.size(); ++i) {
      Network candidate = best_;
      candidate.graph.outputs.erase(candidate.graph.outputs.begin() +
                                    static_cast<std::ptrdiff_t>(i));
      if (try_change(without_dead(std::move(candidate)))) return true;
    }
    return false;
  }

  // Readers of a node read one of its inputs, or an input of the network, instead.
  bool fewer_nodes() {
    bool any = false;
    for (std::size_t i = best_.graph.nodes.size(); i-- > 0;) {
      if (i >= best_.graph.nodes.size()) continue;
      const Node node = best_.graph.nodes[i];
      std::vector<std::string> others = node.inputs;
      for (const GraphInput& input : best_.graph.inputs) others.push_back(input.name);
      for (const std::string& other : others) {
        Network candidate = best_;
        for (Node& reader : candidate.graph.nodes)
          std::ranges::replace(reader.inputs, node.name, other);
        std::ranges::replace(candidate.graph.outputs, node.name, other);
        if (try_change(without_dead(std::move(candidate)))) {
          any = true;
          break;
        }
      }
      // A concat with one input less.
      for (std::size_t k = 0;
           node.op == "concat" && node.inputs.size() > 1 && k < node.inputs.size(); ++k) {
        Network candidate = best_;
        if (i >= candidate.graph.nodes.size() || candidate.graph.nodes[i].name != node.name) break;
        auto& inputs = candidate.graph.nodes[i].inputs;
        if (k >= inputs.size()) break;
        inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(k));
        any |= try_change(without_dead(std::move(candidate)));
      }
    }
    return any;
  }

  void drop_state(Network& network, const std::string& prefix) {
    StateDict state;
    for (const auto& [key, tensor] : network.state.entries())
      if (key.rfind(prefix, 0) != 0) state.add(key, tensor);
    network.state = std::move(state);
  }

  bool fewer_wraps() {
    bool any = false;
    for (std::size_t i = 0; i < best_.graph.nodes.size(); ++i) {
      const Node node = best_.graph.nodes[i];
      if (node.weight_prune() != nullptr) {
        Network candidate = best_;
        std::erase_if(candidate.graph.nodes[i].wraps,
                      [](const Wrap& wrap) { return std::holds_alternative<PruneSpec>(wrap); });
        drop_state(candidate, node.name + ".prune.");
        any |= try_change(std::move(candidate));
      }
      if (node.attributes.contains("bias") && node.flag("bias")) {
        Network candidate = best_;
        candidate.graph.nodes[i].attributes["bias"] = false;
        drop_state(candidate, node.name + ".bias");
        drop_state(candidate, node.name + ".quantize_bias.");
        any |= try_change(std::move(candidate));
      }
    }
    return any;
  }

  // Numbers per channel for fewer channels.
  static void shorten(std::optional<RawBytes>& raw, std::int64_t channels) {
    if (!raw) return;
    for (std::vector<double>* const values : {&raw->scale, &raw->mean, &raw->std})
      if (values->size() > 1) values->resize(static_cast<std::size_t>(channels));
  }

  // Inputs that are codes.
  bool no_raw_bytes() {
    bool any = false;
    for (std::size_t i = 0; i < best_.graph.inputs.size(); ++i) {
      if (!best_.graph.inputs[i].raw) continue;
      Network candidate = best_;
      candidate.graph.inputs[i].raw.reset();
      any |= try_change(std::move(candidate));
    }
    return any;
  }

  // Fewer positions and channels of the inputs, smaller strides, paddings and factors.
  bool smaller_sizes() {
    bool any = false;
    for (std::size_t i = 0; i < best_.graph.inputs.size(); ++i)
      for (std::size_t axis = 0; axis < best_.graph.inputs[i].shape.size(); ++axis)
        for (const bool halve : {true, false}) {
          Network candidate = best_;
          std::int64_t& size = candidate.graph.inputs[i].shape[axis];
          if (size == 1) break;
          size = halve ? size / 2 : size - 1;
          if (axis == 0) shorten(candidate.graph.inputs[i].raw, size);
          any |= try_change(std::move(candidate));
        }
    constexpr std::string_view kSimpler[] = {"stride",         "dilation",     "padding",
                                             "output_padding", "scale_factor", "output_size",
                                             "start",          "step"};
    for (std::size_t i = 0; i < best_.graph.nodes.size(); ++i)
      for (const std::string_view name : kSimpler) {
        const auto found = best_.graph.nodes[i].attributes.find(name);
        if (found == best_.graph.nodes[i].attributes.end()) continue;
        const std::size_t count = std::get<std::vector<std::int64_t>>(found->second).size();
        for (std::size_t k = 0; k < count; ++k) {
          Network candidate = best_;
          std::int64_t& number = std::get<std::vector<std::int64_t>>(
              candidate.graph.nodes[i].attributes.find(name)->second)[k];
          const std::int64_t least =
              name.find("padding") != std::string_view::npos || name == "start" ? 0 : 1;
          if (number <= least) continue;
          --number;
          any |= try_change(std::move(candidate));
        }
      }
    return any;
  }

  // Weights of zero, masks that keep everything, decimals that are equal.
  bool simpler_state() {
    bool any = false;
    const std::vector<StateDict::Entry> entries(best_.state.entries().begin(),
                                                best_.state.entries().end());
    for (std::size_t e = 0; e < entries.size(); ++e) {
      const auto& [key, tensor] = entries[e];
      const bool is_mask = key.ends_with(".mask"), is_decimal = key.ends_with(".decimal");
      const bool is_number = key.ends_with(".weight") || key.ends_with(".bias") || is_decimal ||
                             key.ends_with(".running_mean");
      if (!is_mask && !(is_number && tensor.dtype == Dtype::kFloat32)) continue;
      const std::size_t width = is_mask ? 1 : 4;
      const std::size_t count = std::min<std::size_t>(tensor.bytes.size() / width, 64);
      for (std::size_t i = 0; i < count; ++i) {
        StateDict state;
        bool changed = false;
        for (const auto& [name, old] : best_.state.entries()) {
          Tensor copy = old;
          if (name == key) {
            std::byte* const at = copy.bytes.data() + i * width;
            const std::vector<std::byte> before(at, at + width);
            if (is_mask)
              *at = std::byte{1};
            else if (is_decimal)
              std::memcpy(at, copy.bytes.data(), width);
            else
              std::memset(at, 0, width);
            changed = !std::equal(before.begin(), before.end(), at);
          }
          state.add(name, std::move(copy));
        }
        if (!changed) continue;
        Network candidate = best_;
        candidate.state = std::move(state);
        any |= try_change(std::move(candidate));
      }
    }
    return any;
  }

  Network best_;
  const std::function<bool(const Network&)>& fails_;
  int tries_ = 0;
};

}  // namespace

Network minimise(Network network, const std::function<bool(const Network&)>& fails) {
  return Minimiser(std::move(network), fails).run();
}

std::string describe(const Network& network) {
  std::string text = network.json + "\n";
  for (const auto& [key, tensor] : network.state.entries()) {
    if (key.ends_with("_n_updates") || key.ends_with("_quantized") ||
        key.ends_with("_cur_sparsity") || key.ends_with("num_batches_tracked"))
      continue;
    text += fmt::format("  {} [{}] = ", key, fmt::join(tensor.shape, ", "));
    if (tensor.dtype == Dtype::kFloat32)
      text += fmt::format("{}\n", fmt::join(tensor.floats(key), " "));
    else if (tensor.dtype == Dtype::kBool)
      text += fmt::format("{}\n", fmt::join(tensor.bools(key), " "));
    else
      text += fmt::format("{}\n", fmt::join(tensor.int32s(key), " "));
  }
  return text;
}

}  // namespace lockstep::test
