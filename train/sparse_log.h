// What quantize and prune layers say, and where it goes: QSPARSE's lines, word for word.
//
// By default a line goes to standard output and a warning to standard error. A program redirects
// both with set_sparse_options; a part of it that wants the lines for itself takes a LogCapture.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lockstep::train {

enum class LogKind : std::uint8_t { kCreated, kProgress, kWarning };
using LogSink = std::function<void(LogKind kind, const std::string& line)>;

// Of the whole process, as QSPARSE's set_qsparse_options.
struct SparseOptions {
  bool log_on_created = true;  // one line for each layer that is made
  LogSink sink = {};           // empty: standard output and standard error
};
void set_sparse_options(SparseOptions options);
SparseOptions sparse_options();

// While it lives, the lines of this thread go to `sink` instead. The innermost one counts.
class LogCapture {
 public:
  explicit LogCapture(LogSink sink);
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

 private:
  friend void log_line(LogKind kind, const std::string& line);
  LogSink sink_;
  LogCapture* outer_;
};

// For the layers. A kCreated line is dropped when log_on_created is off.
void log_line(LogKind kind, const std::string& line);

}  // namespace lockstep::train
