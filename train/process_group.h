// The processes of one training, connected by Gloo as LibTorch has it (c10d). All use of c10d is
// in process_group.cpp; a build without Gloo's headers has no_process_group.cpp instead.
//
// When a process ends before the training does, the others learn it from a collective that fails,
// and ask at the meeting point who has ended and why: each that ends leaves a note there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/group_options.h"

namespace lockstep::train {

class ProcessGroup {
 public:
  // Waits until all processes have come to the meeting point. `options` are valid and for more than
  // one. InputError when they have not within the timeout, when one has another world size or the
  // same rank, and when the meeting point cannot be had. Silences c10d's and glog's warnings.
  explicit ProcessGroup(const GroupOptions& options);
  ~ProcessGroup();
  ProcessGroup(const ProcessGroup&) = delete;
  ProcessGroup& operator=(const ProcessGroup&) = delete;

  std::int64_t rank() const { return options_.rank; }
  std::int64_t size() const { return options_.world_size; }

  // What this process is doing, for messages: "in step 37".
  void set_activity(std::string activity) { activity_ = std::move(activity); }

  // The collectives. All processes call the same ones, in the same order and with as many values,
  // and come by the same bits. InputError names the process that has ended in the meantime, with
  // its reason where it has left one, or that does not answer.
  void sum(std::span<float> values);         // over all processes, in place
  void sum(std::span<std::int64_t> values);  // the same
  void broadcast(std::span<float> values, std::int64_t from);
  std::vector<std::byte> broadcast(std::vector<std::byte> of_rank_0);
  std::vector<std::string> gather(const std::string& mine);  // by rank
  void wait_for_all();

  // For a process that ends by an error: tells the others why, so that they can say so. No
  // collective may follow. Returns within some seconds.
  void leave(std::string_view why) noexcept;

 private:
  struct Connection;
  struct Ends;

  void meet();
  void collect_members();
  [[noreturn]] void give_up(const std::string& reason);
  Ends settle(const std::string& note) noexcept;
  template <typename Call>
  void guarded(Call&& call);

  GroupOptions options_;
  std::string activity_ = "before the first step";
  std::vector<std::int64_t> others_;  // the ranks that have come
  std::unique_ptr<Connection> connection_;
};

}  // namespace lockstep::train
