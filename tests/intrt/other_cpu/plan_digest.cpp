// plan_digest SAMPLES PLAN...: digest_lines of each plan.
#include "tests/support/plan_digest.h"

#include <cstdio>
#include <fstream>
#include <iterator>

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    std::printf("%s", lockstep::testing::digest_lines(bytes, std::stoull(argv[1])).c_str());
  }
  return 0;
}
