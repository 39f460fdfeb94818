// The message of the InputError that a call throws: one line, never empty.
#pragma once

#include <string>
#include <utility>

#include "compile/support/error.h"

namespace lockstep::test {

// "(no error)" when the call returns.
template <typename Call>
std::string input_error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const InputError& error) {
    const std::string message = error.what();
    return message.empty() || message.find('\n') != std::string::npos ? "(not one line) " + message
                                                                      : message;
  }
  return "(no error)";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace lockstep::test
