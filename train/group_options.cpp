#include "train/group_options.h"

#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <string_view>

#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep::train {
namespace {

// Digits only: no sign, no space.
bool parse_number(std::string_view text, std::int64_t& value) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

[[noreturn]] void refuse_init_method(const std::string& init_method) {
  throw InputError(
      fmt::format("init method '{}': it must be tcp://HOST:PORT, with a port from 1 to 65535, or "
                  "file:///PATH",
                  printable(init_method)));
}

void require_range(std::string_view what, std::int64_t value, std::int64_t lo, std::int64_t hi) {
  if (value < lo || value > hi)
    throw InputError(fmt::format("{} = {}, allowed are {} to {}", what, value, lo, hi));
}

}  // namespace

MeetingPoint parse_init_method(const std::string& init_method) {
  constexpr std::string_view kTcp = "tcp://", kFile = "file://";
  MeetingPoint point;
  if (init_method.starts_with(kFile)) {
    point.file = init_method.substr(kFile.size());
    if (!point.file.starts_with('/') || point.file.ends_with('/')) refuse_init_method(init_method);
    return point;
  }
  const std::size_t colon = init_method.rfind(':');
  std::int64_t port = 0;
  if (!init_method.starts_with(kTcp) || colon < kTcp.size() ||
      !parse_number(std::string_view(init_method).substr(colon + 1), port) || port < 1 ||
      port > std::numeric_limits<std::uint16_t>::max())
    refuse_init_method(init_method);
  point.port = static_cast<std::uint16_t>(port);
  point.host = init_method.substr(kTcp.size(), colon - kTcp.size());
  if (point.host.size() > 2 && point.host.front() == '[' && point.host.back() == ']')
    point.host = point.host.substr(1, point.host.size() - 2);
  if (point.host.empty() || point.host.find_first_of("/[]") != std::string::npos)
    refuse_init_method(init_method);
  return point;
}

void require_valid(const GroupOptions& options) {
  require_range("world size", options.world_size, 1, kMostProcesses);
  require_range("rank", options.rank, 0, options.world_size - 1);
  require_range("group timeout", options.timeout_seconds, 1, kMostGroupSeconds);
  if (options.world_size == 1) return;
  if (options.init_method.empty())
    throw InputError(
        fmt::format("world size = {}, but there is no init method: tcp://HOST:PORT or file:///PATH",
                    options.world_size));
  parse_init_method(options.init_method);
}

void require_shareable_layers(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    if (node.prune && node.prune->collapse.value_or(0) < 0)
      throw InputError(
          fmt::format("layer '{}': collapse = {} prunes each place in a batch apart, which several "
                      "processes cannot share",
                      node.name, *node.prune->collapse));
    if (node.quantize && node.quantize->channelwise == 0)
      throw InputError(
          fmt::format("layer '{}': channelwise = 0 is the batch axis of an activation, which "
                      "several processes cannot share",
                      node.name));
  }
}

GroupOptions group_from_environment(const std::function<const char*(const char*)>& lookup) {
  GroupOptions options;
  if (lookup("WORLD_SIZE") == nullptr) return options;
  const auto text_of = [&](const char* name) -> std::string {
    const char* const text = lookup(name);
    if (text == nullptr || *text == '\0')
      throw InputError(
          fmt::format("the environment variable {} is missing; WORLD_SIZE is set, and RANK, "
                      "MASTER_ADDR and MASTER_PORT must be, too",
                      name));
    return text;
  };
  const auto number_of = [&](const char* name, std::int64_t lo, std::int64_t hi) {
    const std::string text = text_of(name);
    std::int64_t number = -1;
    if (!parse_number(text, number) || number < lo || number > hi)
      throw InputError(fmt::format("environment variable {}: '{}' is not a number from {} to {}",
                                   name, printable(text), lo, hi));
    return number;
  };
  options.world_size = number_of("WORLD_SIZE", 1, kMostProcesses);
  options.rank = number_of("RANK", 0, options.world_size - 1);
  std::string host = text_of("MASTER_ADDR");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  options.init_method = fmt::format(
      "tcp://{}:{}", host, number_of("MASTER_PORT", 1, std::numeric_limits<std::uint16_t>::max()));
  return options;
}

}  // namespace lockstep::train
