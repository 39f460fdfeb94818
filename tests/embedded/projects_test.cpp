// The projects that compile --project makes: each is built with its tools as a person would build
// it, and runs: firmware in the emulator, the others with stubs of what they are made for.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "compile/support/files.h"
#include "tests/end_to_end/process.h"
#include "tests/support/golden_net.h"
#include "tests/support/input_error.h"

namespace lockstep::test {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const std::string kStubs = std::string(LOCKSTEP_TEST_DATA) + "/embedded/stubs";

// A project of a recorded network.
class Project {
 public:
  explicit Project(const std::string& style, const std::string& target = "generic",
                   const std::string& prefix = "net", const std::string& network = "bias12")
      : style_(style), target_(target), prefix_(prefix), source_(golden_folder() / network) {
    const Finished made = make();
    REQUIRE_MESSAGE(made.exit_code == 0, made.err);
    new_files = Json::parse(made.out).at("project_files").get<std::vector<std::string>>();
  }

  Finished make() const {
    return run_process({kLockstep, "compile", "--graph", (source_ / "graph.json").string(),
                        "--weights", (source_ / "state_dict.safetensors").string(), "--out",
                        file("net.plan"), "--emit-c", file(""), "--prefix", prefix_, "--target",
                        target_, "--project", style_, "--json", "--quiet"});
  }
  std::string file(const std::string& name) const { return (folder_ / name).string(); }

  std::vector<std::string> new_files;

 private:
  TemporaryFolder folder_;
  std::string style_, target_, prefix_;
  fs::path source_;
};

Finished run_found(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "/usr/bin/env");  // which looks for the program
  return run_process(arguments);
}

// What it printed, to either of its outputs, where it succeeded.
std::string run(const std::vector<std::string>& arguments) {
  const Finished finished = run_found(arguments);
  REQUIRE_MESSAGE(finished.exit_code == 0, finished.out, finished.err);
  CHECK_MESSAGE(!contains(finished.err, "warning"), finished.err);
  return finished.out + finished.err;
}

void check_output(const std::string& text) {
  CHECK_MESSAGE(contains(text, "self test passed\n"), text);
  CHECK_MESSAGE(contains(text, "largest output: number "), text);
}

}  // namespace

TEST_CASE("make: firmware for each core is built and runs in the emulator") {
  for (const std::string core : {"generic", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7",
                                 "cortex-m33", "cortex-m55", "rv32imc"}) {
    INFO(core);
    const Project project("make", core);
    check_output(run({"make", "-C", project.file(""), "run"}));
    run({"make", "-C", project.file(""), "clean"});
    CHECK(!fs::exists(project.file("build")));
  }
}

TEST_CASE("make: the firmware's result says that a weight is another") {
  const Project project("make", "cortex-m4");
  std::string source = read_text_file(project.file("src/net.c"));
  const std::size_t weights = source.find("_weight[");
  REQUIRE(weights != std::string::npos);
  const std::size_t first = source.find_first_of("123456789", source.find('{', weights));
  source[first] = source[first] == '1' ? '2' : '1';
  write_file_atomically(project.file("src/net.c"), source);
  const Finished finished = run_found({"make", "-C", project.file(""), "run"});
  CHECK(finished.exit_code == 2);
  CHECK(contains(finished.err, "self test FAILED"));
}

TEST_CASE("cmake: the toolchain file builds firmware that ctest runs, and the library alone") {
  for (const std::string core : {"cortex-m4", "rv32imc"}) {
    INFO(core);
    const Project project("cmake", core, "kws");
    const std::string folder = project.file(""), build = project.file("build");
    run({"cmake", "-S", folder, "-B", build, "--toolchain", project.file("toolchain.cmake")});
    run({"cmake", "--build", build});
    check_output(run({"ctest", "--test-dir", build, "--verbose"}));
  }
  const Project project("cmake");
  run({"cmake", "-S", project.file(""), "-B", project.file("host")});
  run({"cmake", "--build", project.file("host")});
  CHECK(fs::exists(project.file("host/libnetwork.a")));

  // Within a project of somebody else, for a core: the library, its headers and nothing more.
  const TemporaryFolder mine;
  const fs::path build = mine / "build";
  write_file_atomically(
      mine / "CMakeLists.txt",
      "cmake_minimum_required(VERSION 3.21)\nproject(mine C)\ninclude_directories(SYSTEM " +
          project.file("board/freestanding") + ")\nadd_subdirectory(" + project.file("") +
          " network)\nadd_library(mine STATIC mine.c)\n" + "target_link_libraries(mine network)\n");
  write_file_atomically(mine / "mine.c",
                        "#include \"net_io.h\"\nNET_ARENA(a);\nvoid f(void);\n"
                        "void f(void) { net_run(a); }\n");
  run({"cmake", "-S", mine.path().string(), "-B", build.string(), "--toolchain",
       project.file("toolchain.cmake")});
  run({"cmake", "--build", build.string()});
  CHECK(fs::exists(build / "libmine.a"));
  CHECK(!fs::exists(build / "network/firmware.elf"));
}

TEST_CASE("zephyr: the module and its application are built with a stub of Zephyr") {
  for (const std::string prefix : {"net", "kws"}) {
    INFO(prefix);
    const Project project("zephyr", "cortex-m33", prefix);
    const std::string build = project.file("build");
    const auto configure = [&] {
      return std::vector<std::string>{"cmake",
                                      "-S",
                                      project.file("app"),
                                      "-B",
                                      build,
                                      "-DZephyr_DIR=" + kStubs + "/zephyr",
                                      "-DCMAKE_C_FLAGS=-Wall -Wextra -Werror"};
    };
    run(configure());
    run({"cmake", "--build", build});
    check_output(run({build + "/app"}));

    write_file_atomically(project.file("app/prj.conf"), "CONFIG_LOCKSTEP_OTHER=y\n");
    CHECK(contains(run_found(configure()).err, "no Kconfig file declares it"));
  }
}

TEST_CASE("arduino: the library and its sketch are built with a stub of Arduino's core") {
  for (const std::string prefix : {"net", "kws"}) {
    INFO(prefix);
    const Project project("arduino", "cortex-m4", prefix);
    const std::string properties = read_text_file(project.file("library.properties"));
    CHECK(contains(properties, "name=Lockstep_" + prefix + "\n"));
    CHECK(contains(properties, "includes=" + prefix + "_io.h\n"));
    const std::vector<std::string> flags = {
        "-Wall", "-Wextra", "-Werror", "-I", project.file("src"), "-I", kStubs + "/arduino"};
    std::vector<std::string> link = {"g++", "-o", project.file("sketch")};
    const auto compile = [&](std::vector<std::string> command, const std::string& source) {
      command.insert(command.end(), flags.begin(), flags.end());
      const std::string object = project.file(fs::path(source).filename().string() + ".o");
      for (const std::string& argument : {std::string("-c"), source, std::string("-o"), object})
        command.push_back(argument);
      run(command);
      link.push_back(object);
    };
    for (const fs::directory_entry& entry : fs::directory_iterator(project.file("src")))
      if (entry.path().extension() == ".c") compile({"gcc", "-std=c11"}, entry.path().string());
    compile({"g++", "-std=c++11"}, kStubs + "/arduino/core.cpp");
    compile({"g++", "-std=c++11", "-include", "Arduino.h", "-x", "c++"},
            project.file("examples/network/network.ino"));
    run(link);
    check_output(run({project.file("sketch")}));
  }
}

TEST_CASE("files of a project that are there stay, and the network is written anew") {
  const Project project("make", "cortex-m4");
  CHECK(project.new_files.size() == 9);
  for (const std::string& file : project.new_files) CHECK(fs::exists(file));
  write_file_atomically(project.file("main.c"), "int mine;\n");
  write_file_atomically(project.file("src/net.c"), "old\n");
  fs::remove(project.file("Makefile"));
  const Finished again = project.make();
  CHECK(again.exit_code == 0);
  CHECK(Json::parse(again.out).at("project_files") == Json{project.file("Makefile")});
  CHECK(read_text_file(project.file("main.c")) == "int mine;\n");
  CHECK(contains(read_text_file(project.file("src/net.c")), "net_run"));
}

TEST_CASE("what cannot be made is refused") {
  const fs::path source = golden_folder() / "bias12";
  const TemporaryFolder folder;
  std::vector<std::string> arguments = {kLockstep,   "compile",
                                        "--graph",   (source / "graph.json").string(),
                                        "--weights", (source / "state_dict.safetensors").string(),
                                        "--out",     (folder / "net.plan").string(),
                                        "--project", "make"};
  const auto error_of = [&] {
    const Finished finished = run_process(arguments);
    CHECK(finished.exit_code == 2);
    return finished.err;
  };
  CHECK(contains(error_of(), "need --emit-c"));
  for (const std::string& more : {std::string("--emit-c"), (folder / "c").string(),
                                  std::string("--target"), std::string("aarch64")})
    arguments.push_back(more);
  CHECK(contains(error_of(), "aarch64 is none"));
  CHECK(!fs::exists(folder / "net.plan"));
  arguments[9] = "autosar";
  CHECK(contains(error_of(), "--project"));
}

}  // namespace lockstep::test
