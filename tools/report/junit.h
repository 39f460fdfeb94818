// Results as JUnit XML, the form that Jenkins, GitLab and GitHub's actions read: one test suite
// with properties and test cases.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep::cli {

struct TestCase {
  // kFailed: what was tested is wrong. kError: it was not decided. kSkipped: it was not tried.
  enum class Result { kPassed, kFailed, kError, kSkipped };
  std::string class_name, name;
  Result result = Result::kPassed;
  std::string message{};  // why, unless it passed; of a passed one a remark, or empty
};

struct TestSuite {
  std::string name;
  std::vector<std::pair<std::string, std::string>> properties;
  std::vector<TestCase> cases;
};

// A <testsuites> document with one <testsuite>, valid for Jenkins' junit-10.xsd. Any texts are
// allowed: bytes that are no UTF-8, and characters that XML cannot hold, become U+FFFD. No times:
// equal results give equal bytes.
std::string junit_xml(const TestSuite& suite);

// `text` for an attribute in double quotes, or between tags; see junit_xml.
std::string escaped_for_xml(std::string_view text);

}  // namespace lockstep::cli
