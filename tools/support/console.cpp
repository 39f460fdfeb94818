#include "tools/support/console.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "compile/support/error.h"

namespace lockstep::cli {
namespace {

// 0, or the errno of the write that failed.
int write_all(int descriptor, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

[[noreturn]] void standard_output_failed(int error) {
  throw InputError(fmt::format("standard output: {}", std::strerror(error)));
}

}  // namespace

void add_output_options(CLI::App& verb, OutputOptions& options) {
  verb.add_flag("--json", options.json, "Write one JSON object to standard output");
  verb.add_flag("--quiet", options.quiet, "Write no text for people");
}

void Console::print(std::string_view text) {
  if (options_.quiet) return;
  clear_progress();
  const std::string lines = fmt::format("{}\n", text);
  if (options_.json)
    write_standard_error(lines);
  else
    write_standard_output(lines);
}

void Console::progress(std::string_view line) {
  if (options_.quiet) return;
  if (::isatty(STDERR_FILENO) == 0) return write_standard_error(fmt::format("{}\n", line));
  clear_progress();
  write_standard_error(line);
  progress_shown_ = true;
}

void Console::clear_progress() noexcept {
  if (progress_shown_) write_standard_error("\r\x1b[K");  // to the line's start, erase the line
  progress_shown_ = false;
}

void Console::print_json(const nlohmann::ordered_json& object) {
  if (!options_.json) return;
  clear_progress();
  // Names come from files and may hold bytes that are no UTF-8; those are replaced, not thrown on.
  write_standard_output(
      object.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void write_standard_output(std::string_view text) {
  if (const int error = write_all(STDOUT_FILENO, text); error != 0) standard_output_failed(error);
}

void write_standard_error(std::string_view text) noexcept { (void)write_all(STDERR_FILENO, text); }

void close_standard_output() {
  if (::close(STDOUT_FILENO) != 0) standard_output_failed(errno);
}

void reserve_standard_streams() {
  // Read-only, so that a write to a stream that was closed fails as it would have done.
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream)
    if (::fcntl(stream, F_GETFD) < 0 && errno == EBADF)
      (void)::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace lockstep::cli
