// In place of onednn_peer.cpp where CMake did not find oneDNN.
#include "compile/support/error.h"
#include "tools/bench/host/peers.h"

namespace lockstep::bench {

PeerRun onednn_peer(const PeerNetwork&) { throw InputError("oneDNN is not built in"); }
std::string onednn_version() { return {}; }

}  // namespace lockstep::bench
