// The user's terminal while it is a guest's console or shows a screen: every key goes to the program at once
// (boot: Ctrl-A X leaves). The terminal is put back however the program ends short of SIGKILL: destructor,
// exit(), an exception that nobody catches, a broken invariant and other last words, any signal that ends a
// process; and while it is stopped (SIGTSTP). Continued in the foreground, the terminal is the program's
// again.
//
// Main thread, unless a function says otherwise; one RawTerminal at a time. Signals may come to any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace vmm {

// What the program does with the terminal, besides reading keys.
struct TerminalUse {
  bool signals = false;  // Ctrl-C, Ctrl-Z and Ctrl-\ are signals as ever, and no keys
  // A descriptor of the same terminal that the screen is drawn on, non-blocking and of nobody else; -1: no
  // screen. `enter` is written there whenever the terminal is taken, `leave` when it is put back; both live
  // as long as the process.
  int screen = -1;
  std::string_view enter = {};
  std::string_view leave = {};
};

class RawTerminal {
 public:
  // Does nothing if `fd` is no terminal.
  explicit RawTerminal(int fd, const TerminalUse& use = {});
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  [[nodiscard]] bool active() const { return active_; }

 private:
  bool active_ = false;
};

// For the one thread that draws on the screen of the RawTerminal; between its creation and its end.
//
// How often the terminal has been taken so far: what was drawn before that is gone. 0: it is not ours now (we
// are stopped, in the background, or it has been put back). Comes back from the background by itself.
[[nodiscard]] uint32_t screen_number();
// Draws, if the terminal is still ours: waits for a reader that is slow, but not for long. False: it was not
// ours, or did not take all of it, and what it shows is not known.
[[nodiscard]] bool draw_on_screen(std::string_view bytes);

// Finds Ctrl-A in what is typed: Ctrl-A X leaves, Ctrl-A twice sends one Ctrl-A, any other key after it is
// swallowed with it, and handed to who asks for it.
class EscapeKeys {
 public:
  explicit EscapeKeys(std::function<void(uint8_t key)> other = {}) : other_(std::move(other)) {}
  // Appends what is for the guest. False: leave.
  [[nodiscard]] bool filter(std::span<const uint8_t> typed, std::vector<uint8_t>& for_guest);

 private:
  std::function<void(uint8_t)> other_;
  bool escaped_ = false;
};

}  // namespace vmm
