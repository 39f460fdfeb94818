// The processes that train one network together: how many, which one this is, and where they meet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "compile/graph/graph.h"

namespace lockstep::train {

inline constexpr std::int64_t kMostProcesses = 1024;
inline constexpr std::int64_t kMostGroupSeconds = 7 * 24 * 60 * 60;

struct GroupOptions {
  std::int64_t world_size = 1;  // processes; 1: training as ever, and the rest does not count
  std::int64_t rank = 0;        // this one's number, from 0; rank 0 writes the files
  std::string init_method;      // tcp://HOST:PORT, where rank 0 listens, or file:///PATH
  std::int64_t timeout_seconds = 300;  // how long a process waits for another
};

// InputError unless every value is in its range and, for more than one process, there is an init
// method.
void require_valid(const GroupOptions& options);

// InputError for layers that would decide otherwise on a process's part of a batch than on all of
// it. Each process can tell alone, before it meets the others.
void require_shareable_layers(const Graph& graph);

// Where the processes of a group meet: a host and its port, or else a file.
struct MeetingPoint {
  std::string host;
  std::uint16_t port = 0;
  std::string file;
};

// InputError for anything but tcp://HOST:PORT (HOST may be [IPv6]) and file:///PATH.
MeetingPoint parse_init_method(const std::string& init_method);

// World size, rank and init method as the variables WORLD_SIZE, RANK, MASTER_ADDR and MASTER_PORT
// say; one process when WORLD_SIZE is not set. InputError names the one that is missing or wrong.
// `lookup` is std::getenv's.
GroupOptions group_from_environment(const std::function<const char*(const char*)>& lookup);

}  // namespace lockstep::train
