// A process that breaks out: what it does runs in a child, and the parent sees how that ended. One thread.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>

namespace sandbox_test {

inline constexpr int kStillFree = 42;  // nothing stopped it

struct Ending {
  int status = -1;   // -1: by a signal
  std::string said;  // on the standard error
};

// `act` returns if nothing stops it.
template <class Act>
Ending in_child(Act act) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  std::fflush(nullptr);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    ::alarm(30);
    act();
    ::_exit(kStillFree);
  }
  ::close(ends[1]);
  Ending ending;
  std::array<char, 512> chunk{};
  for (ssize_t got = 0; (got = ::read(ends[0], chunk.data(), chunk.size())) > 0;) {
    ending.said.append(chunk.data(), static_cast<size_t>(got));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) ending.status = WEXITSTATUS(status);
  return ending;
}

}  // namespace sandbox_test
