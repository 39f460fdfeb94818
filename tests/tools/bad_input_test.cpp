// Wrong input of every kind: each ends in one line on standard error that names the file or the
// layer, in the right exit code, without a partial output and without an old output that looks new.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "compile/checkpoint/state_dict.h"
#include "compile/support/files.h"
#include "compile/support/npy.h"
#include "tests/end_to_end/process.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;

const fs::path kNetwork = fs::path(LOCKSTEP_TEST_DATA) / "golden" / "nets" / "bias12";

// A folder with everything that the verbs need, all of it good, and an old output.
class Workplace {
 public:
  Workplace() {
    for (const char* file : {"graph.json", "state_dict.pt", "state_dict.safetensors"})
      fs::copy_file(kNetwork / file, folder_ / file);
    static const std::string plan = compiled_plan();
    write_text(folder_ / "net.plan", plan);
    const StateDict io = read_state_dict(kNetwork / "io.safetensors");
    const Tensor& input = io.at("v0.input_int");
    write_npy(folder_ / "x.npy", NpyArray<std::int32_t>{input.shape, input.int32s("input")});
    write_text(folder_ / "old", "an old output");
    before_ = files();
  }

  std::string file(const std::string& name) const { return (folder_ / name).string(); }
  const fs::path& path() const { return folder_.path(); }

  std::vector<std::string> compile(const std::string& weights = "state_dict.safetensors") const {
    return {kLockstep,     "compile", "--graph",   file("graph.json"), "--weights",
            file(weights), "--out",   file("old"), "--emit-c",         file("c")};
  }
  std::vector<std::string> run() const {
    return {kLockstep,     "run",      "--plan",    file("net.plan"), "--input",
            file("x.npy"), "--output", file("old"), "--dump-layers",  file("layers")};
  }
  std::vector<std::string> verify() const {
    return {kLockstep,   "verify",
            "--graph",   file("graph.json"),
            "--weights", file("state_dict.safetensors"),
            "--plan",    file("net.plan"),
            "--random",  "2",
            "--quiet"};
  }

  void keep_first_bytes(const std::string& name, std::size_t count) const {
    write_text(folder_ / name, read_text(folder_ / name).substr(0, count));
  }
  void replace(const std::string& name, const std::string& old_text,
               const std::string& new_text) const {
    std::string text = read_text(folder_ / name);
    const std::size_t at = text.find(old_text);
    REQUIRE(at != std::string::npos);
    write_text(folder_ / name, text.replace(at, old_text.size(), new_text));
  }
  // Rewrites the state dict entry by entry; `change` may alter an entry or drop it (return false).
  template <typename Change>
  void rewrite_state(const Change& change, const std::string& extra_key = "") const {
    const fs::path path = folder_ / "state_dict.safetensors";
    StateDict changed;
    const StateDict state = read_state_dict(path);
    for (auto [key, tensor] : state.entries())
      if (change(key, tensor)) changed.add(key, tensor);
    if (!extra_key.empty()) changed.add(extra_key, changed.entries().front().second);
    write_file_atomically(path, to_safetensors(changed));
  }

  // The command fails as promised: exit code, one line, these words; the old output is gone when
  // `output_goes`, and no file is there that was not there before.
  void check_failure(const std::vector<std::string>& command, const std::vector<std::string>& words,
                     bool output_goes = true, const RunSetup& setup = {}) const {
    const Finished finished = run_process(command, setup);
    INFO(command[1], ": ", finished.err);
    CHECK(finished.exit_code == 2);
    CHECK(finished.err.starts_with("lockstep: error: "));
    CHECK(line_count(finished.err) == 1);
    for (const std::string& word : words) {
      INFO("expected in the message: ", word);
      CHECK(finished.err.find(word) != std::string::npos);
    }
    std::set<std::string> expected = before_;
    if (output_goes) expected.erase("old");
    CHECK(files() == expected);
  }

 private:
  static std::string compiled_plan() {
    TemporaryFolder folder;
    const Finished compiled = run_process(
        {kLockstep, "compile", "--graph", (kNetwork / "graph.json").string(), "--weights",
         (kNetwork / "state_dict.pt").string(), "--out", (folder / "net.plan").string()});
    INFO(compiled.err);
    REQUIRE(compiled.exit_code == 0);
    return read_text(folder / "net.plan");
  }

  // Files below the folder, hidden ones too; empty folders do not count.
  std::set<std::string> files() const {
    std::set<std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path()))
      if (!entry.is_directory()) found.insert(fs::relative(entry.path(), folder_.path()).string());
    return found;
  }

  TemporaryFolder folder_;
  std::set<std::string> before_;
};

template <typename T>
void set_elements(Tensor& tensor, T value) {
  for (std::size_t i = 0; i + sizeof value <= tensor.bytes.size(); i += sizeof value)
    std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value,
                tensor.bytes.begin() + static_cast<std::ptrdiff_t>(i));
}

}  // namespace

TEST_CASE("the good files are good") {
  const Workplace work;
  for (const auto& command : {work.compile(), work.compile("state_dict.pt"), work.run()}) {
    const Finished finished = run_process(command);
    INFO(finished.err);
    CHECK(finished.exit_code == 0);
    CHECK(finished.err.empty());
  }
  CHECK(run_process(work.verify()).exit_code == 0);
}

TEST_CASE("a missing file is named") {
  for (const char* name : {"graph.json", "state_dict.safetensors"}) {
    const Workplace work;
    const auto compile = work.compile(), verify = work.verify();
    const std::string aside = work.file(name) + ".aside";
    fs::rename(work.file(name), aside);
    for (const auto& command : {compile, verify}) {
      const Finished finished = run_process(command);
      INFO(finished.err);
      CHECK(finished.exit_code == 2);
      CHECK(line_count(finished.err) == 1);
      CHECK(finished.err.find(work.file(name)) != std::string::npos);
    }
  }
  const Workplace work;
  work.check_failure({kLockstep, "bench", "--plan", work.file("no.plan")}, {"no.plan"}, false);
  work.check_failure({kLockstep, "inspect", work.file("no.pt")}, {"no.pt"}, false);
  work.check_failure({kLockstep, "run", "--plan", work.file("no.plan"), "--input",
                      work.file("x.npy"), "--output", work.file("old")},
                     {"no.plan"});
  work.check_failure({kLockstep, "run", "--plan", work.file("net.plan"), "--input",
                      work.file("no.npy"), "--output", work.file("old")},
                     {"no.npy"});
}

TEST_CASE("a truncated state dict is named, wherever it was cut") {
  for (const char* name : {"state_dict.pt", "state_dict.safetensors"}) {
    const Workplace good;
    const std::size_t size = read_text(good.file(name)).size();
    for (const std::size_t kept : {std::size_t{0}, std::size_t{1}, std::size_t{7}, std::size_t{9},
                                   size / 3, size / 2, size - 64, size - 1}) {
      const Workplace work;
      work.keep_first_bytes(name, kept);
      INFO(name, " cut to ", kept, " of ", size);
      work.check_failure(work.compile(name), {name});
      work.check_failure({kLockstep, "inspect", work.file(name)}, {name}, true);
    }
  }
}

TEST_CASE("a truncated graph, plan or array is named, wherever it was cut") {
  const Workplace good;
  for (const char* name : {"graph.json", "net.plan", "x.npy"}) {
    const std::size_t size = read_text(good.file(name)).size();
    for (const std::size_t kept :
         {std::size_t{0}, std::size_t{1}, std::size_t{9}, size / 3, size - 20, size - 3}) {
      const Workplace work;
      work.keep_first_bytes(name, kept);
      INFO(name, " cut to ", kept, " of ", size);
      const bool is_graph = std::string(name) == "graph.json";
      work.check_failure(is_graph ? work.compile() : work.run(), {name});
    }
  }
}

TEST_CASE("a state dict of another graph is refused by layer and key") {
  const auto refuse = [](const std::vector<std::string>& words, const auto& change,
                         const std::string& extra_key = "") {
    const Workplace work;
    work.rewrite_state(change, extra_key);
    work.check_failure(work.compile(), words);
    Finished verify = run_process(work.verify());
    INFO(verify.err);
    CHECK(verify.exit_code == 2);
    CHECK(line_count(verify.err) == 1);
    for (const std::string& word : words) CHECK(verify.err.find(word) != std::string::npos);
  };
  SUBCASE("missing key") {
    refuse({"c2", "quantize.decimal"},
           [](const std::string& key, Tensor&) { return key != "c2.quantize.decimal"; });
  }
  SUBCASE("extra key") {
    refuse(
        {"c9.weight"}, [](const std::string&, Tensor&) { return true; }, "c9.weight");
  }
  SUBCASE("wrong shape") {
    refuse({"c1", "weight"}, [](const std::string& key, Tensor& tensor) {
      if (key == "c1.weight") std::swap(tensor.shape.at(0), tensor.shape.at(2));
      return true;
    });
  }
  SUBCASE("wrong dtype") {
    refuse({"c1", "weight", "int32"}, [](const std::string& key, Tensor& tensor) {
      if (key == "c1.weight") tensor.dtype = Dtype::kInt32;
      return true;
    });
  }
  SUBCASE("a placeholder that no forward pass has filled") {
    refuse({"q2"}, [](const std::string& key, Tensor& tensor) {
      if (key != "q2.decimal") return true;
      tensor = {.dtype = Dtype::kInt32, .shape = {}, .bytes = std::vector<std::byte>(4)};
      set_elements(tensor, std::int32_t{-1});
      return true;
    });
  }
  SUBCASE("a quantizer that has not begun") {
    refuse({"q1"}, [](const std::string& key, Tensor& tensor) {
      if (key == "q1._quantized") set_elements(tensor, std::uint8_t{0});
      return true;
    });
  }
  SUBCASE("a decimal that is no integer") {
    refuse({"c1", "decimal"}, [](const std::string& key, Tensor& tensor) {
      if (key == "c1.quantize.decimal") set_elements(tensor, 2.5f);
      return true;
    });
  }
  SUBCASE("a weight that is no number") {
    refuse({"c1", "weight"}, [](const std::string& key, Tensor& tensor) {
      if (key == "c1.weight") set_elements(tensor, std::numeric_limits<float>::quiet_NaN());
      return true;
    });
  }
}

TEST_CASE("a graph that cannot be lowered exactly is refused by layer") {
  SUBCASE("unknown operator") {
    const Workplace work;
    work.replace("graph.json", "\"op\": \"relu\"", "\"op\": \"rely\"");
    work.check_failure(work.compile(), {"graph.json", "r1", "rely"});
  }
  SUBCASE("cycle") {
    const Workplace work;
    work.replace("graph.json", "\"inputs\": [\"input\"]", "\"inputs\": [\"m1\"]");
    work.check_failure(work.compile(), {"graph.json", "c1", "m1"});
  }
  SUBCASE("unquantized weight") {
    const Workplace work;
    // Without its wraps, the layer has neither quantizer nor entries for one.
    const std::string text = read_text(work.file("graph.json"));
    const std::size_t begin = text.find(",\n   \"wrap\""), end = text.find("]}", begin);
    REQUIRE(end != std::string::npos);
    write_text(work.file("graph.json"), text.substr(0, begin) + text.substr(end + 1));
    work.rewrite_state(
        [](const std::string& key, Tensor&) { return !key.starts_with("c1.quantize"); });
    work.check_failure(work.compile(), {"c1", "not quantized"});
  }
  SUBCASE("the same name twice") {
    const Workplace work;
    work.replace("graph.json", "\"name\": \"r1\"", "\"name\": \"q1\"");
    work.check_failure(work.compile(), {"graph.json", "q1"});
  }
}

TEST_CASE("input codes outside the declared range are named by position") {
  const Workplace work;
  NpyArray<std::int32_t> x{{2, 1, 12, 12}, std::vector<std::int32_t>(288, 127)};
  x.values[144 + 12 * 3 + 5] = 128;
  write_npy(work.file("x.npy"), x);
  work.check_failure(work.run(), {"x.npy", "(1, 0, 3, 5)", "128", "-128", "127", "'input'"});

  NpyArray<float> floats{{1, 12, 12}, std::vector<float>(144, 0.5f)};
  floats.values[7] = std::numeric_limits<float>::infinity();
  write_npy(work.file("x.npy"), floats);
  work.check_failure(work.run(), {"x.npy", "(0, 0, 7)", "finite"});

  write_npy(work.file("x.npy"), NpyArray<std::int32_t>{{12, 12}, std::vector<std::int32_t>(144)});
  work.check_failure(work.run(), {"x.npy", "(12, 12)", "(1, 12, 12)"});
}

TEST_CASE("a number that does not fit the input at all is refused, not saturated") {
  const Workplace work;
  NpyArray<float> floats{{1, 12, 12}, std::vector<float>(144, 0.5f)};
  floats.values[12] = 1e30f;
  write_npy(work.file("x.npy"), floats);
  work.check_failure(work.run(), {"x.npy", "(0, 1, 0)", "1e+30", "32 bits"});
}

TEST_CASE("a folder with the layers of another network takes no others") {
  const Workplace work;
  fs::create_directory(work.file("layers"));
  REQUIRE(run_process(work.run()).exit_code == 0);
  REQUIRE(run_process(work.run()).exit_code == 0);  // its own files are replaced
  fs::copy_file(work.file("x.npy"), work.file("layers/another.npy"));
  const Finished refused = run_process(work.run());
  CHECK(refused.exit_code == 2);
  CHECK(line_count(refused.err) == 1);
  CHECK(refused.err.find("layers/another.npy") != std::string::npos);
  CHECK_FALSE(fs::exists(work.file("old")));
  CHECK(fs::exists(work.file("layers/another.npy")));
}

TEST_CASE("an input that is no regular file is refused at once") {
  const Workplace work;
  for (const std::string& input : {std::string("/dev/zero"), work.path().string()}) {
    work.check_failure({kLockstep, "inspect", input}, {input}, false);
    work.check_failure({kLockstep, "bench", "--plan", input}, {input}, false);
  }
}

TEST_CASE("inspect says what it looked for in a file that is none of these") {
  const Workplace work;
  write_text(work.file("old"), "just some text, long enough");
  work.check_failure({kLockstep, "inspect", work.file("old")},
                     {"old", "plan", "graph", "state dict"}, false);
}

TEST_CASE("verify names the plan that does not open") {
  const Workplace work;
  work.keep_first_bytes("net.plan", 100);
  work.check_failure(work.verify(), {work.file("net.plan")}, false);
}

TEST_CASE("labels beyond the network's outputs are refused") {
  const Workplace work;
  write_npy(work.file("images.npy"),
            NpyArray<std::int32_t>{{12, 1, 12, 12}, std::vector<std::int32_t>(12 * 144)});
  NpyArray<std::int32_t> labels{{12}, std::vector<std::int32_t>(12, 3)};
  labels.values.back() = 4;
  write_npy(work.file("labels.npy"), labels);
  const Finished refused = [&] {
    std::vector<std::string> verify = work.verify();
    verify.insert(verify.end(),
                  {"--data", "npy:" + work.file("images.npy") + "," + work.file("labels.npy")});
    return run_process(verify);
  }();
  CHECK(refused.exit_code == 2);
  CHECK(line_count(refused.err) == 1);
  CHECK(refused.err.find("label 1 of the test part is 4") != std::string::npos);
}

TEST_CASE("C that fits no budget is not written") {
  for (const std::string kind : {"flash", "RAM"}) {
    const Workplace work;
    std::vector<std::string> command = work.compile();
    command.insert(command.end(), {kind == "RAM" ? "--ram-budget" : "--flash-budget", "10"});
    work.check_failure(command, {kind + " budget of 10"});
  }
}

TEST_CASE("wrong options are one line") {
  const Workplace work;
  const auto with = [](std::vector<std::string> command, std::vector<std::string> more) {
    command.insert(command.end(), more.begin(), more.end());
    return command;
  };
  work.check_failure({kLockstep}, {"--help"}, false);
  work.check_failure({kLockstep, "cook"}, {"cook"}, false);
  // An argument that nobody knows is named before one that is missing because of it.
  work.check_failure({kLockstep, "compile", "--grpah", "g.json"},
                     {"unknown argument '--grpah'", "lockstep compile --help"}, false);
  work.check_failure(with(work.compile(), {"surplus"}), {"unknown argument 'surplus'"}, false);
  work.check_failure(with(work.run(), {"--dump-layers"}), {"--dump-layers", "run --help"}, false);
  work.check_failure({kLockstep, "compile", "--graph"}, {"--graph: needs a value"}, false);
  work.check_failure(with(work.compile(), {"--out", work.file("old")}), {"--out: is given twice"},
                     false);
  work.check_failure({kLockstep, "inspect", ""}, {"file", "empty"}, false);
  work.check_failure({kLockstep, "compile", "--graph", work.file("graph.json"), "--weights", "",
                      "--out", work.file("old")},
                     {"--weights", "empty"}, false);
  work.check_failure(with(work.verify(), {"--targets", "host"}), {"--targets", "--c"}, false);
  work.check_failure(with(work.verify(), {"--data", "idx:"}), {"'idx:'", "idx:DIR"}, false);
  for (const std::string seed : {"-1", "18446744073709551616", "1e3", "0x10", " 1"})
    work.check_failure(with(work.verify(), {"--seed", seed}),
                       {"--seed " + seed, "18446744073709551615"}, false);
  for (const std::string images : {"9223372036854775808", "1000000001", "ten"})
    work.check_failure(with(work.verify(), {"--max-images", images}),
                       {"--max-images " + images, "1000000000"}, false);
  work.check_failure({kLockstep, "compile"}, {"--graph"}, false);
  work.check_failure({kLockstep, "compile", "--graph", work.file("graph.json"), "--weights",
                      work.file("state_dict.safetensors"), "--out", work.file("new.plan"),
                      "--target", "cortex-m4"},
                     {"--target cortex-m4", "needs --emit-c"}, false);
  for (const std::string host : {"portable", "x86-64-v4", "x86-64-v3"})
    work.check_failure(with(work.compile(), {"--target", host}),
                       {"--target " + host, "--emit-c", "'generic'", "'aarch64'"}, false);
  work.check_failure(with(work.compile(), {"--target", "z80"}), {"--target", "z80", "cortex-m4"},
                     false);
  work.check_failure(with(work.compile(), {"--flash-budget", "-1"}), {"--flash-budget"}, false);
  work.check_failure(with(work.compile(), {"--prefix", "1st"}), {"1st"}, false);
  work.check_failure(with(work.compile(), {"--print-after", "lunch"}), {"lunch", "lower"}, false);
  work.check_failure(with(work.run(), {"--kernels", "abacus"}), {"abacus", "scalar"}, false);
  work.check_failure(with(work.verify(), {"--accept", "hope"}), {"--accept", "hope"}, false);
  work.check_failure(with(work.verify(), {"--c", work.file("nowhere")}), {"nowhere"}, false);
  work.check_failure(with(work.verify(), {"--data", "fashion"}), {"fashion"}, false);
  for (const std::string random : {"9223372036854775807", "-1"}) {
    auto verify = work.verify();
    *std::ranges::find(verify, "2") = random;
    work.check_failure(verify, {"--random", random, "1000000"}, false);
  }
  work.check_failure(with(work.verify(), {"--max-images", "-1"}), {"--max-images", "-1"}, false);
  for (const std::string seconds : {"inf", "nan", "0", "-1", "3601"})
    work.check_failure({kLockstep, "bench", "--plan", work.file("net.plan"), "--seconds", seconds},
                       {"--seconds", "3600"}, false);
}

TEST_CASE("an unknown target is refused by name") {
  const Workplace work;
  auto verify = work.verify();
  REQUIRE(run_process(work.compile()).exit_code == 0);
  verify.insert(verify.end(), {"--c", work.file("c"), "--targets", "host,z80"});
  const Finished finished = run_process(verify);
  INFO(finished.err);
  CHECK(finished.exit_code == 2);
  CHECK(line_count(finished.err) == 1);
  CHECK(finished.err.find("z80") != std::string::npos);
}

TEST_CASE("an input is never overwritten by an output") {
  const Workplace work;
  auto compile = work.compile();
  compile[7] = work.file("graph.json");
  work.check_failure(compile, {"graph.json", "input"}, false);
  auto run = work.run();
  run[7] = work.path().string() + "/./x.npy";
  work.check_failure(run, {"x.npy", "input"}, false);
}

TEST_CASE("a folder that is not there or not writable is named") {
  const Workplace work;
  auto compile = work.compile();
  compile[7] = work.file("nowhere/net.plan");
  work.check_failure(compile, {"nowhere/net.plan"}, false);

  fs::permissions(work.path(), fs::perms::owner_read | fs::perms::owner_exec |
                                   fs::perms::others_read | fs::perms::others_exec);
  const RunSetup setup{.standard_output = {}, .without_root_rights = true};
  work.check_failure({kLockstep, "compile", "--graph", work.file("graph.json"), "--weights",
                      work.file("state_dict.pt"), "--out", work.file("new.plan")},
                     {"new.plan", "ermission denied"}, false, setup);
  work.check_failure(work.compile(), {"old", "ermission denied"}, false, setup);
  fs::permissions(work.path(), fs::perms::owner_all);
}

TEST_CASE("a full disk leaves nothing behind") {
  const Workplace work;
  auto compile = work.compile();
  compile[7] = "/dev/full";
  work.check_failure(compile, {"/dev/full", "No space left"}, false);
  CHECK(fs::exists("/dev/full"));

  const TemporaryFolder disk;
  if (::geteuid() != 0 || ::mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=4k") != 0) {
    MESSAGE("not root, or no right to mount: the tiny disk is not tested");
    return;
  }
  compile[7] = (disk / "net.plan").string();
  compile[9] = (disk / "c").string();
  work.check_failure(compile, {(disk / "c").string(), "No space left"}, false);
  CHECK(fs::is_empty(disk / "c"));
  CHECK_FALSE(fs::exists(disk / "net.plan"));
  CHECK(::umount(disk.path().c_str()) == 0);
}

TEST_CASE("standard output that takes nothing is an error") {
  const Workplace work;
  const RunSetup full{.standard_output = "/dev/full", .without_root_rights = false};
  work.check_failure({kLockstep, "--help"}, {"standard output", "No space left"}, false, full);
  work.check_failure({kLockstep, "compile", "--help"}, {"standard output"}, false, full);
  work.check_failure({kLockstep, "inspect", work.file("net.plan")}, {"standard output"}, false,
                     full);
  work.check_failure({kLockstep, "inspect", "--json", "--quiet", work.file("graph.json")},
                     {"standard output"}, false, full);
  work.check_failure(work.compile(), {"standard output"}, true, full);
}

TEST_CASE("an output behind a symbolic link goes, too, when the command fails") {
  const TemporaryFolder links;
  const Workplace work;
  auto compile = work.compile();
  compile[7] = (links / "link.plan").string();
  fs::create_symlink(work.file("old"), compile[7]);
  work.check_failure(compile, {"standard output"}, true,
                     {.standard_output = "/dev/full", .without_root_rights = false});
  CHECK(fs::is_symlink(compile[7]));
}

}  // namespace lockstep::test
