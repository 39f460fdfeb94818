// Proves one plan and its C, and says what that cost:
//   proof_time GRAPH STATE PLAN C_FOLDER
// prints: multiplications (with weights that are not 0, as the plan's sums take them), elements,
// seconds of processor time and peak memory in MB of the proof of the plan, and those of the proof
// of the C after it. tools/bench/proof_cost draws them.
#include <sys/resource.h>

#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <span>
#include <string>

#include "verify/c_proof/c_proof.h"
#include "verify/checker/model.h"
#include "verify/checker/plan.h"
#include "verify/checker/proof.h"

namespace {

using namespace lockstep;

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw checker::BadFile(path + ": cannot be read");
  return text;
}

double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
long megabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

int run(char** argv) {
  const std::string bytes = text_of(argv[3]);
  double start = seconds();
  const checker::Plan plan = checker::read_plan(std::as_bytes(std::span(bytes)));
  const checker::Proof proof = checker::prove(checker::read_model(argv[1], argv[2]), plan);
  const double of_plan = seconds() - start;
  const long memory = megabytes();
  const std::string folder = argv[4];
  const c_proof::Files files{"net.h", text_of(folder + "/net.h"), text_of(folder + "/net.c"),
                             "net"};
  start = seconds();
  const c_proof::Facts facts = c_proof::prove_c(files, plan);
  std::cout << facts.products << ' ' << proof.elements_checked << ' ' << of_plan << ' ' << memory
            << ' ' << seconds() - start << ' ' << megabytes() << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: proof_time GRAPH STATE PLAN C_FOLDER\n";
    return 2;
  }
  try {
    return run(argv);
  } catch (const checker::Failure& failure) {
    std::cerr << "proof_time: " << failure.text << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << "proof_time: " << error.what() << '\n';
    return 2;
  }
}
