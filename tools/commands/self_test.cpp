#include "tools/commands/self_test.h"

#include <fmt/format.h>

#include "compile/support/error.h"
#include "tools/commands/command.h"
#include "verify/checker/proof.h"
#include "verify/mutate/score.h"

namespace lockstep::cli {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const mutate::KindScore& score) {
  return {{"made", score.made},         {"refused", score.refused}, {"refuted", score.refuted},
          {"unjudged", score.unjudged}, {"equal", score.equal},     {"survived", score.survived}};
}

}  // namespace

SelfTest self_test(const std::filesystem::path& graph, const std::filesystem::path& weights,
                   std::span<const std::byte> plan, std::int64_t count, std::uint64_t seed,
                   const std::function<void(const checker::Plan&)>& prove) {
  try {
    const mutate::Score score =
        mutate::score(checker::read_model(graph, weights), plan, {count, seed, prove});
    SelfTest test;
    test.json = to_json(score.total());
    for (const auto& [kind, of] : score.kinds) test.json["kinds"][kind] = to_json(of);
    test.json["survivors"] = score.survivors;
    const bool has_passed = score.survivors.empty();
    if (!has_passed) test.exit_code = kExitInternalError;
    test.text = fmt::format("self-test with {} changed plans of seed {}: {}\n\n{}", count, seed,
                            has_passed ? "passed"
                                       : "FAILED, the proof accepted a plan that may be wrong; "
                                         "please report it",
                            mutate::to_text(score));
    return test;
  } catch (const checker::Failure& failure) {
    const std::string reason =
        fmt::format("the checker does not accept the plan itself: {}", failure.text);
    return {fmt::format("no self-test: {}", reason),
            {{"reason", reason}},
            failure.is_unknown ? kExitUnknown : kExitRefuted};
  } catch (const checker::BadFile& error) {
    throw InputError(error.what());
  }
}

}  // namespace lockstep::cli
