#include "train/agreement.h"

#include <fmt/format.h>
#include <torch/version.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "compile/support/error.h"
#include "compile/support/files.h"
#include "compile/support/printable.h"
#include "train/module_state.h"
#include "train/windows.h"

namespace lockstep::train {
namespace {

template <typename Value>
std::string digest(const std::vector<Value>& values) {
  return sha256_hex(std::as_bytes(std::span(values)));
}

// The lists of all processes, by rank.
std::vector<std::vector<NamedText>> gather(ProcessGroup& group,
                                           const std::vector<NamedText>& mine) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& [name, text] : mine) list.push_back({name, text});
  std::vector<std::vector<NamedText>> by_rank;
  for (const std::string& text : group.gather(list.dump())) {
    by_rank.emplace_back();
    for (const auto& pair : nlohmann::json::parse(text))
      by_rank.back().push_back({pair.at(0).get<std::string>(), pair.at(1).get<std::string>()});
  }
  return by_rank;
}

// A recipe's difference is named by its member.
void name_recipe_member(Disagreement& found) {
  const RecipeDifference member = first_difference(parse_recipe(found.of_rank_0, "rank 0's recipe"),
                                                   parse_recipe(found.theirs, "another recipe"));
  found.name = member.member;
  found.of_rank_0 = member.a;
  found.theirs = member.b;
}

}  // namespace

Disagreement first_disagreement(const std::vector<std::vector<NamedText>>& by_rank) {
  const std::vector<NamedText>& first = by_rank.at(0);
  std::size_t longest = 0;
  for (const auto& list : by_rank) longest = std::max(longest, list.size());
  for (std::size_t i = 0; i < longest; ++i)
    for (std::size_t rank = 1; rank < by_rank.size(); ++rank) {
      const std::vector<NamedText>& other = by_rank[rank];
      const NamedText a = i < first.size() ? first[i] : NamedText{};
      const NamedText b = i < other.size() ? other[i] : NamedText{};
      if (a.name == b.name && a.text == b.text) continue;
      return {.name = a.name.empty() ? b.name : a.name,
              .of_rank_0 = a.text,
              .theirs = a.name == b.name ? b.text : "",
              .rank = rank};
    }
  return {};
}

void require_same_task(ProcessGroup& group, const TrainingState& task,
                       const datasets::Dataset& data, const std::string& start) {
  Disagreement found =
      first_disagreement(gather(group, {{"version", LOCKSTEP_VERSION},
                                        {"LibTorch version", TORCH_VERSION},
                                        {"graph", task.graph_json},
                                        {"recipe", to_json(task.recipe)},
                                        {"training images", digest(data.train.codes)},
                                        {"training labels", digest(data.train.labels)},
                                        {"test images", digest(data.test.codes)},
                                        {"test labels", digest(data.test.labels)},
                                        {"threads", std::to_string(task.threads)},
                                        {"start", start}}));
  if (found.name.empty()) return;
  if (found.name == "recipe") name_recipe_member(found);
  if (found.name == "graph")
    throw InputError(fmt::format("rank {} has another graph than rank 0", found.rank));
  throw InputError(fmt::format("{} = {} at rank {}, but {} at rank 0; all must have the same",
                               found.name, printable(found.theirs), found.rank,
                               printable(found.of_rank_0)));
}

Machine machine_of_all(ProcessGroup& group, const Machine& mine) {
  const auto of_all = [&](const std::string& part) {
    const std::vector<std::string> parts = group.gather(part);
    if (std::ranges::count(parts, part) == group.size()) return part;
    std::string all;
    for (std::size_t rank = 0; rank < parts.size(); ++rank)
      all += fmt::format("{}rank {}: {}", rank == 0 ? "" : ", ", rank, parts[rank]);
    return all;
  };
  return {.device = of_all(mine.device),
          .processor = of_all(mine.processor),
          .libtorch = of_all(mine.libtorch),
          .blas = of_all(mine.blas)};
}

void require_same_state(ProcessGroup& group, const Network& network,
                        const TrainingState& training) {
  std::vector<NamedText> digests;
  const auto add = [&](const std::string& key, const Tensor& tensor) {
    digests.push_back({key, sha256_hex(tensor.bytes)});
  };
  const StateDict state = to_state_dict(network.state());
  for (const auto& [key, tensor] : state.entries()) add(key, tensor);
  for (const auto& [label, samples] : collected_samples(network))
    for (std::size_t i = 0; i < samples->size(); ++i)
      add(fmt::format("window.{}.{}", label, i), from_torch((*samples)[i]));
  std::size_t i = 0;
  for (const auto& [key, tensor] : network.trainable()) {
    const OptimizerState& moments = training.optimizer_states.at(i++);
    digests.push_back({"optimizer." + key + ".first", digest(moments.first)});
    digests.push_back({"optimizer." + key + ".second", digest(moments.second)});
  }
  const Disagreement found = first_disagreement(gather(group, digests));
  if (!found.name.empty())
    throw InputError(
        fmt::format("after step {} rank {} has another '{}' than rank 0: the processes' processors "
                    "or libraries compute differently",
                    training.step, found.rank, found.name));
}

}  // namespace lockstep::train
