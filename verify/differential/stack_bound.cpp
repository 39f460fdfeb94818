#include "verify/differential/stack_bound.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <string>
#include <vector>

namespace lockstep::verify {
namespace {

// What micro-kernels push on RV32 (intrt/micro/packed.h and sparse.h); no other pushes more.
constexpr std::uint64_t kAssemblyBytes = 80;
// memcpy, memset and the 64-bit arithmetic of libgcc: 40 at most on the cores of targets.cpp.
constexpr std::uint64_t kLibraryBytes = 64;

struct Function {
  std::optional<std::uint64_t> frame_bytes;  // nothing: no bound
  std::vector<std::string> calls;
  enum class State : std::uint8_t { kNew, kOpen, kDone } state = State::kNew;
  std::optional<std::uint64_t> deepest = {};
};
using CallGraph = std::map<std::string, Function, std::less<>>;

// The text of field `name: "..."` in a line.
std::optional<std::string_view> field(std::string_view line, std::string_view name) {
  const std::size_t at = line.find(name);
  if (at == std::string_view::npos) return std::nullopt;
  const std::size_t begin = line.find('"', at + name.size());
  if (begin == std::string_view::npos) return std::nullopt;
  const std::size_t end = line.find('"', begin + 1);
  if (end == std::string_view::npos) return std::nullopt;
  return line.substr(begin + 1, end - begin - 1);
}

// "name\nfile:line:column\n24 bytes (static)": of a function that is compiled here. Only "static"
// frames, and "bounded" ones of variable size, have a bound.
std::optional<std::uint64_t> frame_bytes(std::string_view label) {
  const std::size_t at = label.rfind("\\n");
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view text = label.substr(at + 2);
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc()) return std::nullopt;
  const std::string_view kind(end, text.data() + text.size());
  if (kind != " bytes (static)" && kind != " bytes (dynamic,bounded)") return std::nullopt;
  return bytes;
}

std::optional<CallGraph> parse(std::string_view text) {
  CallGraph graph;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;  // cut off
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.starts_with("node:")) {
      const auto title = field(line, "title:"), label = field(line, "label:");
      if (!title || !label) return std::nullopt;
      // Others are compiled elsewhere, or a call through a pointer.
      const bool elsewhere = line.find("shape : ellipse") != std::string_view::npos;
      std::optional<std::uint64_t> bytes = frame_bytes(*label);
      if (elsewhere && *title != "__indirect_call") bytes = kLibraryBytes;
      graph[std::string(*title)].frame_bytes = bytes;
    } else if (line.starts_with("edge:")) {
      const auto from = field(line, "sourcename:"), to = field(line, "targetname:");
      if (!from || !to) return std::nullopt;
      graph[std::string(*from)].calls.emplace_back(*to);
    }
  }
  return graph;
}

std::optional<std::uint64_t> deepest(CallGraph& graph, std::string_view name);

// A call of a function that is none of the graph's: GCC has found it to be the same as another of
// the file and left one of them out. Which is not said, but none that is calling.
std::optional<std::uint64_t> deepest_of_all(CallGraph& graph) {
  std::uint64_t most = 0;
  for (const auto& [name, function] : graph) {
    if (function.state == Function::State::kOpen) continue;
    const std::optional<std::uint64_t> bytes = deepest(graph, name);
    if (!bytes) return std::nullopt;
    most = std::max(most, *bytes);
  }
  return most;
}

std::optional<std::uint64_t> deepest(CallGraph& graph, std::string_view name) {
  const auto found = graph.find(name);
  if (found == graph.end()) return deepest_of_all(graph);
  Function& function = found->second;
  if (function.state == Function::State::kOpen) return std::nullopt;  // recursion
  if (function.state == Function::State::kDone) return function.deepest;
  function.state = Function::State::kOpen;
  std::optional<std::uint64_t> below = 0;
  for (const std::string& called : function.calls) {
    const std::optional<std::uint64_t> bytes = deepest(graph, called);
    below = below && bytes ? std::optional(std::max(*below, *bytes)) : std::nullopt;
  }
  if (below && function.frame_bytes) function.deepest = *below + *function.frame_bytes;
  function.state = Function::State::kDone;
  return function.deepest;
}

}  // namespace

std::optional<std::uint64_t> stack_bound(std::string_view call_graph, std::string_view function) {
  std::optional<CallGraph> graph = parse(call_graph);
  if (!graph || !graph->contains(function)) return std::nullopt;
  const std::optional<std::uint64_t> bytes = deepest(*graph, function);
  return bytes ? std::optional(*bytes + kAssemblyBytes) : std::nullopt;
}

std::map<std::string, std::uint64_t, std::less<>> stack_bounds(std::string_view call_graph) {
  std::map<std::string, std::uint64_t, std::less<>> bounds;
  std::optional<CallGraph> graph = parse(call_graph);
  if (!graph) return bounds;
  std::vector<std::string> names;  // `deepest` changes the graph
  for (const auto& [name, function] : *graph) names.push_back(name);
  for (const std::string& name : names)
    // A static function has its file in front: "net.c:net_op0_conv2d".
    if (const std::optional<std::uint64_t> bytes = deepest(*graph, name))
      bounds[name.substr(name.rfind(':') + 1)] = *bytes + kAssemblyBytes;
  return bounds;
}

}  // namespace lockstep::verify
