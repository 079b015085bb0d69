// Runs kvmux as its user does, as the tracee of this process, and makes one of its system calls fail: the
// n-th of a kind, or every one from the n-th on. The call is not made at all; the program sees its error.
//
// By seccomp and ptrace, so that liburing's own system calls are seen like the C library's, and the program's
// own sandbox stays on: only calls that a fault is about stop. One run at a time, on a thread without
// siblings.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fail_test {

// A kind of call: which kind of thread makes it, and what it is about: "kvmux-w", "ioctl KVM_RUN".
struct Site {
  std::string thread;
  int number = 0;
  std::string call;
  auto operator<=>(const Site&) const = default;
  std::string text() const { return thread + "/" + call; }
};

struct Fault {
  Site site;
  uint64_t nth = 1;      // from 1
  bool forever = false;  // all later ones too
  int error = 0;
  std::string text() const;
};

struct Program {
  std::vector<std::string> arguments;  // the first is the program
  std::string input;                   // a file for its standard input; empty: /dev/null
  std::chrono::seconds limit{60};
};

struct Ending {
  int status = -1;  // -1: by a signal, or it was killed here
  int signal = 0;
  bool hung = false;    // killed here because its time was up
  uint64_t failed = 0;  // calls that were made to fail
  std::string out;
  std::string err;
};

// What it calls and how often, from its second thread on (before, the loader is at work); a fault counts so
// too.
using Census = std::map<Site, uint64_t>;

[[nodiscard]] Ending run_failing(const Program& program, const std::optional<Fault>& fault);
[[nodiscard]] Ending take_census(const Program& program, Census& census);

// Processes here may trace their children.
[[nodiscard]] bool can_trace();

}  // namespace fail_test
