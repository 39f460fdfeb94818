#include "tools/verbs/verbs.h"

namespace lockstep::cli {

std::span<const Verb> verbs() {
  static constexpr Verb kVerbs[] = {
      {"train", kTrainSummary, add_train},
      {"verify", kVerifySummary, add_verify},
  };
  return kVerbs;
}

std::unique_ptr<verify::FloatPath> float_path_of_this_build(const Graph& graph,
                                                            const StateDict& state) {
  return verify::make_float_path(graph, state);
}

}  // namespace lockstep::cli
