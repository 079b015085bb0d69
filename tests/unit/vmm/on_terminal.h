// A program on a terminal of its own, of which the test holds the other end. One thread.
#pragma once

#include <doctest/doctest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <string>

namespace terminal_test {

inline bool is_raw(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == 0; }
inline bool is_cooked(const termios& t) { return (t.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG); }

// A child with a terminal of its own, of which we hold the other end.
class OnTerminal {
 public:
  explicit OnTerminal(const std::function<void()>& work) {
    child_ = ::forkpty(&ours_, nullptr, nullptr, nullptr);
    REQUIRE(child_ >= 0);
    if (child_ != 0) return;
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < 32; ++signal) ::sigaction(signal, &standard, nullptr);  // not doctest's
    work();
    std::exit(7);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;
  ~OnTerminal() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::close(ours_);
  }

  termios settings() const {
    termios now{};
    REQUIRE(::tcgetattr(ours_, &now) == 0);
    return now;
  }
  // The terminal takes some time to change: from outside only looking again tells.
  bool becomes(bool (*what)(const termios&)) const {
    for (int i = 0; i < 2000; ++i) {
      if (what(settings())) return true;
      ::usleep(10'000);
    }
    return false;
  }
  void give_back() const {
    termios shells = settings();
    shells.c_lflag |= ICANON | ECHO | ISIG;
    REQUIRE(::tcsetattr(ours_, TCSANOW, &shells) == 0);
  }
  void signal(int number) const { ::kill(child_, number); }
  // What has been written to the terminal so far and has not been asked for yet.
  std::string shown() {
    std::string text;
    constexpr size_t kEnough = 64 * 1024;  // of who writes without end
    for (pollfd ready{ours_, POLLIN, 0}; text.size() < kEnough && ::poll(&ready, 1, 50) > 0;) {
      char bytes[4096];
      const ssize_t got = ::read(ours_, bytes, sizeof(bytes));
      if (got <= 0) break;
      text.append(bytes, static_cast<size_t>(got));
    }
    return text;
  }
  std::string shown_until(const std::string& what) {
    std::string text;
    for (int i = 0; i < 200 && text.find(what) == std::string::npos; ++i) text += shown();
    return text;
  }
  int status(int options = 0) const {
    int status = 0;
    REQUIRE(::waitpid(child_, &status, options) == child_);
    return status;
  }

 private:
  int ours_ = -1;
  pid_t child_ = -1;
};

}  // namespace terminal_test
