// What a command says, and to whom. Text for people goes to standard output, or to standard error
// when standard output carries JSON; --quiet drops it. Every write is checked: a full disk or a
// closed pipe behind standard output is an InputError, never a silent success.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lockstep::cli {

struct OutputOptions {
  bool json = false;
  bool quiet = false;
};

// Declares --json and --quiet.
void add_output_options(CLI::App& verb, OutputOptions& options);

class Console {
 public:
  explicit Console(OutputOptions options) : options_(options) {}
  ~Console() { clear_progress(); }
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // One or more lines for people; the last newline is added.
  void print(std::string_view text);
  // A line about work under way, on standard error: on a terminal it replaces the one before.
  void progress(std::string_view line);
  // The command's single JSON object; does nothing without --json.
  void print_json(const nlohmann::ordered_json& object);

 private:
  void clear_progress() noexcept;

  OutputOptions options_;
  bool progress_shown_ = false;
};

// Writes all of `text`. InputError with the system's reason when standard output does not take it.
void write_standard_output(std::string_view text);
// Writes what can be written; there is nobody left to tell about a failure.
void write_standard_error(std::string_view text) noexcept;
// Closes standard output, so that errors that the system reports late are noticed.
void close_standard_output();
// A process started with closed standard streams would get their numbers for its first files and
// then print into those. Gives every closed stream a descriptor on which I/O fails or ends.
void reserve_standard_streams();

}  // namespace lockstep::cli
