#include "tools/report/junit.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace lockstep::cli {
namespace {

using Result = TestCase::Result;
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The bytes of the character that `text` begins with; 0 where they are no UTF-8 (RFC 3629) or a
// character that XML 1.0 excludes.
std::size_t character_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' || first == '\r';
  const std::size_t count = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < count) return 0;
  std::uint32_t character = first & (0x7Fu >> count);
  for (std::size_t i = 1; i < count; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3F);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xD800 && character <= 0xDFFF;
  if (character < kSmallest[count] || character > 0x10FFFF || surrogate) return 0;
  return character == 0xFFFE || character == 0xFFFF ? 0 : count;
}

std::string element(std::string_view tag, const std::string& message) {
  const std::string text = escaped_for_xml(message);
  return fmt::format("      <{} message=\"{}\">{}</{}>\n", tag, text, text, tag);
}

std::string case_text(const TestCase& test) {
  std::string inside;
  if (test.result == Result::kFailed) inside = element("failure", test.message);
  if (test.result == Result::kError) inside = element("error", test.message);
  if (test.result == Result::kSkipped)
    inside = fmt::format("      <skipped message=\"{}\"/>\n", escaped_for_xml(test.message));
  if (test.result == Result::kPassed && !test.message.empty())
    inside = fmt::format("      <system-out>{}</system-out>\n", escaped_for_xml(test.message));
  const std::string opening =
      fmt::format("    <testcase classname=\"{}\" name=\"{}\"", escaped_for_xml(test.class_name),
                  escaped_for_xml(test.name));
  return inside.empty() ? opening + "/>\n" : opening + ">\n" + inside + "    </testcase>\n";
}

}  // namespace

std::string escaped_for_xml(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t count = character_bytes(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(count, 1));
    text.remove_prefix(character.size());
    switch (count == 1 ? character[0] : 'x') {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\t':
      case '\n':
      case '\r':  // readers make spaces of them inside attributes
        result += fmt::format("&#{};", static_cast<int>(character[0]));
        break;
      default:
        result += count == 0 ? kReplacement : character;
    }
  }
  return result;
}

std::string junit_xml(const TestSuite& suite) {
  const auto count = [&](Result result) {
    return std::ranges::count(suite.cases, result, &TestCase::result);
  };
  const std::string counts = fmt::format("name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\"",
                                         escaped_for_xml(suite.name), suite.cases.size(),
                                         count(Result::kFailed), count(Result::kError));
  std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
  text += fmt::format("<testsuites {}>\n  <testsuite {} skipped=\"{}\">\n", counts, counts,
                      count(Result::kSkipped));
  if (!suite.properties.empty()) {
    text += "    <properties>\n";
    for (const auto& [name, value] : suite.properties)
      text += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", escaped_for_xml(name),
                          escaped_for_xml(value));
    text += "    </properties>\n";
  }
  for (const TestCase& test : suite.cases) text += case_text(test);
  return text + "  </testsuite>\n</testsuites>\n";
}

}  // namespace lockstep::cli
