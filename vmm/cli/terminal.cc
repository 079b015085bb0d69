#include "vmm/cli/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "vmm/check.h"
#include "vmm/sandbox/violation.h"
#include "vmm/signal_stack.h"

namespace vmm {
namespace {

// All standard signals that end a process unless somebody handles them.
constexpr std::array kEnding{SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,  SIGBUS,  SIGFPE,
                             SIGUSR1,   SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,  SIGXCPU, SIGXFSZ,
                             SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS,  SIGSTKFLT};

// Written while no handler of ours is installed and constant while one is, so handlers may read them.
int terminal = -1;
termios cooked;
termios guests;
std::array<struct sigaction, kEnding.size()> previous;
struct sigaction previous_stop;
struct sigaction previous_continue;
std::atomic<bool> raw{false};  // partners: restore(), apply()

// In the background a change would stop the process instead (SIGTTOU), and TCSAFLUSH would wait for whoever
// reads the terminal. Async-signal-safe, like all below.
void set_terminal(const termios& settings, bool forget_input) {
  sigset_t background;
  sigset_t before;
  ::sigemptyset(&background);
  ::sigaddset(&background, SIGTTOU);
  ::pthread_sigmask(SIG_BLOCK, &background, &before);
  ::tcsetattr(terminal, TCSANOW, &settings);
  if (forget_input) ::tcflush(terminal, TCIFLUSH);  // typed for the guest, not for the shell
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void restore() {
  if (raw.exchange(false)) set_terminal(cooked, true);
}

void apply() {
  const pid_t foreground = ::tcgetpgrp(terminal);  // fails on a terminal that controls no session
  if (foreground >= 0 && foreground != ::getpgrp()) return;
  if (!raw.exchange(true)) set_terminal(guests, false);
}

// The terminal first, then whatever the signal would have done.
void on_ending(int signal) {
  const int error = errno;
  restore();
  for (size_t i = 0; i < kEnding.size(); ++i) {
    if (kEnding[i] != signal) continue;
    const struct sigaction& before = previous[i];
    if ((before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler != SIG_DFL) {
      before.sa_handler(signal);
    } else {
      ::sigaction(signal, &before, nullptr);
      ::raise(signal);  // comes when this handler returns
    }
  }
  errno = error;
}

// Stops as without us, and goes on behind it. Where a stop is not allowed (no shell looks after us) raise()
// comes back at once.
void on_stop(int signal) {
  const int error = errno;
  restore();
  struct sigaction ours {};
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, &ours);
  sigset_t just_this;
  ::sigemptyset(&just_this);
  ::sigaddset(&just_this, signal);
  ::raise(signal);
  sigset_t before;
  ::pthread_sigmask(SIG_UNBLOCK, &just_this, &before);  // here it stops
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::sigaction(signal, &ours, nullptr);
  apply();
  errno = error;
}

void on_continue(int) {
  const int error = errno;
  // SIGSTOP left no time to restore, and the shell may have changed the terminal since.
  raw.store(false);
  apply();
  errno = error;
}

void install() {
  struct sigaction action {};
  action.sa_flags = SA_RESTART;
  action.sa_handler = on_stop;
  ::sigaction(SIGTSTP, &action, &previous_stop);
  action.sa_handler = on_continue;
  ::sigaction(SIGCONT, &action, &previous_continue);
  use_signal_stack();
  action.sa_flags = SA_ONSTACK;  // waiting calls return; a stack that has overflown does not matter
  action.sa_handler = on_ending;
  for (size_t i = 0; i < kEnding.size(); ++i) {
    ::sigaction(kEnding[i], nullptr, &previous[i]);
    if (previous[i].sa_handler != SIG_IGN) ::sigaction(kEnding[i], &action, nullptr);
  }
}

void uninstall() {
  ::sigaction(SIGTSTP, &previous_stop, nullptr);
  ::sigaction(SIGCONT, &previous_continue, nullptr);
  for (size_t i = 0; i < kEnding.size(); ++i) ::sigaction(kEnding[i], &previous[i], nullptr);
}

}  // namespace

RawTerminal::RawTerminal(int fd) {
  if (::isatty(fd) == 0 || ::tcgetattr(fd, &cooked) != 0) return;
  KVMUX_CHECK(terminal < 0, "one raw terminal at a time");
  terminal = fd;
  guests = cooked;
  ::cfmakeraw(&guests);
  guests.c_oflag |= OPOST | ONLCR;  // guests often end lines with LF only
  static const int registered = std::atexit(restore);
  sandbox::set_last_act(restore);
  static_cast<void>(registered);
  install();
  // In the background this stops us until the shell gives us the terminal.
  raw.store(true);
  active_ = ::tcsetattr(fd, TCSANOW, &guests) == 0;
}

RawTerminal::~RawTerminal() {
  if (terminal < 0) return;
  restore();
  uninstall();
  terminal = -1;
}

bool EscapeKeys::filter(std::span<const uint8_t> typed, std::vector<uint8_t>& for_guest) {
  constexpr uint8_t kEscape = 0x01;  // Ctrl-A
  for (const uint8_t key : typed) {
    if (!escaped_ && key == kEscape) {
      escaped_ = true;
      continue;
    }
    const bool after_escape = escaped_;
    escaped_ = false;
    if (after_escape && (key == 'x' || key == 'X')) return false;
    if (!after_escape || key == kEscape) for_guest.push_back(key);
  }
  return true;
}

}  // namespace vmm
