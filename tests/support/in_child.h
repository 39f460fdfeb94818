// Runs a piece of a test in a child process of its own: what signals do to a process cannot be seen
// from inside it.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

namespace lockstep::test {

struct Ended {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string text;    // all that it said, and its standard error
};

// Runs `body` in a child whose standard error is a pipe; `meanwhile` runs here and is given the
// child's number.
template <typename Body, typename Meanwhile>
Ended in_child(const Body& body, const Meanwhile& meanwhile) {
  int pipe_ends[2];
  REQUIRE(::pipe(pipe_ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::close(pipe_ends[0]);
    ::dup2(pipe_ends[1], STDERR_FILENO);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
    body();
    ::_exit(0);
  }
  ::close(pipe_ends[1]);
  meanwhile(child);
  Ended ended;
  char piece[256];
  for (ssize_t got = 0; (got = ::read(pipe_ends[0], piece, sizeof piece)) > 0;)
    ended.text.append(piece, static_cast<std::size_t>(got));
  ::close(pipe_ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  ended.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ended;
}

template <typename Body>
Ended in_child(const Body& body) {
  return in_child(body, [](pid_t) {});
}

}  // namespace lockstep::test
