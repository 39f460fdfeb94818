// What training tells: lines and a progress bar for people (on standard error), and log.jsonl for
// programs, one JSON object per line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace lockstep::train {

// On a terminal a bar that redraws itself; otherwise about ten plain lines per epoch.
class Reporter {
 public:
  explicit Reporter(bool quiet);
  ~Reporter();
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;

  void line(const std::string& text);

  struct Position {
    std::int64_t epoch = 0, epochs = 0;  // from 1
    std::int64_t step = 0, steps = 0;    // within the epoch, from 1
    double loss = 0, accuracy = 0;       // so far in this epoch
    double seconds_left = 0;             // of the whole training
  };
  void progress(const Position& position);

 private:
  void clear_bar();

  bool quiet_, terminal_;
  bool bar_shown_ = false;
};

// A bar and the figures in fewer than `columns` characters, so that the terminal never wraps the
// line: the bar shrinks first and goes where it would be too short to read, then the figures are
// cut.
std::string progress_line(const Reporter::Position& position, const std::string& figures,
                          std::size_t columns);

// The lines of log.jsonl. Kept in memory and written as a whole, so that the file is always
// complete.
class JsonLog {
 public:
  explicit JsonLog(std::filesystem::path path) : path_(std::move(path)) {}

  void add_step(std::int64_t step, double loss, double learning_rate,
                const std::vector<std::string>& events);
  void add_epoch(std::int64_t epoch, std::int64_t step, double loss, double train_accuracy,
                 double test_accuracy);
  // Takes over the lines of an earlier run's log up to `last_step`. False when there is no such
  // file.
  bool take_over(const std::filesystem::path& earlier, std::int64_t last_step);
  void write() const;

 private:
  std::filesystem::path path_;
  std::string text_;
};

}  // namespace lockstep::train
