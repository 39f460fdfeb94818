// What `verify` found, as one HTML page: the verdict, how far every layer is from overflow and from
// rounding in float32, and all that ran.
#pragma once

#include <string>

#include "tools/commands/self_test.h"
#include "verify/checker/proof.h"
#include "verify/verify.h"

namespace lockstep::cli {

struct VerifyPage {
  std::string network, plan;  // the graph's name, the plan's file
  std::string verdict;        // "proved", "refuted", "unknown"
  std::string line;           // the line that says it
  std::string remarks;        // lines about accuracy, witnesses, ...; may be empty
  const verify::Report& report;
  const checker::Proof* proof = nullptr;  // null: there is none
  const SelfTest* self_test = nullptr;
};

// A document as html_page.h says. Equal contents give equal bytes. Any texts are allowed.
std::string verify_page(const VerifyPage& page);

}  // namespace lockstep::cli
