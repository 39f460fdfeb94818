#include "train/meeting_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <thread>

#include "compile/support/error.h"
#include "compile/support/printable.h"

namespace lockstep::train {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Between making the file and its first entry a process does nothing else.
constexpr milliseconds kFirstEntryTime{5000};
constexpr milliseconds kPollEvery{10};

[[noreturn]] void refuse(const std::string& path, std::string_view reason) {
  throw InputError(fmt::format("init method file://{}: {}", printable(path), reason));
}

[[noreturn]] void refuse_system_error(const std::string& path) {
  refuse(path, std::generic_category().message(errno));
}

class OpenFile {
 public:
  OpenFile(const std::string& path, int flags)
      : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~OpenFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// FileStore's format: keys and values in turn, each behind its length in 32 bits of this machine's
// order; keys begin with '/', or '-' where one is deleted.
bool holds_entries(int file, std::int64_t size) {
  std::int64_t at = 0;
  for (bool is_key = true; at < size; is_key = !is_key) {
    std::uint32_t length = 0;
    if (::pread(file, &length, sizeof length, at) != sizeof length) return false;
    at += static_cast<std::int64_t>(sizeof length);
    char first = 0;
    if (is_key &&
        (length == 0 || ::pread(file, &first, 1, at) != 1 || (first != '/' && first != '-')))
      return false;
    at += length;
    if (!is_key && at == size) return true;
  }
  return false;
}

}  // namespace

bool make_meeting_file(const std::string& path) {
  const OpenFile file(path, O_RDWR | O_CREAT | O_EXCL);
  if (!file.is_open() && errno != EEXIST) refuse_system_error(path);
  return file.is_open();
}

void require_meeting_file(const std::string& path, milliseconds timeout) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    refuse_system_error(path);
  }
  if (S_ISDIR(status.st_mode)) refuse(path, "is a folder; name a file in it");
  if (!S_ISREG(status.st_mode)) refuse(path, "is not a regular file");
  const OpenFile file(path, O_RDWR | O_NONBLOCK);
  if (!file.is_open()) {
    if (errno == ENOENT) return;
    refuse_system_error(path);
  }
  const Clock::time_point end = Clock::now() + std::min(timeout, kFirstEntryTime);
  bool was_locked = true;
  while (true) {
    // Who writes has the lock, so that entries are seen whole.
    was_locked = ::flock(file.descriptor(), LOCK_SH | LOCK_NB) != 0;
    if (was_locked && errno != EWOULDBLOCK && errno != EINTR) refuse_system_error(path);
    if (!was_locked) {
      if (::fstat(file.descriptor(), &status) != 0) refuse_system_error(path);
      if (status.st_size > 0) break;
      ::flock(file.descriptor(), LOCK_UN);
    }
    if (Clock::now() > end)
      refuse(path, was_locked ? "another process has locked the file and keeps it"
                              : "the file is there already, and empty; name one that is not there");
    std::this_thread::sleep_for(kPollEvery);
  }
  if (!holds_entries(file.descriptor(), status.st_size))
    refuse(path, "the file is there already, and no meeting point; name one that is not there");
}

}  // namespace lockstep::train
