// Files through POSIX calls, because std::ofstream hides write errors and cannot fsync.
//
// A temporary file is locked (flock) while its writer lives, so another writer of the same target
// can tell a leftover of a killed process from a file in use, whatever happened to process ids in
// between.
#include "compile/support/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "compile/support/error.h"
#include "compile/support/interruption.h"

namespace lockstep {
namespace {

[[noreturn]] void fail(const std::filesystem::path& path, std::string_view action, int error) {
  throw InputError(fmt::format("{}: cannot {}: {}", path.string(), action,
                               std::generic_category().message(error)));
}

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  bool is_open() const { return value_ >= 0; }
  int get() const { return value_; }
  // 0 or the errno: a network file system may report a failed write only here.
  int close() { return ::close(std::exchange(value_, -1)) == 0 ? 0 : errno; }

 private:
  int value_;
};

template <typename Call>
auto retry_when_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

void write_all(const Descriptor& file, std::span<const std::byte> bytes,
               const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written =
        retry_when_interrupted([&] { return ::write(file.get(), bytes.data(), bytes.size()); });
    if (written < 0) fail(path, "write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

// Devices, pipes and sockets cannot be replaced by renaming, and /dev/stdout names what it points
// to.
bool is_written_directly(const std::filesystem::path& path) {
  const std::string text = path.lexically_normal().string();
  if (text == "/dev/stdout" || text == "/dev/stderr" || text.starts_with("/dev/fd/")) return true;
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

void write_directly(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  Descriptor file(
      retry_when_interrupted([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); }));
  if (!file.is_open()) fail(path, "write", errno);
  write_all(file, bytes, path);
  if (::fsync(file.get()) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
    fail(path, "write", errno);  // EINVAL, EROFS, ENOTSUP: a pipe or terminal has nothing to sync
  if (const int error = file.close(); error != 0) fail(path, "write", error);
}

// All temporary files of one target begin alike. File names may have 255 bytes, so a long one is
// cut.
std::string temporary_prefix(const std::filesystem::path& path) {
  return fmt::format(".{}.lockstep-", path.filename().string().substr(0, 200));
}

bool is_temporary_name(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || !name.ends_with(".tmp")) return false;
  const std::string_view middle = name.substr(prefix.size(), name.size() - prefix.size() - 4);
  return !middle.empty() && middle.find_first_not_of("0123456789-") == std::string_view::npos;
}

void remove_stale_temporaries(const Descriptor& folder, const std::string& prefix) {
  const int listing = ::openat(folder.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (listing < 0) return;  // Cleaning up is a courtesy; the write itself reports what is wrong.
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(listing), ::closedir);
  if (!stream) {
    ::close(listing);
    return;
  }
  while (const dirent* entry = ::readdir(stream.get())) {
    if (!is_temporary_name(entry->d_name, prefix)) continue;
    const Descriptor file(
        ::openat(folder.get(), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (file.is_open() && ::flock(file.get(), LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(folder.get(), entry->d_name, 0);
  }
}

// A new, locked file in `folder`; removed by the destructor, or by an interrupt, unless it was
// renamed.
class TemporaryFile {
 public:
  TemporaryFile(const Descriptor& folder, const std::string& prefix,
                const std::filesystem::path& path)
      : folder_(folder) {
    const InterruptHold hold;
    for (int n = 0;; ++n) {
      name_ = fmt::format("{}{}-{}.tmp", prefix, ::getpid(), n);
      Descriptor file(retry_when_interrupted([&] {
        return ::openat(folder.get(), name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      }));
      if (!file.is_open() && errno == EEXIST) continue;
      if (!file.is_open()) fail(path, "write", errno);
      // Where the file system has no locks, nobody gets one, so nobody removes this file either.
      retry_when_interrupted([&] { return ::flock(file.get(), LOCK_EX); });
      struct stat status {};
      if (::fstat(file.get(), &status) == 0 && status.st_nlink == 0) continue;  // lost the race
      file_.emplace(std::move(file));
      undo_.emplace(hold, [at = folder.get(), name = name_] { ::unlinkat(at, name.c_str(), 0); });
      return;
    }
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!name_.empty()) ::unlinkat(folder_.get(), name_.c_str(), 0);
  }
  const Descriptor& file() const { return *file_; }
  // 0 or the errno.
  int rename_to(const std::string& target) {
    if (::renameat(folder_.get(), name_.c_str(), folder_.get(), target.c_str()) != 0) return errno;
    name_.clear();
    return 0;
  }

 private:
  const Descriptor& folder_;
  std::optional<Descriptor> file_;
  std::string name_;
  std::optional<UndoOnInterrupt> undo_;
};

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  // O_NONBLOCK: opening a pipe that nobody writes to must not wait.
  const Descriptor file(retry_when_interrupted(
      [&] { return ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC); }));
  struct stat status {};
  if (!file.is_open() || ::fstat(file.get(), &status) != 0) fail(path, "read", errno);
  if (S_ISDIR(status.st_mode)) fail(path, "read", EISDIR);
  if (!S_ISREG(status.st_mode))
    throw InputError(
        fmt::format("{}: cannot read: a device or pipe, not a regular file", path.string()));
  const auto too_large = [&] {
    return InputError(fmt::format("{}: larger than {} bytes, the limit for this kind of file",
                                  path.string(), limit_bytes));
  };
  if (static_cast<std::size_t>(status.st_size) > limit_bytes) throw too_large();

  // One byte more than the expected size lets the last read see the end of the file.
  constexpr std::size_t kLeast = 1 << 16;
  std::vector<std::byte> bytes(std::max(kLeast, static_cast<std::size_t>(status.st_size) + 1));
  std::size_t size = 0;
  for (;;) {
    if (size == bytes.size()) bytes.resize(2 * size);
    const ssize_t got = retry_when_interrupted(
        [&] { return ::read(file.get(), bytes.data() + size, bytes.size() - size); });
    if (got < 0) fail(path, "read", errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(got);
    if (size > limit_bytes) throw too_large();
  }
  bytes.resize(size);
  return bytes;
}

std::string read_text_file(const std::filesystem::path& path, std::size_t limit_bytes) {
  const std::vector<std::byte> bytes = read_file(path, limit_bytes);
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<std::filesystem::path> replaced_file(const std::filesystem::path& path) {
  if (is_written_directly(path)) return std::nullopt;
  constexpr int kMaxLinks = 40;  // Linux's own limit
  std::error_code error;
  std::filesystem::path target = path;
  for (int links = 0; std::filesystem::is_symlink(target, error); ++links) {
    if (links == kMaxLinks) fail(path, "write", ELOOP);
    const std::filesystem::path next = std::filesystem::read_symlink(target, error);
    if (error) fail(path, "write", error.value());
    target = target.parent_path() / next;
  }
  return target;
}

void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  const std::optional<std::filesystem::path> replaced = replaced_file(path);
  if (!replaced) return write_directly(path, bytes);
  const std::filesystem::path& target = *replaced;
  std::error_code ignored;
  if (std::filesystem::is_directory(target, ignored)) fail(path, "write", EISDIR);
  const std::string name = target.filename().string();
  if (name.empty()) fail(path, "write", EISDIR);

  const std::filesystem::path folder_path =
      target.has_parent_path() ? target.parent_path() : std::filesystem::path(".");
  const Descriptor folder(retry_when_interrupted(
      [&] { return ::open(folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!folder.is_open()) fail(path, "write", errno);

  const std::string prefix = temporary_prefix(target);
  remove_stale_temporaries(folder, prefix);
  TemporaryFile temporary(folder, prefix, path);
  struct stat old_status {};
  if (::fstatat(folder.get(), name.c_str(), &old_status, 0) == 0 &&
      ::fchmod(temporary.file().get(), old_status.st_mode & 0777) != 0)
    fail(path, "write", errno);
  write_all(temporary.file(), bytes, path);
  if (::fsync(temporary.file().get()) != 0) fail(path, "write", errno);
  if (const int error = temporary.rename_to(name); error != 0) fail(path, "write", error);
  if (::fsync(folder.get()) != 0 && errno != EINVAL) fail(path, "write", errno);
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

void remove_old_output(const std::filesystem::path& path) {
  const std::optional<std::filesystem::path> file = replaced_file(path);
  if (file && ::unlink(file->c_str()) != 0 && errno != ENOENT)
    fail(path, "remove the old output", errno);
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  const int succeeded =
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  LOCKSTEP_ASSERT(succeeded == 1 && size == 32);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace lockstep
