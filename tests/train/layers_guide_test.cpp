// docs/guide/layers.md shows lines of docs/examples/layers/layers.cpp and what they print. Both
// must be true.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <regex>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

const std::filesystem::path kRoot = std::filesystem::path(LOCKSTEP_TEST_DATA).parent_path();

// Without indentation and empty lines, which differ between a function's body and a page.
std::string bare_lines(const std::string& text) {
  static const std::regex indentation("(^|\n)[ \n]+");
  return std::regex_replace(text, indentation, "$1") + "\n";
}

// The blocks that open with ```kind.
std::vector<std::string> blocks(const std::string& page, const std::string& kind) {
  std::vector<std::string> found;
  const std::string opening = "\n```" + kind + "\n";
  for (std::size_t at = page.find(opening); at != std::string::npos; at = page.find(opening, at)) {
    at += opening.size();
    found.push_back(page.substr(at, page.find("\n```", at) - at));
  }
  return found;
}

}  // namespace

TEST_CASE("the guide's snippets are the example's, and their output is what it prints") {
  const std::string page = read_text(kRoot / "docs" / "guide" / "layers.md");
  const std::string source =
      bare_lines(read_text(kRoot / "docs" / "examples" / "layers" / "layers.cpp"));
  const Finished example = run_process({LOCKSTEP_LAYERS_EXAMPLE});
  CAPTURE(example.err);
  REQUIRE(example.exit_code == 0);
  const std::vector<std::string> snippets = blocks(page, "cpp"), outputs = blocks(page, "text");
  REQUIRE(outputs.size() == 9);
  CHECK(snippets.size() >= outputs.size());
  for (const std::string& snippet : snippets)
    CHECK_MESSAGE(source.find(bare_lines(snippet)) != std::string::npos, snippet);
  std::size_t at = 0;
  for (const std::string& output : outputs) {
    const std::size_t found = example.out.find("\n" + output + "\n", at);
    CHECK_MESSAGE(found != std::string::npos, output);
    if (found != std::string::npos) at = found + output.size();
  }
}

}  // namespace lockstep::test
