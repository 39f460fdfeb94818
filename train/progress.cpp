#include "train/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "compile/support/error.h"
#include "compile/support/files.h"

namespace lockstep::train {

using nlohmann::ordered_json;

namespace {

constexpr std::size_t kMostLogBytes = std::size_t{4} << 30;

// Columns of the terminal at stderr; 80 where it does not say.
std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(const Reporter::Position& p, const std::string& figures,
                          std::size_t columns) {
  constexpr std::size_t kMostBar = 24, kLeastBar = 8, kFrame = 3;  // "[", "]", " "
  const std::size_t room = columns > 0 ? columns - 1 : 0;          // the last column would wrap
  const std::size_t taken = figures.size() + kFrame;
  const std::size_t width = std::min(kMostBar, room > taken ? room - taken : 0);
  if (width < kLeastBar) return figures.substr(0, room);
  const std::size_t filled = width * static_cast<std::size_t>(p.step) /
                             static_cast<std::size_t>(std::max<std::int64_t>(1, p.steps));
  return fmt::format("[{:<{}}] {}", std::string(filled, '='), width, figures);
}

Reporter::Reporter(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

Reporter::~Reporter() { clear_bar(); }

void Reporter::clear_bar() {
  if (bar_shown_) std::fputs("\r\033[K", stderr);
  bar_shown_ = false;
}

void Reporter::line(const std::string& text) {
  if (quiet_) return;
  clear_bar();
  std::fputs((text + "\n").c_str(), stderr);
  std::fflush(stderr);
}

void Reporter::progress(const Position& p) {
  if (quiet_) return;
  const std::string figures =
      fmt::format("epoch {}/{}  step {}/{}  loss {:.3f}  accuracy {:.2f} %  {:.0f} s left", p.epoch,
                  p.epochs, p.step, p.steps, p.loss, 100 * p.accuracy, p.seconds_left);
  if (!terminal_) {
    const std::int64_t stride = std::max<std::int64_t>(1, p.steps / 10);
    if (p.step % stride == 0) line(figures);
    return;
  }
  std::fputs(("\r\033[K" + progress_line(p, figures, terminal_columns())).c_str(), stderr);
  std::fflush(stderr);
  bar_shown_ = true;
}

void JsonLog::add_step(std::int64_t step, double loss, double learning_rate,
                       const std::vector<std::string>& events) {
  ordered_json json = {{"step", step}, {"loss", loss}, {"lr", learning_rate}};
  if (!events.empty()) json["events"] = events;
  text_ += json.dump() + "\n";
}

void JsonLog::add_epoch(std::int64_t epoch, std::int64_t step, double loss, double train_accuracy,
                        double test_accuracy) {
  const ordered_json json = {{"step", step},
                             {"epoch", epoch},
                             {"mean_loss", loss},
                             {"train_accuracy", train_accuracy},
                             {"test_accuracy", test_accuracy}};
  text_ += json.dump() + "\n";
}

bool JsonLog::take_over(const std::filesystem::path& earlier, std::int64_t last_step) {
  if (!std::filesystem::exists(earlier)) return false;
  const std::string text = read_text_file(earlier, kMostLogBytes);
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string one = text.substr(begin, end - begin);
    begin = end + 1;
    const ordered_json json = ordered_json::parse(one, nullptr, false);
    if (!json.is_object() || !json.contains("step") || !json["step"].is_number_integer())
      throw InputError(
          fmt::format("{}: not a training log: '{}'", earlier.string(), one.substr(0, 80)));
    if (json["step"].get<std::int64_t>() <= last_step) text_ += one + "\n";
  }
  return true;
}

void JsonLog::write() const { write_file_atomically(path_, text_); }

}  // namespace lockstep::train
