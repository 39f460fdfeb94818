// Holds the pages to what they point at: every relative link leads to a file, and every operator
// has its page.
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace fs = std::filesystem;

namespace {

const fs::path kRoot = fs::path(LOCKSTEP_TEST_DATA).parent_path();

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int check_links(const fs::path& page) {
  const std::string text = text_of(page);
  const std::regex link(R"(\]\(([^)#\s]+)(#[^)]*)?\))");
  int checked = 0;
  for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
    const std::string target = (*it)[1];
    if (target.find("://") != std::string::npos) continue;
    ++checked;
    INFO(page.string(), " links to ", target);
    CHECK(fs::exists(page.parent_path() / target));
  }
  return checked;
}

}  // namespace

TEST_CASE("every relative link of README and docs leads to a file") {
  int checked = check_links(kRoot / "README.md");
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / "docs"))
    if (entry.path().extension() == ".md") checked += check_links(entry.path());
  CHECK(checked > 10);
}

TEST_CASE("the C++ guide shows the program that the test of the package compiles and runs") {
  const std::string program = text_of(kRoot / "tests/install/consumer/model_example.cpp");
  CHECK(program.size() > 500);
  CHECK(text_of(kRoot / "docs/guide/cpp.md").find("```cpp\n" + program + "```") !=
        std::string::npos);
}

TEST_CASE("every operator of op_list.def has its page in docs/ops") {
  const std::string list = text_of(kRoot / "intrt/include/intrt/op_list.def");
  const std::regex row(R"(INTRT_OP\(\d+, (\w+)\))");
  int operators = 0;
  for (std::sregex_iterator it(list.begin(), list.end(), row), end; it != end; ++it) {
    ++operators;
    INFO((*it)[1].str());
    CHECK(fs::exists(kRoot / "docs/ops" / ((*it)[1].str() + ".md")));
  }
  CHECK(operators >= 5);
}
