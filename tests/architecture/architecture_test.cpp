// Holds the structure that docs/architecture.md promises: which part may include which, where
// LibTorch may be seen, what the freestanding runtime may include, and which top-level folders
// exist.
#include <doctest/doctest.h>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = fs::path(LOCKSTEP_TEST_DATA).parent_path();

// Each part and the parts that it may include besides itself. A part is a folder; the longest match
// counts, so "compile" is only the front door's own files.
const std::map<std::string, std::set<std::string>> kAllowed = {
    {"intrt", {}},
    {"compile/support", {}},
    {"compile/graph", {"compile/support"}},
    {"compile/checkpoint", {"compile/support", "compile/graph"}},
    {"compile/ir", {"compile/support", "compile/graph", "intrt"}},
    {"compile/ops",
     {"compile/support", "compile/graph", "compile/checkpoint", "compile/ir", "intrt"}},
    {"compile/passes",
     {"compile/support", "compile/graph", "compile/checkpoint", "compile/ir", "compile/ops",
      "intrt"}},
    {"compile/backends", {"compile/support", "compile/graph", "compile/ir", "intrt"}},
    {"compile",
     {"compile/support", "compile/graph", "compile/checkpoint", "compile/ir", "compile/passes",
      "compile/backends"}},
    {"train/datasets", {"compile/support", "compile/graph"}},
    {"train", {"compile/support", "compile/graph", "compile/checkpoint", "train/datasets"}},
    {"verify/checker", {"intrt"}},
    {"verify/plan_meaning", {"verify/checker"}},
    {"verify/signing", {"verify/checker"}},
    {"verify/mutate", {"verify/checker", "verify/plan_meaning", "intrt"}},
    {"verify/c_proof", {"verify/checker", "verify/plan_meaning", "intrt"}},
    {"verify", {"compile/support", "compile/graph", "compile/checkpoint", "intrt"}},
    {"tools",
     {"compile", "compile/support", "compile/graph", "compile/checkpoint", "compile/ir", "intrt",
      "train", "train/datasets", "verify", "verify/checker", "verify/c_proof", "verify/mutate",
      "verify/signing", "tools/model", "tools/zoo"}},
    {"tools/model", {"compile/support", "intrt"}},
    {"tools/zoo", {"compile/support", "compile/graph", "compile/checkpoint", "train/datasets"}},
    {"tools/bench",
     {"compile", "compile/support", "compile/graph", "compile/checkpoint", "compile/ir",
      "compile/backends", "intrt", "tools", "tools/model", "tools/zoo", "train", "verify",
      "verify/checker", "verify/c_proof", "verify/mutate"}},
};

std::string part_of(const std::string& path) {
  std::string best;
  for (const auto& [part, allowed] : kAllowed)
    if (path.rfind(part + "/", 0) == 0 && part.size() > best.size()) best = part;
  return best;
}

struct Include {
  std::string from, target;
  bool angle = false;
};

std::vector<Include> all_includes() {
  std::vector<Include> found;
  const std::regex pattern(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  for (const char* folder : {"train", "compile", "intrt", "verify", "tools"})
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension != ".h" && extension != ".cpp" && extension != ".c" && extension != ".inl")
        continue;
      std::ifstream file(entry.path());
      for (std::string line; std::getline(file, line);) {
        std::smatch match;
        if (std::regex_search(line, match, pattern))
          found.push_back({fs::relative(entry.path(), kRoot).string(), match[2], match[1] == "<"});
      }
    }
  return found;
}

}  // namespace

TEST_CASE("every include follows an allowed arrow between the parts") {
  int checked = 0;
  for (const Include& include : all_includes()) {
    if (include.angle) continue;
    const std::string from = part_of(include.from), to = part_of(include.target);
    if (to.empty()) continue;  // a header of the same folder or of the target itself
    ++checked;
    INFO(include.from, " includes ", include.target);
    CHECK((from == to || kAllowed.at(from).count(to) == 1));
  }
  CHECK(checked > 50);
}

TEST_CASE("no source outside tests includes anything of tests") {
  for (const Include& include : all_includes()) {
    INFO(include.from, " includes ", include.target);
    const fs::path beside = (kRoot / include.from).parent_path() / include.target;
    for (const fs::path& path : {kRoot / include.target, beside})
      CHECK(path.lexically_normal().lexically_relative(kRoot).begin()->string() != "tests");
  }
}

TEST_CASE("LibTorch headers are seen by train, verify/float_path and benchmarks of train only") {
  int seen = 0;
  for (const Include& include : all_includes()) {
    const bool torch = include.target.rfind("torch/", 0) == 0 ||
                       include.target.rfind("ATen/", 0) == 0 ||
                       include.target.rfind("c10/", 0) == 0;
    if (!torch) continue;
    ++seen;
    INFO(include.from, " includes ", include.target);
    const std::string part = part_of(include.from);
    CHECK((part == "train" || part == "tools/bench" ||
           include.from.rfind("verify/float_path/", 0) == 0));
  }
  CHECK(seen > 0);
}

// Micro-kernels are texts for generated C, which may use memcpy and a core's intrinsics; kernels
// for a host's instructions use that host's.
TEST_CASE("intrt includes nothing but itself, stdint.h and stddef.h") {
  int seen = 0;
  for (const Include& include : all_includes()) {
    if (part_of(include.from) != "intrt") continue;
    ++seen;
    INFO(include.from, " includes ", include.target);
    const bool is_micro_kernel = include.from.rfind("intrt/include/intrt/micro/", 0) == 0;
    const bool is_avx_kernel = include.from.rfind("intrt/kernels/avx", 0) == 0;
    const bool is_neon_kernel = include.from.rfind("intrt/kernels/neondot/", 0) == 0;
    if (include.angle)
      CHECK((include.target == "stdint.h" || include.target == "stddef.h" ||
             (is_micro_kernel && (include.target == "string.h" || include.target == "arm_mve.h" ||
                                  include.target == "arm_neon.h")) ||
             (is_avx_kernel && include.target == "immintrin.h") ||
             (is_neon_kernel && include.target == "arm_neon.h")));
    else
      CHECK(include.target.rfind("intrt/", 0) == 0);
  }
  CHECK(seen > 5);
}

// verify/signing has the library that signs and the one that looks at signatures.
TEST_CASE("lockstep-check cannot sign") {
  int seen = 0;
  for (const Include& include : all_includes()) {
    if (include.target.rfind("verify/signing/", 0) != 0) continue;
    if (include.from.rfind("tools/check/", 0) != 0 &&
        include.from.rfind("verify/signing/signature.", 0) != 0)
      continue;
    ++seen;
    INFO(include.from, " includes ", include.target);
    CHECK(include.target == "verify/signing/signature.h");
  }
  CHECK(seen == 2);
}

TEST_CASE("the top level holds the seven folders and nothing else") {
  const std::set<std::string> folders = {"train", "compile", "intrt", "verify",
                                         "tools", "tests",   "docs"};
  const std::set<std::string> ignored = {"build", "artifacts"};
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(kRoot)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name[0] != '.' && ignored.count(name) == 0) found.insert(name);
  }
  CHECK(found == folders);
}
