// The most stack that compiled C can take, from what GCC says of each of its functions.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace lockstep::verify {

// The stack bytes of `function` and all that it calls, along the deepest path: `call_graph` is what
// GCC writes with -fcallgraph-info=su. Nothing where there is no such bound (recursion, arrays of
// variable length, calls through pointers), where the text has no such function or is malformed.
//
// GCC does not see what inline assembly pushes, nor into functions of its own library: each path is
// taken to have as much of both as the largest of them.
std::optional<std::uint64_t> stack_bound(std::string_view call_graph, std::string_view function);

// The same for every function of the text that has such a bound, by the names of their symbols;
// none where the text is malformed.
std::map<std::string, std::uint64_t, std::less<>> stack_bounds(std::string_view call_graph);

}  // namespace lockstep::verify
