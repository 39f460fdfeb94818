// What the processes of a group must have in common: at the start the task, later the whole state.
#pragma once

#include <string>
#include <vector>

#include "train/checkpoint.h"
#include "train/datasets/dataset.h"
#include "train/network.h"
#include "train/process_group.h"

namespace lockstep::train {

struct NamedText {
  std::string name, text;
};

// The first name under which the lists of two processes, by rank, have different texts, and the
// first of them that does not have rank 0's; the name is empty when there is none.
struct Disagreement {
  std::string name, of_rank_0, theirs;
  std::size_t rank = 0;
};
Disagreement first_disagreement(const std::vector<std::vector<NamedText>>& by_rank);

// InputError on every process names the first of version, graph, recipe member, data (their
// content), number of threads and `start` (what training starts from) in which one of them differs
// from rank 0.
void require_same_task(ProcessGroup& group, const TrainingState& task,
                       const datasets::Dataset& data, const std::string& start);

// What all processes run on: `mine` where it is the same for all, else each rank's.
Machine machine_of_all(ProcessGroup& group, const Machine& mine);

// InputError on every process names the first entry of the state (weights, masks, decimals,
// statistics, optimizer, collected data) in which one of them differs from rank 0.
void require_same_state(ProcessGroup& group, const Network& network, const TrainingState& training);

}  // namespace lockstep::train
