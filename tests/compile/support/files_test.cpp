#include "compile/support/files.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sys/resource.h>
#include <algorithm>
#include <csignal>

#include "tests/support/input_error.h"
#include "tests/support/temporary_folder.h"

using namespace lockstep;
using test::contains;
using test::input_error_of;
using test::TemporaryFolder;

namespace {

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

}  // namespace

TEST_CASE("a written file is read back and no temporary file stays") {
  const TemporaryFolder folder;
  for (const std::string text : {"", "one", "two\nlines"}) {
    write_file_atomically(folder / "a.txt", text);
    CHECK(read_text_file(folder / "a.txt") == text);
    CHECK(names_in(folder.path()) == std::vector<std::string>{"a.txt"});
  }
  const std::string large(3 << 20, 'x');
  write_file_atomically(folder / "a.txt", large);
  CHECK(read_text_file(folder / "a.txt") == large);
}

TEST_CASE("a file name of 255 bytes can be written") {
  const TemporaryFolder folder;
  const std::string name(255, 'n');
  write_file_atomically(folder / name, "text");
  CHECK(names_in(folder.path()) == std::vector<std::string>{name});
}

TEST_CASE("reading names the path and the reason") {
  const TemporaryFolder folder;
  const std::string path = (folder / "absent").string();
  CHECK(input_error_of([&] { read_file(path); }) ==
        path + ": cannot read: No such file or directory");
  CHECK(contains(input_error_of([&] { read_file(folder.path()); }), "Is a directory"));
  CHECK(contains(input_error_of([&] { read_file(""); }), "cannot read"));
  write_file_atomically(folder / "five", "12345");
  CHECK(read_file(folder / "five", 5).size() == 5);
  CHECK(contains(input_error_of([&] { read_file(folder / "five", 4); }), "larger than 4 bytes"));
  // Neither has an end; nobody writes to the pipe, and it must not be waited for.
  CHECK(input_error_of([&] { read_file("/dev/zero"); }) ==
        "/dev/zero: cannot read: a device or pipe, not a regular file");
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(contains(input_error_of([&] { read_file(folder / "pipe"); }), "not a regular file"));
}

TEST_CASE("a full device is an error, not a success") {
  CHECK(input_error_of([] { write_file_atomically("/dev/full", "text"); }) ==
        "/dev/full: cannot write: No space left on device");
  write_file_atomically("/dev/null", "text");
  CHECK(std::filesystem::is_character_file("/dev/null"));
}

TEST_CASE("writing into a missing folder, a file or over a folder is refused") {
  const TemporaryFolder folder;
  CHECK(contains(input_error_of([&] { write_file_atomically(folder / "no" / "a", "x"); }),
                 "No such file or directory"));
  write_file_atomically(folder / "file", "x");
  CHECK(contains(input_error_of([&] { write_file_atomically(folder / "file" / "a", "x"); }),
                 "Not a directory"));
  std::filesystem::create_directory(folder / "sub");
  CHECK(contains(input_error_of([&] { write_file_atomically(folder / "sub", "x"); }),
                 "Is a directory"));
  CHECK(names_in(folder.path()) == std::vector<std::string>{"file", "sub"});
}

// RLIMIT_FSIZE makes write() fail in the middle, as a full disk does.
TEST_CASE("a write that fails in the middle leaves the old file and nothing else") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "plan", "old");
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const std::string message =
        input_error_of([&] { write_file_atomically(folder / "plan", std::string(100'000, 'x')); });
    ::_exit(contains(message, "plan: cannot write: File too large") ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(read_text_file(folder / "plan") == "old");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"plan"});
}

TEST_CASE("what a killed writer left is removed, what a living one holds is not") {
  const TemporaryFolder folder;
  const std::string stale = ".plan.lockstep-1-0.tmp", live = ".plan.lockstep-1-1.tmp",
                    other = ".other.lockstep-1-0.tmp", lookalike = ".plan.lockstep-notes.tmp";
  for (const std::string& name : {stale, live, other, lookalike})
    ::close(::open((folder / name).c_str(), O_CREAT | O_WRONLY, 0600));
  const int held = ::open((folder / live).c_str(), O_RDONLY);
  REQUIRE(::flock(held, LOCK_EX) == 0);
  write_file_atomically(folder / "plan", "new");
  CHECK(names_in(folder.path()) == std::vector<std::string>{other, live, lookalike, "plan"});
  ::close(held);
  write_file_atomically(folder / "plan", "newer");
  CHECK(names_in(folder.path()) == std::vector<std::string>{other, lookalike, "plan"});
}

TEST_CASE("an old file's permissions and a symbolic link survive") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "target", "old");
  std::filesystem::permissions(folder / "target", std::filesystem::perms(0640));
  std::filesystem::create_symlink("target", folder / "link");
  write_file_atomically(folder / "link", "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));
  CHECK(read_text_file(folder / "target") == "new");
  CHECK(std::filesystem::status(folder / "target").permissions() == std::filesystem::perms(0640));
}

TEST_CASE("remove_old_output removes files, tolerates absence and spares devices") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "old", "x");
  remove_old_output(folder / "old");
  remove_old_output(folder / "old");
  CHECK(names_in(folder.path()).empty());
  remove_old_output("/dev/null");
  CHECK(std::filesystem::exists("/dev/null"));
  CHECK(contains(input_error_of([&] { remove_old_output(folder.path()); }), "old output"));
}

TEST_CASE("remove_old_output removes what a symbolic link points to, and the link stays") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "target", "old");
  std::filesystem::create_symlink("target", folder / "link");
  std::filesystem::create_symlink("link", folder / "link to link");
  remove_old_output(folder / "link to link");
  CHECK(names_in(folder.path()) == std::vector<std::string>{"link", "link to link"});
  remove_old_output(folder / "link to link");  // nothing is there any more
  write_file_atomically(folder / "link to link", "new");
  CHECK(read_text_file(folder / "target") == "new");
  CHECK(std::filesystem::is_symlink(folder / "link"));

  std::filesystem::create_symlink("loop", folder / "loop");
  CHECK(contains(input_error_of([&] { remove_old_output(folder / "loop"); }), "symbolic links"));
}

TEST_CASE("replaced_file is what stands at the end of the links, there or not") {
  const TemporaryFolder folder;
  CHECK(replaced_file(folder / "net.plan") == folder / "net.plan");
  std::filesystem::create_symlink("real.plan", folder / "link");
  std::filesystem::create_symlink(folder / "link", folder / "link to link");
  CHECK(replaced_file(folder / "link to link") == folder / "real.plan");

  std::filesystem::create_symlink("/dev/null", folder / "nothing");
  for (const std::filesystem::path& direct :
       {folder / "nothing", std::filesystem::path("/dev/full"),
        std::filesystem::path("/dev/stdout")})
    CHECK_FALSE(replaced_file(direct));
}

TEST_CASE("sha256_hex gives the published digests") {  // FIPS 180-4, examples
  CHECK(sha256_hex({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string text = "abc";
  CHECK(sha256_hex(std::as_bytes(std::span(text))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
