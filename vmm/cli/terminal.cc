#include "vmm/cli/terminal.h"

#include <termios.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

#include "vmm/check.h"
#include "vmm/last_words.h"
#include "vmm/signal_stack.h"

namespace vmm {
namespace {

// All standard signals that end a process unless somebody handles them.
constexpr std::array kEnding{SIGHUP,    SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT,  SIGBUS,  SIGFPE,
                             SIGUSR1,   SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,  SIGXCPU, SIGXFSZ,
                             SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS,  SIGSTKFLT};

// Written while no handler of ours is installed and constant while one is, so handlers may read them.
int terminal = -1;
TerminalUse use;
termios cooked;
termios ours;
std::array<struct sigaction, kEnding.size()> previous;
struct sigaction previous_stop;
struct sigaction previous_continue;

enum class Holder : uint8_t {
  kOthers,         // until somebody takes it again: we are stopped, or have done with it
  kForegroundJob,  // others, because we are in the background
  kTaking,
  kUs,
};
std::atomic<Holder> holder{Holder::kOthers};  // partners: restore(), apply(), draw_on_screen()
std::atomic<uint32_t> taken{0};               // times
// Drawing and putting back: each writes its own first and then reads the other's, both sequentially
// consistent.
std::atomic<bool> drawing{false};

constexpr timespec kMoment{0, 1'000'000};
constexpr int kPatience = 100;  // moments

// In the background a change would stop the process instead (SIGTTOU), and TCSAFLUSH would wait for whoever
// reads the terminal. Async-signal-safe, like all below.
void set_terminal(const termios& settings, bool forget_input) {
  sigset_t background;
  sigset_t before;
  ::sigemptyset(&background);
  ::sigaddset(&background, SIGTTOU);
  ::pthread_sigmask(SIG_BLOCK, &background, &before);
  ::tcsetattr(terminal, TCSANOW, &settings);
  if (forget_input) ::tcflush(terminal, TCIFLUSH);  // typed for the program, not for the shell
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Without waiting for longer than kPatience in all. False: not all of it.
bool write_screen(std::string_view bytes) {
  for (int waits = 0; !bytes.empty();) {
    const ssize_t got = ::write(use.screen, bytes.data(), bytes.size());
    if (got > 0) {
      bytes.remove_prefix(static_cast<size_t>(got));
    } else if (errno == EINTR && ++waits < kPatience) {
      continue;
    } else if (errno == EAGAIN && ++waits < kPatience) {
      ::nanosleep(&kMoment, nullptr);
    } else {
      return false;  // nobody reads, or it has hung up
    }
  }
  return true;
}

// Half a drawn line would swallow what puts the terminal back. Who draws is done within kPatience.
void wait_for_drawing() {
  for (int waits = 0; drawing.load() && waits < 2 * kPatience; ++waits) ::nanosleep(&kMoment, nullptr);
}

void put_back() {
  if (use.screen >= 0) {
    wait_for_drawing();
    write_screen(use.leave);
  }
  set_terminal(cooked, true);
}

void restore() {
  const Holder before = holder.exchange(Holder::kOthers);
  if (before == Holder::kUs || before == Holder::kTaking) put_back();
}

bool in_foreground() {
  const pid_t foreground = ::tcgetpgrp(terminal);  // fails on a terminal that controls no session
  return foreground < 0 || foreground == ::getpgrp();
}

void apply() {
  Holder before = Holder::kOthers;
  if (!in_foreground()) {
    holder.compare_exchange_strong(before, Holder::kForegroundJob);
    return;
  }
  while (!holder.compare_exchange_strong(before, Holder::kTaking)) {
    if (before == Holder::kUs || before == Holder::kTaking) return;
  }
  if (use.screen >= 0) wait_for_drawing();  // SIGSTOP may have come in the middle of it
  set_terminal(ours, false);
  if (use.screen >= 0) write_screen(use.enter);
  taken.fetch_add(1);
  before = Holder::kTaking;
  if (!holder.compare_exchange_strong(before, Holder::kUs)) put_back();  // restore() came in between
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
      // A thread in its sandbox may not change handlers: the kernel did (SA_RESETHAND), but for handlers that
      // want to know more, which are a sanitizer's.
      if (before.sa_handler != SIG_DFL) ::sigaction(signal, &before, nullptr);
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
  struct sigaction handled {};
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, &handled);
  sigset_t just_this;
  ::sigemptyset(&just_this);
  ::sigaddset(&just_this, signal);
  ::raise(signal);
  sigset_t before;
  ::pthread_sigmask(SIG_UNBLOCK, &just_this, &before);  // here it stops
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::sigaction(signal, &handled, nullptr);
  apply();
  errno = error;
}

void on_continue(int) {
  const int error = errno;
  // SIGSTOP left no time to restore, and the shell may have changed the terminal since.
  holder.store(Holder::kOthers);
  apply();
  errno = error;
}

// Is it to be taken over? Somebody's own handler of SIGUSR1 and SIGUSR2 asks for something, and ends nothing. That
// of the sandbox says its last words, before which the terminal is put back; it must get the signal itself, since a
// thread in its sandbox can neither change handlers nor send one that says what was refused.
bool ends(int signal, const struct sigaction& now) {
  if (now.sa_handler == SIG_IGN) return false;
  const bool others_matter = signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGSYS;
  return !others_matter || ((now.sa_flags & SA_SIGINFO) == 0 && now.sa_handler == SIG_DFL);
}

void install() {
  struct sigaction action {};
  action.sa_flags = SA_RESTART;
  action.sa_handler = on_stop;
  ::sigaction(SIGTSTP, &action, &previous_stop);
  action.sa_handler = on_continue;
  ::sigaction(SIGCONT, &action, &previous_continue);
  use_signal_stack();
  action.sa_handler = on_ending;
  for (size_t i = 0; i < kEnding.size(); ++i) {
    ::sigaction(kEnding[i], nullptr, &previous[i]);
    // Waiting calls return; a stack that has overflown does not matter.
    action.sa_flags = SA_ONSTACK | (previous[i].sa_handler == SIG_DFL ? SA_RESETHAND : 0);
    if (ends(kEnding[i], previous[i])) ::sigaction(kEnding[i], &action, nullptr);
  }
}

void uninstall() {
  ::sigaction(SIGTSTP, &previous_stop, nullptr);
  ::sigaction(SIGCONT, &previous_continue, nullptr);
  for (size_t i = 0; i < kEnding.size(); ++i) ::sigaction(kEnding[i], &previous[i], nullptr);
}

}  // namespace

RawTerminal::RawTerminal(int fd, const TerminalUse& wanted) {
  if (::isatty(fd) == 0 || ::tcgetattr(fd, &cooked) != 0) return;
  KVMUX_CHECK(terminal < 0, "one raw terminal at a time");
  terminal = fd;
  use = wanted;
  ours = cooked;
  ::cfmakeraw(&ours);
  if (use.signals) ours.c_lflag |= ISIG;
  if (use.screen < 0) ours.c_oflag |= OPOST | ONLCR;  // guests often end lines with LF only
  static const int registered = std::atexit(restore);
  before_last_words(restore);
  static_cast<void>(registered);
  install();
  // In the background this stops us until the shell gives us the terminal.
  holder.store(Holder::kTaking);
  active_ = ::tcsetattr(fd, TCSANOW, &ours) == 0;
  holder.store(Holder::kOthers);
  if (active_) apply();
}

RawTerminal::~RawTerminal() {
  if (terminal < 0) return;
  restore();
  uninstall();
  terminal = -1;
}

uint32_t screen_number() {
  // A shell that brings a running job to the foreground sends no signal.
  Holder background = Holder::kForegroundJob;
  if (holder.load() == background && in_foreground() &&
      holder.compare_exchange_strong(background, Holder::kOthers)) {
    apply();
  }
  return holder.load() == Holder::kUs ? taken.load() : 0;
}

bool draw_on_screen(std::string_view bytes) {
  drawing.store(true);
  const bool drawn = holder.load() == Holder::kUs && write_screen(bytes);
  drawing.store(false);
  return drawn;
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
    if (!after_escape || key == kEscape) {
      for_guest.push_back(key);
    } else if (other_) {
      other_(key);
    }
  }
  return true;
}

}  // namespace vmm
