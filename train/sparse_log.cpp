#include "train/sparse_log.h"

#include <fmt/format.h>

#include <cstdio>
#include <mutex>

namespace lockstep::train {
namespace {

std::mutex options_mutex;
SparseOptions process_options;
thread_local LogCapture* innermost = nullptr;

}  // namespace

void set_sparse_options(SparseOptions options) {
  const std::lock_guard lock(options_mutex);
  process_options = std::move(options);
}

SparseOptions sparse_options() {
  const std::lock_guard lock(options_mutex);
  return process_options;
}

LogCapture::LogCapture(LogSink sink) : sink_(std::move(sink)), outer_(innermost) {
  innermost = this;
}

LogCapture::~LogCapture() { innermost = outer_; }

void log_line(LogKind kind, const std::string& line) {
  const SparseOptions options = sparse_options();
  if (kind == LogKind::kCreated && !options.log_on_created) return;
  if (innermost != nullptr) return innermost->sink_(kind, line);
  if (options.sink) return options.sink(kind, line);
  fmt::print(kind == LogKind::kWarning ? stderr : stdout, "{}\n", line);
}

}  // namespace lockstep::train
