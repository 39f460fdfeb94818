// In place of xnnpack_peer.cpp where CMake did not find XNNPACK.
#include "compile/support/error.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {

PeerRun xnnpack_peer(const PeerNetwork&) { throw InputError("XNNPACK is not built in"); }
std::string xnnpack_version() { return {}; }

}  // namespace lockstep::bench
