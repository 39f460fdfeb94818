// Several processes train one network, on this machine's loopback: their replicas stay identical,
// and whatever happens to one of them, the others end by themselves, with one line that says why.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const fs::path kGraph =
    fs::path(LOCKSTEP_TEST_DATA).parent_path() / "docs" / "examples" / "small" / "graph.json";

// With all that the processes must share beside gradients: statistics of a batch norm, dropout, and
// windows that reach beyond rank 0's share of a batch.
constexpr const char* kRichGraph = R"({"format": "lockstep-graph", "version": 1, "name": "rich",
 "inputs": [{"name": "input", "shape": [1, 12, 12], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "conv", "op": "conv2d", "inputs": ["input"],
   "attrs": {"in_channels": 1, "out_channels": 4, "kernel_size": [3, 3], "stride": [2, 2]},
   "wrap": [{"type": "prune", "sparsity": 0.5, "start": 20, "interval": 10, "repetition": 3},
            {"type": "quantize", "channelwise": 0, "timeout": 55, "bias_bits": 12}]},
  {"name": "norm", "op": "batch_norm2d", "inputs": ["conv"], "attrs": {"num_features": 4}},
  {"name": "thin", "op": "prune", "inputs": ["norm"],
   "attrs": {"sparsity": 0.4, "start": 20, "interval": 10, "repetition": 3, "window_size": 60}},
  {"name": "code", "op": "quantize", "inputs": ["thin"],
   "attrs": {"timeout": 70, "interval": 40, "window_size": 90}},
  {"name": "relu", "op": "relu", "inputs": ["code"]},
  {"name": "flat", "op": "flatten", "inputs": ["relu"]},
  {"name": "drop", "op": "dropout", "inputs": ["flat"], "attrs": {"p": 0.1}},
  {"name": "fc", "op": "linear", "inputs": ["drop"],
   "attrs": {"in_features": 100, "out_features": 10},
   "wrap": [{"type": "quantize", "channelwise": 0, "timeout": 60}]}],
 "outputs": ["fc"]})";

// With nothing to share but gradients.
constexpr const char* kPlainGraph = R"({"format": "lockstep-graph", "version": 1, "name": "plain",
 "inputs": [{"name": "input", "shape": [1, 12, 12], "bits": 8, "decimal": 7}],
 "nodes": [
  {"name": "flat", "op": "flatten", "inputs": ["input"]},
  {"name": "fc", "op": "linear", "inputs": ["flat"],
   "attrs": {"in_features": 144, "out_features": 10}}],
 "outputs": ["fc"]})";

using Options = std::vector<std::string>;

Options operator+(Options a, const Options& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// A TCP port of loopback that the kernel chose; held as long as the object lives.
class Port {
 public:
  Port() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    socklen_t length = sizeof address;
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(socket_, any, length) == 0);
    REQUIRE(::listen(socket_, 1) == 0);
    REQUIRE(::getsockname(socket_, any, &length) == 0);
    number_ = ntohs(address.sin_port);
  }
  ~Port() { ::close(socket_); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  std::string number() const { return std::to_string(number_); }

 private:
  int socket_;
  int number_ = 0;
};

std::string free_tcp() { return "tcp://127.0.0.1:" + Port().number(); }

struct Workplace {
  std::string file(const std::string& name) const { return (folder / name).string(); }
  Options train(const std::string& out, const Options& more) const {
    return Options{kLockstep,   "train", "--graph", graph,       "--data",
                   "synthetic", "--out", file(out), "--threads", "1"} +
           more;
  }
  // Only rank 0 may make its folder.
  Options rank(int rank, int size, const std::string& init_method, const std::string& out,
               const Options& more) const {
    return train(rank == 0 ? out : "nothing",
                 Options{"--world-size", std::to_string(size), "--rank", std::to_string(rank),
                         "--init-method", init_method, "--group-timeout", group_timeout} +
                     more);
  }
  TemporaryFolder folder;
  std::string graph = kGraph.string();
  std::string group_timeout = "600";  // longer than any wait here; see wait_for_end
};

// All ranks of one training.
class Group {
 public:
  Group(const Workplace& work, int size, const std::string& init_method, const std::string& out,
        const Options& more) {
    for (int rank = 0; rank < size; ++rank)
      processes_.push_back(
          std::make_unique<BackgroundProcess>(work.rank(rank, size, init_method, out, more)));
  }
  BackgroundProcess& operator[](std::size_t rank) { return *processes_[rank]; }
  std::vector<Finished> wait() {
    std::vector<Finished> all;
    for (const auto& process : processes_) all.push_back(process->wait());
    return all;
  }

 private:
  std::vector<std::unique_ptr<BackgroundProcess>> processes_;
};

std::vector<json> read_log(const fs::path& path) {
  std::vector<json> lines;
  std::istringstream in(read_text(path));
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

// The steps in which something happened, and to which layer: "[Prune @ conv.prune]".
std::vector<std::string> events_of(const std::vector<json>& log) {
  std::vector<std::string> events;
  for (const json& line : log)
    for (const auto& event : line.value("events", std::vector<std::string>())) {
      const std::string layer = event.substr(0, event.find(']') + 1);
      events.push_back(line.at("step").dump() + " " + layer);
    }
  return events;
}

// Exit code 0 on all ranks, whose states have the same bits as what rank 0 wrote.
void check_replicas(const Workplace& work, const std::string& out,
                    const std::vector<Finished>& ranks) {
  for (const Finished& rank : ranks) {
    INFO(rank.err);
    REQUIRE(rank.exit_code == 0);
  }
  const std::string written = sha256_hex(read_file(fs::path(work.file(out)) / "state.safetensors"));
  for (const Finished& rank : ranks) CHECK(json::parse(rank.out).at("state_sha256") == written);
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) CHECK(ranks[rank].err.empty());
  CHECK_FALSE(fs::exists(work.file("nothing")));
}

// The names in a folder, so that a temporary file shows.
std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// The end of a process that must come by itself, in a test of what must not hang. On a machine with
// nothing else to do it takes seconds; the bound is for one that is busy, and below group_timeout.
// A process beyond it is killed with the test.
Finished wait_for_end(BackgroundProcess& process) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + std::chrono::minutes(5);
  REQUIRE_FALSE(process.wait_until([&] { return Clock::now() > end; }));
  return process.wait();
}

// Waits until both wait for another process: all their threads sleep, and none has run between two
// looks. False when `one` ends before.
bool wait_until_both_sleep(BackgroundProcess& one, BackgroundProcess& other) {
  std::string before;
  return one.wait_until([&] {
    const std::string of_one = one.sleeping_threads(), of_other = other.sleeping_threads();
    const std::string now = of_one.empty() || of_other.empty() ? "" : of_one + of_other;
    return !now.empty() && std::exchange(before, now) == now;
  });
}

void check_one_line(const std::string& text) {
  CAPTURE(text);
  CHECK(line_count(text) == 1);
  CHECK(text.starts_with("lockstep: error: "));
}

}  // namespace

TEST_CASE("processes that share the batches train one network, bit for bit the same in each") {
  const Workplace work;
  const Finished alone = run_process(work.train("alone", {"--epochs", "3", "--quiet"}));
  REQUIRE(alone.exit_code == 0);
  const std::vector<json> log_alone = read_log(work.file("alone/log.jsonl"));
  CHECK(events_of(log_alone).size() == 10);

  struct {
    int size;
    std::string init_method;
  } const runs[] = {{2, free_tcp()}, {3, "file://" + work.file("meeting")}};
  for (const auto& [size, init_method] : runs) {
    CAPTURE(init_method);
    Group group(work, size, init_method, "out", {"--epochs", "3", "--json"});
    const std::vector<Finished> ranks = group.wait();
    check_replicas(work, "out", ranks);
    CHECK(json::parse(ranks[0].out).at("test_accuracy").get<double>() > 0.5);  // of ten classes
    for (const char* const member : {"test_accuracy", "test_images", "steps"})
      for (const Finished& rank : ranks)
        CHECK(json::parse(rank.out).at(member) == json::parse(ranks[0].out).at(member));
    CHECK_FALSE(fs::exists(work.file("meeting")));

    // Batches of 64 and a last one of 56: the first steps differ by the order of sums alone.
    const std::vector<json> log = read_log(work.file("out/log.jsonl"));
    REQUIRE(log.size() == log_alone.size());
    CHECK(events_of(log) == events_of(log_alone));
    for (std::size_t step = 0; step < 10; ++step) {
      const auto expected = log_alone[step].at("loss").get<double>();
      CAPTURE(step);
      CHECK(std::abs(log[step].at("loss").get<double>() - expected) < 1e-5 * expected);
      CHECK(log[step].at("lr") == log_alone[step].at("lr"));
    }
  }
}

TEST_CASE("the usual environment variables make a group, too") {
  const Workplace work;
  const std::string port = Port().number();
  std::vector<std::unique_ptr<BackgroundProcess>> processes;
  for (const char* const rank : {"0", "1"}) {
    RunSetup setup;
    setup.environment = {"WORLD_SIZE=2", std::string("RANK=") + rank, "MASTER_ADDR=localhost",
                         "MASTER_PORT=" + port};
    processes.push_back(std::make_unique<BackgroundProcess>(
        work.train(rank == std::string("0") ? "out" : "nothing",
                   {"--epochs", "1", "--json", "--group-timeout", "600"}),
        setup));
  }
  check_replicas(work, "out", {processes[0]->wait(), processes[1]->wait()});
}

TEST_CASE("Ctrl-C at any rank stops all after the same step, and they resume to the same bits") {
  const Workplace work;
  const Options options = {"--epochs", "6", "--json"};
  check_replicas(work, "whole", Group(work, 2, free_tcp(), "whole", options).wait());

  Options resumed;
  for (const std::size_t rank : {1, 0}) {
    CAPTURE(rank);
    Group group(work, 2, free_tcp(), "parts", options + resumed);
    REQUIRE(group[0].wait_for_text(rank == 1 ? "epoch 1/6  step 12/" : "epoch 3/6  step 4/"));
    group[rank].send(SIGINT);
    const std::vector<Finished> ranks = group.wait();
    INFO(ranks[0].err, ranks[1].err);
    REQUIRE(ranks[0].exit_code == 130);
    REQUIRE(ranks[1].exit_code == 130);
    CHECK(line_count(ranks[1].err) == 1);
    CHECK(json::parse(ranks[0].out).at("steps") == json::parse(ranks[1].out).at("steps"));
    CHECK(names_in(work.file("parts")) ==
          std::vector<std::string>{"checkpoint.pt", "log.jsonl", "recipe.json"});
    resumed = {"--resume", work.file("parts/checkpoint.pt")};
  }
  check_replicas(work, "parts", Group(work, 2, free_tcp(), "parts", options + resumed).wait());
  for (const char* const file : {"state.pt", "state.safetensors", "checkpoint.pt"})
    CHECK(read_text(work.file("parts/") + file) == read_text(work.file("whole/") + file));
}

TEST_CASE("when a rank is killed the others say so and end; training goes on to the same bits") {
  Workplace work;
  work.graph = work.file("rich.json");
  write_text(work.graph, kRichGraph);
  const Options options = {"--epochs", "5", "--json", "--checkpoint-every", "7"};
  check_replicas(work, "whole", Group(work, 3, free_tcp(), "whole", options).wait());

  Options resumed;
  struct {
    std::size_t victim;
    std::string init_method, reached;
  } const kills[] = {{1, free_tcp(), "epoch 1/5  step 12/"},
                     {0, free_tcp(), "epoch 3/5  step 4/"},
                     {0, "file://" + work.file("meeting"), "epoch 4/5  step 24/"}};
  for (const auto& [victim, init_method, reached] : kills) {
    CAPTURE(reached);
    Group group(work, 3, init_method, "parts", options + resumed);
    REQUIRE(group[0].wait_for_text(reached));
    group[victim].send(SIGKILL);
    const std::vector<Finished> ranks = group.wait();
    for (std::size_t rank = 0; rank < 3; ++rank) {
      CAPTURE(rank);
      INFO(ranks[rank].err);
      CHECK(ranks[rank].exit_code == (rank == victim ? 137 : 2));
      if (rank == victim) continue;
      const std::string line = ranks[rank].err.substr(ranks[rank].err.rfind("lockstep: error"));
      check_one_line(line);
      CHECK(line.find("rank " + std::to_string(victim) + " is gone in step ") != std::string::npos);
      if (rank > 0) CHECK(line == ranks[rank].err);
    }
    CHECK_FALSE(fs::exists(work.file("meeting")));
    CHECK(fs::exists(work.file("parts/checkpoint.pt")));
    CHECK_FALSE(fs::exists(work.file("parts/state.pt")));
    if (victim != 0)  // a killed rank 0 may leave the temporary file of a checkpoint
      CHECK(names_in(work.file("parts")) ==
            std::vector<std::string>{"checkpoint.pt", "log.jsonl", "recipe.json"});
    resumed = {"--resume", work.file("parts/checkpoint.pt")};
  }
  check_replicas(work, "parts", Group(work, 3, free_tcp(), "parts", options + resumed).wait());
  for (const char* const file : {"state.pt", "state.safetensors", "checkpoint.pt"})
    CHECK(read_text(work.file("parts/") + file) == read_text(work.file("whole/") + file));

  Group other_size(work, 2, free_tcp(), "parts", options + resumed);
  for (const Finished& rank : other_size.wait()) {
    CHECK(rank.exit_code == 2);
    check_one_line(rank.err);
    CHECK(rank.err.find("world size = 3, but this run has 2") != std::string::npos);
  }
}

TEST_CASE("a rank 0 that hangs does not keep those that end from ending") {
  Workplace work;
  work.graph = work.file("plain.json");
  write_text(work.graph, kPlainGraph);
  // In Gloo's ring rank 1 waits for rank 2, finds it gone, and then rank 0 does not answer. That
  // must not take as long as the exchange may, --group-timeout. Rank 2 stops first: were rank 0
  // stopped while the others go on, rank 1 might wait for rank 0 to take its numbers, and then
  // --group-timeout is how long it may.
  Group group(work, 3, free_tcp(), "out", {"--epochs", "1000", "--batch-size", "3"});
  REQUIRE(group[0].wait_for_text("epoch 1/1000"));
  group[2].send(SIGSTOP);
  REQUIRE(wait_until_both_sleep(group[0], group[1]));
  group[0].send(SIGSTOP);
  group[2].send(SIGKILL);
  const Finished finished = wait_for_end(group[1]);
  CHECK(finished.exit_code == 2);
  check_one_line(finished.err);
  CHECK(finished.err.find("rank 0 did not answer in step ") != std::string::npos);
}

TEST_CASE("a rank that hangs is said not to answer") {
  Workplace work;
  work.graph = work.file("plain.json");
  write_text(work.graph, kPlainGraph);
  work.group_timeout = "20";  // they must also find each other within it
  std::vector<Group> groups;  // the number of each is that of the rank that hangs
  for (const std::size_t hangs : {0, 1}) {
    Group& group = groups.emplace_back(work, 3, free_tcp(), "out" + std::to_string(hangs),
                                       Options{"--epochs", "1000", "--batch-size", "3"});
    REQUIRE(group[0].wait_for_text("epoch 1/1000"));
    group[hangs].send(SIGSTOP);
  }
  for (std::size_t hangs = 0; hangs < groups.size(); ++hangs)
    for (std::size_t rank = 0; rank < 3; ++rank) {
      if (rank == hangs) continue;
      CAPTURE(hangs);
      CAPTURE(rank);
      const Finished finished = wait_for_end(groups[hangs][rank]);
      CHECK(finished.exit_code == 2);
      INFO(finished.err);
      CHECK(finished.err.find("rank " + std::to_string(hangs) + " did not answer in step ") !=
            std::string::npos);
    }
}

TEST_CASE("a rank that differs is refused on all ranks, which say in what") {
  const Workplace work;
  write_text(work.folder / "other.json", kPlainGraph);
  struct {
    Options of_rank_1;
    std::string message;
  } const cases[] = {
      {{"--epochs", "3"}, "epochs = 3 at rank 1, but 2 at rank 0"},
      {{"--epochs", "2", "--lr", "0.5"}, "optimizer.lr = 0.5 at rank 1, but 0.001 at rank 0"},
      {{"--epochs", "2", "--threads", "2"}, "threads = 2 at rank 1, but 1 at rank 0"},
      {{"--epochs", "2", "--graph", work.file("other.json")}, "rank 1 has another graph"},
      {{"--epochs", "2", "--resume", work.file("none.pt")},
       "start = --resume at rank 1, but random weights at rank 0"},
  };
  for (const auto& [of_rank_1, message] : cases) {
    CAPTURE(message);
    const std::string meeting = free_tcp();
    BackgroundProcess first(work.rank(0, 2, meeting, "out", {"--epochs", "2", "--quiet"}));
    Options arguments = work.rank(1, 2, meeting, "out", {});
    for (std::size_t i = 0; i < of_rank_1.size(); i += 2) {  // each option once
      const auto given = std::find(arguments.begin(), arguments.end(), of_rank_1[i]);
      if (given != arguments.end()) arguments.erase(given, given + 2);
    }
    const Finished second = run_process(arguments + of_rank_1);
    const Finished ended = first.wait();
    for (const Finished* const rank : {&ended, &second}) {
      CHECK(rank->exit_code == 2);
      check_one_line(rank->err);
      CAPTURE(rank->err);
      CHECK(rank->err.find(message) != std::string::npos);
    }
  }
}

TEST_CASE("an error at one rank ends all, and each says which") {
  const Workplace work;
  // Rank 1 is given a checkpoint to go on from, too, but rank 0 reads it, and it is none.
  write_text(work.folder / "bad.pt", "no checkpoint");
  Group group(work, 2, free_tcp(), "out", {"--resume", work.file("bad.pt"), "--quiet"});
  const std::vector<Finished> ranks = group.wait();
  for (const Finished& rank : ranks) {
    CHECK(rank.exit_code == 2);
    check_one_line(rank.err);
    CHECK(rank.err.find(work.file("bad.pt")) != std::string::npos);
  }
  CHECK(ranks[1].err.find("rank 0 ended before the first step: ") != std::string::npos);
}

TEST_CASE("a group that cannot come together says why") {
  const Workplace work;
  const Port taken;
  write_text(work.folder / "not_a_folder", "");
  const std::string file = "file://" + work.file("meeting");
  struct {
    Options options;
    std::string message;
  } const cases[] = {
      {{"--world-size", "2", "--rank", "1", "--init-method", free_tcp(), "--group-timeout", "1"},
       "rank 0 did not answer within 1 s"},
      // Something that accepts connections there, but is no rank 0.
      {{"--world-size", "2", "--rank", "1", "--init-method", "tcp://127.0.0.1:" + taken.number(),
        "--group-timeout", "2"},
       "rank 0 did not answer within 2 s"},
      {{"--world-size", "3", "--rank", "0", "--init-method", free_tcp(), "--group-timeout", "1"},
       "ranks 1, 2 of 3 did not come within 1 s"},
      {{"--world-size", "2", "--rank", "1", "--init-method", file, "--group-timeout", "1"},
       "rank 0 of 2 did not come within 1 s"},
      {{"--world-size", "2", "--rank", "0", "--init-method", "tcp://127.0.0.1:" + taken.number()},
       ": rank 0 cannot listen there: Address already in use"},
      {{"--world-size", "2", "--rank", "0", "--init-method", "tcp://no.such.host.invalid:29500"},
       "the host 'no.such.host.invalid' is not known"},
      {{"--world-size", "2", "--rank", "0", "--init-method",
        "file://" + work.file("not_a_folder/meeting")},
       "not_a_folder/meeting"},
      {{"--world-size", "2", "--rank", "2", "--init-method", file}, "rank = 2, allowed are 0 to 1"},
      {{"--world-size", "0"}, "--world-size 0: must be a whole number from 1 to 1024"},
      {{"--world-size", "1025"}, "--world-size 1025: must be a whole number from 1 to 1024"},
      {{"--world-size", "2", "--rank", "1024"},
       "--rank 1024: must be a whole number from 0 to 1023"},
      {{"--group-timeout", "0"}, "--group-timeout 0: must be a whole number from 1 to 604800"},
      {{"--group-timeout", "604801"},
       "--group-timeout 604801: must be a whole number from 1 to 604800"},
      {{"--world-size", "2", "--rank", "0"}, "there is no init method"},
      {{"--world-size", "2"}, "--world-size 2 needs --rank"},
      {{"--rank", "1"}, "--rank requires --world-size"},
      {{"--world-size", "2", "--rank", "0", "--init-method", "udp://h:1"},
       "init method 'udp://h:1'"},
  };
  for (const auto& [options, message] : cases) {
    CAPTURE(message);
    BackgroundProcess process(work.train("out", options));
    const Finished finished = wait_for_end(process);
    CHECK(finished.exit_code == 2);
    check_one_line(finished.err);
    INFO(finished.err);
    CHECK(finished.err.find(message) != std::string::npos);
    CHECK_FALSE(fs::exists(work.file("meeting")));
  }
}

TEST_CASE("what is not a file for processes to meet at is refused by every rank, and stays") {
  const Workplace work;
  using namespace std::string_literals;
  // As FileStore writes it: one entry of rank 0.
  const std::string entry = "\x09\0\0\0/member/0\x01\0\0\0001"s;
  struct {
    std::string name, content, message;
  } const cases[] = {
      {"text", "my thesis\n", "text: the file is there already, and no meeting point"},
      {"keys_only", entry.substr(0, 13), "keys_only: the file is there already, and no meeting"},
      {"torn", entry.substr(0, entry.size() - 1),
       "torn: the file is there already, and no meeting"},
      {"longer", entry + "x", "longer: the file is there already, and no meeting"},
      {"empty", "", "empty: the file is there already, and empty"},
      {"left", entry, "left: rank 0 is there already, or the file is left from an earlier"},
  };
  for (const auto& [name, content, message] : cases) {
    CAPTURE(name);
    write_text(work.folder / name, content);
    for (const int rank : {0, 1}) {
      if (name == "left" && rank == 1) continue;  // that one waits for rank 0's next entry
      BackgroundProcess process(work.rank(rank, 2, "file://" + work.file(name), "out", {}));
      const Finished finished = wait_for_end(process);
      CHECK(finished.exit_code == 2);
      check_one_line(finished.err);
      INFO(finished.err);
      CHECK(finished.err.find(message) != std::string::npos);
    }
    CHECK(read_text(work.file(name)).starts_with(content));
  }

  fs::create_directory(work.folder / "folder");
  REQUIRE(::mkfifo(work.file("pipe").c_str(), 0600) == 0);
  for (const auto& [path, message] :
       {std::pair(work.file("folder"), "folder: is a folder"s),
        std::pair(work.file("pipe"), "pipe: is not a regular file"s),
        std::pair(work.file("no_folder/meeting"), "meeting: No such file or directory"s)})
    for (const int rank : {0, 1}) {
      CAPTURE(path);
      BackgroundProcess process(work.rank(rank, 2, "file://" + path, "out", {}));
      const Finished finished = wait_for_end(process);
      CHECK(finished.exit_code == 2);
      check_one_line(finished.err);
      INFO(finished.err);
      CHECK(finished.err.find(message) != std::string::npos);
    }
  CHECK(fs::is_empty(work.folder / "folder"));
}

TEST_CASE("the environment's variables are all there, or the missing one is named") {
  const Workplace work;
  const std::vector<std::string> all = {"WORLD_SIZE=2", "RANK=0", "MASTER_ADDR=localhost",
                                        "MASTER_PORT=29500"};
  for (std::size_t missing = 1; missing < all.size(); ++missing) {
    RunSetup setup;
    setup.environment = all;
    setup.environment.erase(setup.environment.begin() + static_cast<std::ptrdiff_t>(missing));
    const Finished finished = run_process(work.train("out", {}), setup);
    CHECK(finished.exit_code == 2);
    check_one_line(finished.err);
    const std::string name = all[missing].substr(0, all[missing].find('='));
    CHECK(finished.err.find("the environment variable " + name + " is missing") !=
          std::string::npos);
  }
}

TEST_CASE("layers that processes cannot share are refused by each alone") {
  Workplace work;
  work.graph = work.file("graph.json");
  for (const auto& [node, message] :
       {std::pair(
            R"("op": "prune", "inputs": ["flat"], "attrs": {"sparsity": 0.5, "collapse": -1})",
            "layer 'single': collapse = -1 prunes each place in a batch apart"),
        std::pair(R"("op": "quantize", "inputs": ["flat"], "attrs": {"channelwise": 0})",
                  "layer 'single': channelwise = 0 is the batch axis of an activation")}) {
    CAPTURE(message);
    std::string graph = kPlainGraph;
    graph.replace(graph.find("{\"name\": \"fc\""), 0,
                  std::string(R"({"name": "single", )") + node + "},\n  ");
    graph.replace(graph.find(R"("linear", "inputs": ["flat"])"), 28,
                  R"("linear", "inputs": ["single"])");
    write_text(work.graph, graph);
    // Nobody else comes, and --group-timeout is longer than wait_for_end.
    for (const int rank : {0, 1}) {
      BackgroundProcess process(work.rank(rank, 2, free_tcp(), "out", {}));
      const Finished finished = wait_for_end(process);
      CHECK(finished.exit_code == 2);
      check_one_line(finished.err);
      INFO(finished.err);
      CHECK(finished.err.find(message) != std::string::npos);
    }
  }
}

TEST_CASE("batches with fewer images than processes are refused, and so is calibration") {
  const Workplace work;
  // 3000 images in batches of 23 leave 10.
  Group group(work, 3, free_tcp(), "out", {"--batch-size", "2", "--quiet"});
  for (const Finished& rank : group.wait()) {
    CHECK(rank.exit_code == 2);
    CHECK(rank.err.find("a batch (batch_size = 2) has 2 images, too few for 3 processes") !=
          std::string::npos);
  }
  Group rest(work, 2, free_tcp(), "out", {"--batch-size", "2999", "--quiet"});
  for (const Finished& rank : rest.wait()) {
    CHECK(rank.exit_code == 2);
    CHECK(rank.err.find("the last batch of an epoch (batch_size = 2999, 3000 training images) has "
                        "1 image, too few for 2 processes") != std::string::npos);
  }
  const Finished calibrate =
      run_process(work.rank(0, 2, free_tcp(), "out", {"--weights", "w.pt", "--calibrate", "10"}));
  CHECK(calibrate.exit_code == 2);
  CHECK(calibrate.err.find("world size = 2, but --calibrate is for one process") !=
        std::string::npos);
}

}  // namespace lockstep::test
