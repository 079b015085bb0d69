// The user's terminal while it is a guest's console: every key goes to the guest at once, Ctrl-A X leaves.
// The terminal is put back however the program ends short of SIGKILL: destructor, exit(), an exception that
// nobody catches, a broken invariant, any signal whose default ends a process; and while it is stopped
// (SIGTSTP). Continued in the foreground, the terminal is the guest's again.
//
// Main thread; one RawTerminal at a time. Signals may come to any thread.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vmm {

class RawTerminal {
 public:
  // Does nothing if `fd` is no terminal.
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  [[nodiscard]] bool active() const { return active_; }

 private:
  bool active_ = false;
};

// Finds Ctrl-A in what is typed: Ctrl-A X leaves, Ctrl-A twice sends one Ctrl-A, any other key after it is
// swallowed with it.
class EscapeKeys {
 public:
  // Appends what is for the guest. False: leave.
  [[nodiscard]] bool filter(std::span<const uint8_t> typed, std::vector<uint8_t>& for_guest);

 private:
  bool escaped_ = false;
};

}  // namespace vmm
