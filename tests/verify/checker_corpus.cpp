// Right and wrong plans, graphs and state dicts with what the checker says of each, to find out
// whether a changed checker still says the same (tools/bench/source_mutants):
//   checker_corpus make FILE     compiles small networks, changes them, and notes the verdicts
//   checker_corpus check FILE    0: the same verdicts; 3: something wrong is accepted, or the other
//                                way round; 4: other facts, or another reason to refuse
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "compile/checkpoint/state_dict.h"
#include "compile/compile.h"
#include "compile/support/error.h"
#include "compile/support/files.h"
#include "tests/fuzz/random_graph/random_graph.h"
#include "verify/checker/certificate.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"
#include "verify/differential/private_folder.h"
#include "verify/mutate/plan_mutants.h"
#include "verify/mutate/plan_sites.h"

namespace {

using namespace lockstep;
namespace fs = std::filesystem;
using nlohmann::json;
using Bytes = std::vector<std::byte>;

struct Files {
  Bytes graph, state, plan;
};

// One file of a group in the place of its own, and the verdict.
struct Case {
  Bytes Files::*file;
  Bytes bytes;
  std::string verdict;
};
struct Group {
  Files files;
  std::vector<Case> cases;
};

// Says what the checker makes of files. Works in the current folder, so that messages name files
// alike everywhere.
class Judge {
 public:
  std::string verdict_of(const Files& files) {
    try {
      checker::Certificate facts;
      facts.proof = checker::prove(model_of(files), checker::read_plan(files.plan));
      return "proved " +
             nlohmann::ordered_json::parse(checker::certificate_text(facts))["proof"].dump();
    } catch (const checker::BadFile& bad) {
      return fmt::format("refused {}", bad.what());
    } catch (const checker::Failure& failure) {
      return fmt::format("{} {} {}", failure.is_unknown ? "unjudged" : "refuted",
                         failure.obligation, failure.text);
    } catch (const std::exception& error) {
      return fmt::format("failed {}", error.what());
    }
  }

 private:
  // Most cases of a group have the same.
  const checker::Model& model_of(const Files& files) {
    if (model_ && files.graph == graph_ && files.state == state_) return *model_;
    graph_ = files.graph;
    state_ = files.state;
    write("graph", graph_);
    write("state", state_);
    model_.reset();
    return model_.emplace(checker::read_model("graph", "state"));
  }
  static void write(const char* name, const Bytes& bytes) {
    std::ofstream out(name, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) throw InputError("the corpus cannot write its files");
  }

  Bytes graph_, state_;
  std::optional<checker::Model> model_;
};

std::string_view kind_of(std::string_view verdict) { return verdict.substr(0, verdict.find(' ')); }

Bytes bytes_of(std::string_view text) {
  const auto* const data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}
std::string_view text_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// --- changes ------------------------------------------------------------------------------------

// A number, name or word of the JSON becomes another one, or is lost.
Bytes changed_json(std::string_view text, mutate::Random& random) {
  json root = json::parse(text);
  const json flat = root.flatten();
  std::vector<std::string> leaves;
  for (const auto& [pointer, value] : flat.items()) leaves.push_back(pointer);
  const json::json_pointer place(leaves[random.below(leaves.size())]);
  json& leaf = root[place];
  switch (random.below(5)) {
    case 0:
      if (root[place.parent_pointer()].is_object())
        root[place.parent_pointer()].erase(place.back());
      else
        root[place.parent_pointer()].erase(std::stoul(place.back()));
      break;
    case 1:
      leaf = flat[leaves[random.below(leaves.size())]];
      break;
    case 2:
      leaf = std::vector<json>{
          json(), 0, -1, 0.5, 4294967296, "zzz", true, json::array()}[random.below(8)];
      break;
    default:
      if (leaf.is_number_integer())
        leaf = leaf.get<std::int64_t>() + random.between(-2, 2);
      else if (leaf.is_number())
        leaf = leaf.get<double>() * 1.25;
      else if (leaf.is_boolean())
        leaf = !leaf.get<bool>();
      else
        leaf = flat[leaves[random.below(leaves.size())]];
  }
  return bytes_of(root.dump());
}

Bytes changed_state(Bytes state, mutate::Random& random) {
  std::uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, state.data(), sizeof header_bytes);
  const std::size_t header = sizeof header_bytes + header_bytes;
  const std::size_t kind = random.below(8);
  if (kind == 0) {
    state.resize(random.below(state.size()));
  } else if (kind == 1) {
    state.push_back(std::byte{0});
  } else if (kind < 4) {
    state[random.below(header)] = static_cast<std::byte>("0123456789,:]\"FI"[random.below(16)]);
  } else if (state.size() > header) {
    state[header + random.below(state.size() - header)] ^=
        static_cast<std::byte>(1U << random.below(8));
  }
  return state;
}

// A field of 32 bits becomes another one, and the checksum fits.
Bytes changed_plan(Bytes plan, mutate::Random& random) {
  constexpr std::uint32_t kInteresting[] = {0,   1,   2,     3,     7,          8,         16,
                                            127, 256, 32768, 65536, 0x7FFFFFFF, 0x80000000};
  const std::size_t at = random.below(plan.size() / 4) * 4;
  std::uint32_t field = 0;
  std::memcpy(&field, plan.data() + at, 4);
  const std::size_t kind = random.below(3);
  if (kind == 0) field = kInteresting[random.below(std::size(kInteresting))];
  if (kind == 1) field += static_cast<std::uint32_t>(random.between(-4, 4));
  if (kind == 2) field ^= 1U << random.below(32);
  std::memcpy(plan.data() + at, &field, 4);
  mutate::reseal(plan);
  return plan;
}

// --- the corpus ---------------------------------------------------------------------------------

// How long it takes to prove a plan: elements, and the arguments of functions.
std::int64_t cost_of(std::string_view proof) {
  const json facts = json::parse(proof);
  auto cost = 100 * facts["elements_checked"].get<std::int64_t>();
  for (const json& layer : facts["layers"])
    for (const json& channels : layer["channels"])
      if (channels["method"] == "exhaustive") cost += channels["arguments"].get<std::int64_t>();
  return cost;
}

// Nothing where the compiler refuses the network, or a proof takes too long for hundreds of them.
std::optional<Group> group_of(const test::Network& network, std::uint64_t seed) {
  constexpr std::size_t kLargest = 12'000;
  Group group;
  group.files.graph = bytes_of(network.json.empty() ? to_json(network.graph) : network.json);
  group.files.state = to_safetensors(network.state);
  try {
    const auto goal = seed % 3 == 0 ? passes::Objective::kSize : passes::Objective::kSpeed;
    group.files.plan =
        compile_network(network.graph, network.state,
                        {.keep_layers = seed % 4 == 0, .optimize = goal, .after_pass = {}})
            .plan;
  } catch (const InputError&) {
    return std::nullopt;
  }
  if (group.files.plan.size() > kLargest || group.files.graph.size() > kLargest)
    return std::nullopt;
  Judge judge;
  const auto add = [&](Bytes Files::*file, const Bytes& bytes) {
    Files files = group.files;
    files.*file = bytes;
    group.cases.push_back({file, bytes, judge.verdict_of(files)});
  };
  add(&Files::plan, group.files.plan);
  mutate::Random random(seed);
  if (kind_of(group.cases[0].verdict) == "proved") {
    if (cost_of(group.cases[0].verdict.substr(7)) > 100'000) return std::nullopt;
    mutate::PlanMutants mutants(group.files.plan, seed);
    for (int i = 0; i < 40; ++i) add(&Files::plan, mutants.apply(mutants.next()));
  }
  for (int i = 0; i < 8; ++i) add(&Files::plan, changed_plan(group.files.plan, random));
  for (int i = 0; i < 16; ++i) add(&Files::graph, changed_json(text_of(group.files.graph), random));
  for (int i = 0; i < 8; ++i) add(&Files::state, changed_state(group.files.state, random));
  return group;
}

std::vector<Group> make_corpus(std::uint64_t networks) {
  std::vector<Group> corpus;
  for (std::uint64_t seed = 0; corpus.size() < networks; ++seed)
    if (auto group =
            group_of(seed % 3 == 0 ? test::random_network(seed) : test::random_graph(seed), seed))
      corpus.push_back(std::move(*group));
  return corpus;
}

// --- the file -----------------------------------------------------------------------------------

void put(std::string& out, std::string_view text) {
  out += fmt::format("{}\n", text.size());
  out += text;
}
void put(std::string& out, const Bytes& bytes) { put(out, text_of(bytes)); }

std::string get(std::istream& in) {
  std::size_t size = 0;
  in >> size;
  in.get();
  std::string text(size, '\0');
  in.read(text.data(), static_cast<std::streamsize>(size));
  if (!in) throw InputError("the corpus is cut off");
  return text;
}

constexpr Bytes Files::*kFiles[] = {&Files::graph, &Files::state, &Files::plan};

void write_corpus(const std::vector<Group>& corpus, const fs::path& path) {
  std::string out;
  put(out, fmt::to_string(corpus.size()));
  for (const Group& group : corpus) {
    for (const auto file : kFiles) put(out, group.files.*file);
    put(out, fmt::to_string(group.cases.size()));
    for (const Case& one : group.cases) {
      put(out, fmt::to_string(std::ranges::find(kFiles, one.file) - std::begin(kFiles)));
      put(out, one.bytes);
      put(out, one.verdict);
    }
  }
  write_file_atomically(path, out);
}

std::vector<Group> read_corpus(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::vector<Group> corpus(std::stoul(get(in)));
  for (Group& group : corpus) {
    for (const auto file : kFiles) group.files.*file = bytes_of(get(in));
    group.cases.resize(std::stoul(get(in)));
    for (Case& one : group.cases) {
      one.file = kFiles[std::stoul(get(in))];
      one.bytes = bytes_of(get(in));
      one.verdict = get(in);
    }
  }
  return corpus;
}

int check(const std::vector<Group>& corpus) {
  int result = 0;
  Judge judge;
  for (std::size_t g = 0; g < corpus.size(); ++g)
    for (std::size_t i = 0; i < corpus[g].cases.size(); ++i) {
      const Case& one = corpus[g].cases[i];
      Files files = corpus[g].files;
      files.*one.file = one.bytes;
      const std::string found = judge.verdict_of(files);
      if (found == one.verdict) continue;
      const bool is_flipped = (kind_of(found) == "proved") != (kind_of(one.verdict) == "proved");
      if (result == 0 || is_flipped)
        fmt::print("group {}, case {}: expected {}\nfound {}\n", g, i, one.verdict.substr(0, 400),
                   found.substr(0, 400));
      if (is_flipped) return 3;
      result = 4;
    }
  return result;
}

}  // namespace

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() != 2 || (words[0] != "make" && words[0] != "check")) {
    fmt::print(stderr, "usage: checker_corpus make|check FILE\n");
    return 2;
  }
  try {
    const fs::path path = fs::absolute(words[1]);
    const verify::PrivateFolder folder;
    fs::current_path(folder.path());
    if (words[0] == "check") return check(read_corpus(path));
    const std::vector<Group> corpus = make_corpus(64);
    write_corpus(corpus, path);
    std::map<std::string, int> verdicts;
    for (const Group& group : corpus)
      for (const Case& one : group.cases) ++verdicts[std::string(kind_of(one.verdict))];
    for (const auto& [verdict, number] : verdicts) fmt::print("{}: {}\n", verdict, number);
    return 0;
  } catch (const std::exception& error) {
    fmt::print(stderr, "checker_corpus: {}\n", error.what());
    return 2;
  }
}
