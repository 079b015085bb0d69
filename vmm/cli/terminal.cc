#include "vmm/cli/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>

#include "vmm/check.h"

namespace vmm {
namespace {

constexpr std::array kSignals{SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE};

// Written before `raw` is set and constant while it is, so handlers may read them.
int terminal = -1;
termios cooked;
std::array<struct sigaction, kSignals.size()> previous;
std::atomic<bool> raw{false};  // partner: restore()

// Async-signal-safe.
void restore() {
  if (raw.exchange(false)) ::tcsetattr(terminal, TCSAFLUSH, &cooked);
}

// The terminal first, then whatever the signal would have done.
void on_signal(int signal) {
  restore();
  for (size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] != signal) continue;
    const auto handler = previous[i].sa_handler;
    if (handler == SIG_IGN) return;
    if (handler != SIG_DFL) return handler(signal);
    ::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

}  // namespace

RawTerminal::RawTerminal(int fd) {
  if (::isatty(fd) == 0 || ::tcgetattr(fd, &cooked) != 0) return;
  KVMUX_CHECK(!raw.load(), "one raw terminal at a time");
  terminal = fd;
  static const int registered = std::atexit(restore);
  static_cast<void>(registered);
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &action, &previous[i]);
  termios changed = cooked;
  ::cfmakeraw(&changed);
  changed.c_oflag |= OPOST | ONLCR;  // guests often end lines with LF only
  raw.store(true);
  active_ = ::tcsetattr(fd, TCSAFLUSH, &changed) == 0;
}

RawTerminal::~RawTerminal() {
  if (terminal < 0) return;
  restore();
  for (size_t i = 0; i < kSignals.size(); ++i) ::sigaction(kSignals[i], &previous[i], nullptr);
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
