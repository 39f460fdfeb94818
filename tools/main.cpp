// The command line. This file parses, calls the verb and turns whatever goes wrong into one line on
// standard error and an exit code; each verb is a file in commands/.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <new>
#include <system_error>

#include "compile/support/error.h"
#include "compile/support/interruption.h"
#include "tools/support/console.h"
#include "tools/support/sibling.h"
#include "tools/verbs/verbs.h"

namespace lockstep::cli {
namespace {

// Says why the process ends, unless an interrupt has already ended it.
int fail(int exit_code, std::string_view what) {
  stop_watching_interrupts();
  // One line, whatever a library put into its message.
  const std::string_view line = what.substr(0, what.find_first_of("\r\n"));
  write_standard_error(fmt::format("lockstep: error: {}\n", line));
  return exit_code;
}

// An assertion aborts; the exit code for that is a number, not a signal.
void exit_internal_error(int) { ::_exit(kExitInternalError); }

// CLI11 would only say that a subcommand is missing.
void require_known_verb(std::string_view word) {
  std::string names;
  for (const Verb& verb : verbs()) {
    if (word == verb.name) return;
    names += (names.empty() ? "" : ", ") + std::string(verb.name);
  }
  throw InputError(fmt::format("unknown verb '{}'; there are {}", word, names));
}

// What is wrong with the command line, and whose help to read. An argument that nobody knows is
// named before an option that is missing: it may well be that option, mistyped.
[[noreturn]] void refuse(const CLI::App& app, const CLI::ParseError& error) {
  std::string help = "lockstep";
  for (const CLI::App* verb : app.get_subcommands()) help += " " + verb->get_name();
  std::string what = error.what();
  const std::vector<std::string> unknown = app.remaining(true);
  if (!unknown.empty()) {
    what = fmt::format("unknown argument '{}'", unknown.front());
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    // CLI11 counts the values, after the option's name and a colon; each of ours takes one.
    const bool several = what.find("received") != std::string::npos;
    what = what.substr(0, what.find(':')) + (several ? ": is given twice" : ": needs a value");
  }
  throw InputError(fmt::format("{} (see {} --help)", what, help));
}

int parse_and_run(int argc, char** argv) {
  if (argc > 1 && argv[1][0] != '-') require_known_verb(argv[1]);
  CLI::App app("Trains, compiles and verifies integer-only neural networks.", "lockstep");
  app.set_version_flag("--version", "lockstep " LOCKSTEP_VERSION);
  app.require_subcommand(1);
  app.footer("`lockstep VERB --help` shows a verb's options.");
  Action chosen;
  for (const Verb& verb : verbs()) {
    CLI::App& command = *app.add_subcommand(verb.name, verb.summary);
    if (verb.add == nullptr) {
      if (argc > 1 && std::string_view(argv[1]) == verb.name)
        return become_sibling(verb.sibling, verb.sibling_has_verbs ? argv : argv + 1);
      continue;
    }
    command.callback([&chosen, action = verb.add(command)] { chosen = action; });
  }
  watch_interrupts();  // not before: lockstep-torch has its own thread for that
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    write_standard_output(app.help());
    return kExitOk;
  } catch (const CLI::CallForVersion& version) {
    write_standard_output(fmt::format("{}\n", version.what()));
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    refuse(app, error);
  }
  return chosen();
}

// Everything that a verb may throw. What the user can mend is bad input; the rest is our mistake or
// a machine without memory.
int run_guarded(int argc, char** argv) {
  try {
    const int exit_code = parse_and_run(argc, argv);
    close_standard_output();
    stop_watching_interrupts();
    return exit_code;
  } catch (const InputError& error) {
    return fail(kExitBadInput, error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(kExitBadInput,
                fmt::format("{}: {}", error.path1().string(), error.code().message()));
  } catch (const std::bad_alloc&) {
    return fail(kExitInternalError, "out of memory");
  } catch (const std::system_error& error) {
    return fail(kExitInternalError, error.what());
  } catch (const std::exception& error) {
    return fail(kExitInternalError, fmt::format("internal error: {}", error.what()));
  }
}

// Runs before the constructors of every library, not first in main: OpenBLAS, which comes with
// LibTorch, starts threads in one, and a thread that does not block the signals would take them.
// While the libraries are being found and loaded, the process blocks what `lockstep` blocked before
// it became lockstep-torch; started directly, it ends by the signal, with nothing to undo yet.
[[gnu::section(".preinit_array"), gnu::used]] void (*block_interrupts_first)() = block_interrupts;

}  // namespace
}  // namespace lockstep::cli

int main(int argc, char** argv) {
  using namespace lockstep::cli;
  reserve_standard_streams();
  std::signal(SIGPIPE,
              SIG_IGN);  // a closed pipe is then an error of write, reported like any other
  std::signal(SIGABRT, exit_internal_error);
  return run_guarded(argc, argv);
}
