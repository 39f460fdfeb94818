// The mutation score of the checker over networks of the zoo, as they are and with decimals per
// channel and half of their weights pruned: how many of a number of changed plans it lets through.
// Fails when one of them is not shown to compute the same. docs/verification.md has the result.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <future>
#include <string>
#include <vector>

#include "compile/compile.h"
#include "compile/support/files.h"
#include "tools/zoo/zoo.h"
#include "verify/checker/proof.h"
#include "verify/differential/private_folder.h"
#include "verify/mutate/score.h"

namespace {

using namespace lockstep;

struct Subject {
  const zoo::Network* network = nullptr;
  zoo::NetworkOptions options;
  double share = 0;  // of the mutants
};

// A proof takes about as long as a network has multiplications, so large ones get fewer mutants.
// Left out are those whose proof takes minutes.
std::vector<Subject> subjects(const std::vector<std::string>& names) {
  std::vector<Subject> all;
  double sum = 0;
  for (const zoo::Network& network : zoo::networks()) {
    const bool is_named = std::ranges::find(names, network.name) != names.end();
    const bool is_large = network.name == "resnet18" || network.name.ends_with("_224");
    if (names.empty() ? is_large : !is_named) continue;
    const auto macs = static_cast<double>(zoo::size_of(network.build({})).macs);
    for (const zoo::NetworkOptions& options :
         {zoo::NetworkOptions{}, zoo::NetworkOptions{.per_channel = true, .sparsity = 0.5}}) {
      all.push_back({&network, options, 1.0 / std::max(macs, 1e6)});
      sum += all.back().share;
    }
  }
  for (Subject& subject : all) subject.share /= sum;
  return all;
}

mutate::Score score_of(const Subject& subject, std::int64_t count, std::uint64_t seed) {
  const Graph graph = subject.network->build(subject.options);
  const StateDict state = zoo::calibrated_state(graph, 1);
  const verify::PrivateFolder folder;
  const auto graph_file = folder.path() / "graph.json", state_file = folder.path() / "state";
  write_file_atomically(graph_file, to_json(graph));
  const auto bytes = to_safetensors(state);
  write_file_atomically(state_file, std::span<const std::byte>(bytes));
  return mutate::score(checker::read_model(graph_file, state_file),
                       compile_network(graph, state, {}).plan, {count, seed, {}});
}

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Several networks at a time; what comes out does not depend on how many.
int run(std::int64_t mutants, std::uint64_t seed, const std::vector<std::string>& names, int jobs) {
  const std::vector<Subject> all = subjects(names);
  std::vector<mutate::Score> scores(all.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < all.size(); i = next++) {
      const double start = thread_seconds();
      scores[i] = score_of(
          all[i], static_cast<std::int64_t>(std::ceil(all[i].share * static_cast<double>(mutants))),
          seed);
      const mutate::KindScore total = scores[i].total();
      const std::string line =
          fmt::format("{:<20} {:<20} {:>6} mutants {:>5} equal {:>4} survived {:>7.1f} s\n",
                      all[i].network->name, all[i].options.per_channel ? "per channel, pruned" : "",
                      total.made, total.equal, total.survived, thread_seconds() - start);
      std::fputs(line.c_str(), stdout);
      std::fflush(stdout);
    }
  };
  std::vector<std::future<void>> workers;
  for (int job = 0; job < jobs; ++job) workers.push_back(std::async(std::launch::async, work));
  for (std::future<void>& worker : workers) worker.get();
  mutate::Score sum;
  for (const mutate::Score& score : scores) sum += score;
  fmt::print("\n{}", mutate::to_text(sum));
  return sum.total().made > 0 && sum.survivors.empty() ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app("Measures how many changed plans the checker lets through.");
  std::int64_t mutants = 10'000;
  std::uint64_t seed = 1;
  std::vector<std::string> names;
  app.add_option("--mutants", mutants, "At least so many in all")->check(CLI::PositiveNumber);
  app.add_option("--seed", seed, "Of the changes");
  app.add_option("--networks", names, "Of the zoo; without it all but the largest")->delimiter(',');
  int jobs = 1;
  app.add_option("--jobs", jobs, "Networks at a time")->check(CLI::Range(1, 64));
  CLI11_PARSE(app, count, arguments);
  try {
    return run(mutants, seed, names, jobs);
  } catch (const checker::Failure& failure) {
    fmt::print(stderr, "the checker does not accept the plan as it was compiled: {}\n",
               failure.text);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
  }
  return 1;
}
