#include "intrt/kernels/neondot/vector.h"

#include "intrt/kernels/vector/add_channels.h"

namespace intrt {
namespace {

// Nothing faster for channels that are alike.
bool add_alike(const OpToRun&, const int32_t*, size_t, size_t) { return false; }

}  // namespace
}  // namespace intrt

#include "intrt/kernels/vector/add.h"

const intrt::FastKernel intrt_neondot_add = {intrt::takes, intrt::run,    nullptr,
                                             nullptr,      intrt::slices, intrt::row_slices};
