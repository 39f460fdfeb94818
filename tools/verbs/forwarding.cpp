#include "tools/verbs/verbs.h"

namespace lockstep::cli {

std::span<const Verb> verbs() {
  static constexpr Verb kVerbs[] = {
      {"convert", kConvertSummary, add_convert},
      {"train", kTrainSummary, nullptr, "lockstep-torch"},
      {"compile", kCompileSummary, add_compile},
      {"verify", kVerifySummary, nullptr, "lockstep-torch"},
      {"check", kCheckSummary, nullptr, "lockstep-check", false},
      {"run", kRunSummary, add_run},
      {"inspect", kInspectSummary, add_inspect},
      {"bench", kBenchSummary, add_bench},
      {"zoo", kZooSummary, add_zoo},
  };
  return kVerbs;
}

}  // namespace lockstep::cli
