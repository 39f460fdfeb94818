// lockstep-check: derives a certificate again. It sees the checker, the proof of generated C, and
// nothing else of the project; `lockstep check` starts it.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <iostream>

#include "tools/check/summary.h"
#include "verify/c_proof/c_proof.h"
#include "verify/checker/certificate.h"
#include "verify/checker/files.h"
#include "verify/signing/signature.h"

namespace {

using namespace lockstep::checker;
namespace signing = lockstep::signing;

// The exit codes of all of Lockstep.
enum : int { kHolds, kRefuted, kBadInput, kUnknown, kInternalError };

int fail(int exit_code, const std::string& what) {
  std::cerr << "lockstep: error: " << what.substr(0, what.find_first_of("\r\n")) << '\n';
  return exit_code;
}

void add_path(CLI::App& app, const std::string& name, std::filesystem::path& path,
              const std::string& what, const std::string& type) {
  app.add_option(name, path, what)->type_name(type);
}

// The C of a certificate: NAME.c, NAME.h and NAME_selftest.c, in this order.
std::string check_c(const Checked& checked) {
  if (checked.sources.empty()) return "";
  if (checked.sources.size() != 3) throw BadFile("a certificate about C names three files");
  const auto name = [&](std::size_t i) {
    return std::filesystem::path(checked.certificate.files.c[i].path).filename();
  };
  const auto text = [&](std::size_t i) {
    const std::vector<std::byte>& bytes = checked.sources[i].bytes;
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const lockstep::c_proof::Facts facts = lockstep::c_proof::prove_c(
      {name(1).string(), text(1), text(0), name(0).stem().string()}, read_plan(checked.plan.bytes));
  return fmt::format("{} computes the same, for every input: {} elements, {} products\n",
                     name(0).string(), facts.elements, facts.products);
}

int parse_and_check(int argc, char** argv) {
  CLI::App app("Derives a certificate of lockstep verify again, from the files that it is about.",
               "lockstep check");
  std::filesystem::path certificate, public_key;
  Places places;
  app.add_option("certificate", certificate, "The certificate")->required()->type_name("C.json");
  add_path(app, "--root", places.root, "The files' folder, instead of the certificate's", "DIR");
  add_path(app, "--graph", places.graph, "The network is here", "graph.json");
  add_path(app, "--weights", places.weights, "The state dict is here", "STATE");
  add_path(app, "--plan", places.plan, "The plan is here", "net.plan");
  app.add_option("--c", places.sources, "The C files are here, in the certificate's order")
      ->type_name("FILE");
  add_path(app, "--public-key", public_key,
           "Demand that C.json.sig signs the certificate with this Ed25519 key", "KEY.pem");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help();
    return kHolds;
  } catch (const CLI::ParseError& error) {
    return fail(kBadInput, std::string(error.what()) + " (see lockstep check --help)");
  }
  const std::vector<std::byte> bytes = read_file(certificate, SIZE_MAX);
  if (!public_key.empty() &&
      !signing::is_signed(bytes, signing::signature_path(certificate), public_key))
    throw Mismatch(fmt::format("{}: it is not signed with the key of {}", certificate.string(),
                               public_key.string()));
  const Checked checked = check_certificate(bytes, certificate, places);
  std::cout << lockstep::cli::summary(checked, check_c(checked));
  return kHolds;
}

int run_guarded(int argc, char** argv) {
  try {
    const int exit_code = parse_and_check(argc, argv);
    return std::cout.flush() ? exit_code : fail(kBadInput, "standard output cannot be written");
  } catch (const Mismatch& mismatch) {
    return fail(kRefuted, mismatch.what());
  } catch (const Failure& failure) {
    return fail(failure.is_unknown ? kUnknown : kRefuted,
                (failure.is_unknown ? "unknown: " : "refuted: ") + failure.text);
  } catch (const BadFile& bad) {
    return fail(kBadInput, bad.what());
  } catch (const std::bad_alloc&) {
    return fail(kInternalError, "out of memory");
  } catch (const std::exception& error) {
    return fail(kInternalError, std::string("internal error: ") + error.what());
  }
}

}  // namespace

int main(int argc, char** argv) {
  // `lockstep` blocks the signals of its own watcher before it becomes this process.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of writing
  return run_guarded(argc, argv);
}
