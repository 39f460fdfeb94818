// Owns the precompiled LibTorch header that other targets reuse; see lockstep_use_torch in
// CMakeLists.txt.
namespace lockstep {
extern const int kTorchPrecompiledHeader;
const int kTorchPrecompiledHeader = 1;
}  // namespace lockstep
