// docs/exit-codes.md as a test: every command of its table ends with the code and the message that
// stand beside it.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstddef>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/files.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const fs::path kData = LOCKSTEP_TEST_DATA;

struct Row {
  std::string situation, command, message;
  int code = 0;
};

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" `"), last = text.find_last_not_of(" `");
  return first == std::string::npos ? "" : text.substr(first, last - first + 1);
}

std::vector<Row> rows() {
  std::istringstream lines(read_text(kData.parent_path() / "docs" / "exit-codes.md"));
  std::vector<Row> result;
  bool in_table = false;
  for (std::string line; std::getline(lines, line);) {
    in_table = in_table || line.starts_with("| situation");
    if (!in_table || !line.starts_with("| ") || line.starts_with("| situation")) continue;
    std::vector<std::string> cells;
    std::istringstream rest(line.substr(1));
    for (std::string cell; std::getline(rest, cell, '|');) cells.push_back(trimmed(cell));
    REQUIRE(cells.size() == 4);
    result.push_back({cells[0], cells[1], cells[3], std::stoi(cells[2])});
  }
  return result;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

std::string last_line(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

// A shell in `folder` that finds lockstep.
Finished shell(const fs::path& folder, std::string command) {
  replace_all(command, "V --", "lockstep verify --graph graph.json --weights state.pt --");
  replace_all(command, " N", " --random 2");
  const std::string script = fmt::format("cd '{}' || exit 99\nPATH={}:$PATH\n{}\n", folder.string(),
                                         fs::path(kLockstep).parent_path().string(), command);
  return run_process({"/bin/sh", "-c", script, kLockstep});
}

void require_ok(const Finished& finished) {
  INFO(finished.out, finished.err);
  REQUIRE(finished.exit_code == 0);
}

void make_network(const fs::path& folder, const std::string& name) {
  fs::create_directories(folder);
  const fs::path from = kData / "golden" / "nets" / name;
  fs::copy_file(from / "graph.json", folder / "graph.json");
  fs::copy_file(from / "state_dict.pt", folder / "state.pt");
  require_ok(shell(folder,
                   "lockstep compile --graph graph.json --weights state.pt --out net.plan "
                   "--emit-c c --quiet"));
}

// The plan of a state dict in which one weight has the other sign.
void make_changed_plan(const fs::path& folder) {
  StateDict changed;
  const StateDict state = read_state_dict(folder / "state.pt");
  for (auto [key, tensor] : state.entries()) {
    if (key == "c1.weight") tensor.bytes.at(3) ^= std::byte{0x80};
    changed.add(key, tensor);
  }
  write_file_atomically(folder / "changed.state", to_safetensors(changed));
  require_ok(shell(folder,
                   "lockstep compile --graph graph.json --weights changed.state --out changed.plan "
                   "--quiet"));
}

}  // namespace

TEST_CASE("every situation ends with its exit code and message") {
  const TemporaryFolder good;
  make_network(good.path(), "bias12");
  make_network(good / "other", "left_shift");
  make_changed_plan(good.path());
  require_ok(shell(good.path(), "V --plan net.plan N --c c --certificate C.json"));

  const std::vector<Row> table = rows();
  CHECK(table.size() >= 40);
  for (const Row& row : table) {
    const TemporaryFolder folder;
    fs::copy(good.path(), folder.path(), fs::copy_options::recursive);
    const Finished finished = shell(folder.path(), row.command);
    INFO(row.situation, ": ", row.command, "\n", finished.out, finished.err);
    CHECK(finished.exit_code == row.code);
    CHECK((finished.out + finished.err).find(row.message) != std::string::npos);
    if (row.code == 2) CHECK(last_line(finished.err).starts_with("lockstep: error: "));
  }
}

}  // namespace lockstep::test
