#include "compile/support/error.h"
#include "tools/verbs/verbs.h"

namespace lockstep::cli {
namespace {

Action add_train_refusal(CLI::App& verb) {
  verb.allow_extras();
  return []() -> int {
    throw InputError(
        "train needs LibTorch, and this build has none (configure with -DLOCKSTEP_WITH_TORCH=ON)");
  };
}

}  // namespace

std::span<const Verb> verbs() {
  static constexpr Verb kVerbs[] = {
      {"convert", kConvertSummary, add_convert},
      {"train", kTrainSummary, add_train_refusal},
      {"compile", kCompileSummary, add_compile},
      {"verify", kVerifySummary, add_verify},
      {"check", kCheckSummary, nullptr, "lockstep-check", false},
      {"run", kRunSummary, add_run},
      {"inspect", kInspectSummary, add_inspect},
      {"bench", kBenchSummary, add_bench},
      {"zoo", kZooSummary, add_zoo},
  };
  return kVerbs;
}

std::unique_ptr<verify::FloatPath> float_path_of_this_build(const Graph&, const StateDict&) {
  return nullptr;
}

}  // namespace lockstep::cli
