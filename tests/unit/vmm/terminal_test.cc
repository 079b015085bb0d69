// A program that took the terminal puts it back, however it ends.
#include "vmm/cli/terminal.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "tests/unit/vmm/on_terminal.h"
#include "vmm/check.h"
#include "vmm/run/os_thread.h"

using namespace terminal_test;

namespace {

volatile bool deeper = true;

int descend(int depth) {
  volatile char frame[4096];
  frame[0] = static_cast<char>(depth);
  return deeper ? descend(depth + 1) + frame[0] : 0;
}

void hold_terminal() {
  const vmm::RawTerminal terminal(STDIN_FILENO);
  for (;;) ::pause();
}

void fail_somehow() { (void)std::string().at(1); }

void throw_away() noexcept {
  const vmm::RawTerminal terminal(STDIN_FILENO);
  fail_somehow();  // nobody catches it
}

}  // namespace

TEST_CASE("every signal that ends a process restores the terminal first") {
  for (const int signal : {SIGHUP,  SIGINT,    SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,
                           SIGUSR1, SIGSEGV,   SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGSTKFLT, SIGXCPU,
                           SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR,  SIGSYS}) {
    const OnTerminal held(hold_terminal);
    REQUIRE(held.becomes(is_raw));
    held.signal(signal);
    const int status = held.status();
    CAPTURE(signal);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == signal);
    CHECK(is_cooked(held.settings()));
  }
}

TEST_CASE("a stop gives the terminal back, going on takes it again") {
  const OnTerminal held(hold_terminal);
  REQUIRE(held.becomes(is_raw));
  for (int i = 0; i < 2; ++i) {
    // A process without a shell above it may not be stopped by SIGTSTP: it goes on at once.
    held.signal(SIGTSTP);
    held.signal(SIGCONT);
    CHECK(held.becomes(is_raw));
  }
  held.signal(SIGSTOP);
  CHECK(WIFSTOPPED(held.status(WUNTRACED)));
  held.give_back();  // as a shell does
  CHECK(is_cooked(held.settings()));
  held.signal(SIGCONT);
  CHECK(held.becomes(is_raw));
  held.signal(SIGTERM);
  CHECK(WTERMSIG(held.status()) == SIGTERM);
  CHECK(is_cooked(held.settings()));
}

TEST_CASE("a signal that is ignored stays so and leaves the terminal alone") {
  const OnTerminal held([] {
    std::signal(SIGPIPE, SIG_IGN);
    hold_terminal();
  });
  REQUIRE(held.becomes(is_raw));
  held.signal(SIGPIPE);
  held.signal(SIGCONT);
  ::usleep(20'000);
  CHECK(is_raw(held.settings()));
}

TEST_CASE("a stack that overflows does not keep the terminal from being restored") {
  const OnTerminal main_thread([] {
    const vmm::RawTerminal terminal(STDIN_FILENO);
    static_cast<void>(descend(0));
  });
  CHECK(WTERMSIG(main_thread.status()) == SIGSEGV);
  CHECK(is_cooked(main_thread.settings()));
  const OnTerminal another([] {
    const vmm::RawTerminal terminal(STDIN_FILENO);
    std::thread([] {
      CHECK(vmm::settle_thread("descends", vmm::allowed_cpus()));
      static_cast<void>(descend(0));
    }).join();
  });
  CHECK(WTERMSIG(another.status()) == SIGSEGV);
  CHECK(is_cooked(another.settings()));
}

TEST_CASE("a broken invariant, an exception, exit() and the object's end restore the terminal") {
  const OnTerminal broken([] {
    const vmm::RawTerminal terminal(STDIN_FILENO);
    KVMUX_CHECK(!terminal.active(), "this one breaks");
  });
  CHECK(WTERMSIG(broken.status()) == SIGABRT);
  CHECK(is_cooked(broken.settings()));
  const OnTerminal thrown(throw_away);
  CHECK(WTERMSIG(thrown.status()) == SIGABRT);
  CHECK(is_cooked(thrown.settings()));
  const OnTerminal exits([] {
    const vmm::RawTerminal terminal(STDIN_FILENO);
    std::exit(3);
  });
  CHECK(WEXITSTATUS(exits.status()) == 3);
  CHECK(is_cooked(exits.settings()));
  const OnTerminal leaves([] { const vmm::RawTerminal terminal(STDIN_FILENO); });
  CHECK(WEXITSTATUS(leaves.status()) == 7);
  CHECK(is_cooked(leaves.settings()));
}

namespace {

// A screen of its own, with words for what terminals call smcup and rmcup.
vmm::TerminalUse with_screen(bool signals = true) {
  const int screen = ::open(::ttyname(STDIN_FILENO), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return {.signals = signals, .screen = screen, .enter = "<taken>", .leave = "<left>"};
}

void hold_screen() {
  const vmm::RawTerminal terminal(STDIN_FILENO, with_screen());
  for (;;) ::pause();
}

// Draws numbers without end, as fast as it can.
void draw_on_and_on() {
  const vmm::RawTerminal terminal(STDIN_FILENO, with_screen());
  std::thread([] {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
    for (;;) {
      if (vmm::screen_number() == 0 || !vmm::draw_on_screen("[drawn]")) ::usleep(1000);
    }
  }).detach();
  for (;;) ::pause();
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("a screen is entered when the terminal is taken and left once, whatever ends the program") {
  for (const int signal : {SIGHUP, SIGINT, SIGTERM, SIGSEGV, SIGABRT, SIGSYS}) {
    OnTerminal held(hold_screen);
    CHECK(held.shown_until("<taken>") == "<taken>");
    CHECK((held.settings().c_lflag & (ICANON | ECHO | ISIG)) == ISIG);
    held.signal(signal);
    CHECK(held.shown_until("<left>") == "<left>");
    CHECK(WTERMSIG(held.status()) == signal);
    CHECK(is_cooked(held.settings()));
  }
}

TEST_CASE("a stop leaves the screen, going on enters it again, and nothing is drawn in between") {
  OnTerminal held(draw_on_and_on);
  CHECK(held.shown_until("[drawn]").starts_with("<taken>"));
  for (int i = 0; i < 3; ++i) {
    held.signal(SIGTSTP);  // there is no shell that could stop it: it goes on at once
    const std::string text = held.shown_until("<taken>[drawn]");
    CHECK(text.find("<left><taken>[drawn]") != std::string::npos);
  }
  held.signal(SIGSTOP);
  CHECK(WIFSTOPPED(held.status(WUNTRACED)));
  static_cast<void>(held.shown());
  held.give_back();
  held.signal(SIGCONT);
  CHECK(held.shown_until("<taken>[drawn]").find("<taken>[drawn]") != std::string::npos);
  CHECK((held.settings().c_lflag & (ICANON | ECHO | ISIG)) == ISIG);
  held.signal(SIGTERM);
  std::string end;
  for (int i = 0; i < 200 && end.find("<left>") == std::string::npos; ++i) end += held.shown();
  CHECK(end.ends_with("<left>"));
  CHECK(count(end, "<left>") == 1);
  CHECK(is_cooked(held.settings()));
}

TEST_CASE("last words come when the screen has been left: they would go with it") {
  OnTerminal broken([] {
    const vmm::RawTerminal terminal(STDIN_FILENO, with_screen());
    KVMUX_CHECK(!terminal.active(), "this one breaks");
  });
  const std::string text = broken.shown_until("this one breaks");
  CHECK(text.find("<taken><left>") == 0);
  CHECK(text.find("<left>") < text.find("broken invariant"));
  CHECK(count(text, "<left>") == 1);
  CHECK(WTERMSIG(broken.status()) == SIGABRT);
  CHECK(is_cooked(broken.settings()));
}

TEST_CASE("a screen that nobody reads keeps nobody from ending") {
  OnTerminal held(draw_on_and_on);
  ::usleep(300'000);  // its buffer is full
  held.signal(SIGTERM);
  for (int i = 0; i < 200 && !is_cooked(held.settings()); ++i) ::usleep(10'000);
  CHECK(is_cooked(held.settings()));
  CHECK(WTERMSIG(held.status()) == SIGTERM);
}

TEST_CASE("somebody's own handler of SIGUSR1 ends nothing and leaves the terminal as it is") {
  OnTerminal held([] {
    std::signal(SIGUSR1, [](int) { static_cast<void>(!::write(STDOUT_FILENO, "<asked>", 7)); });
    hold_screen();
  });
  CHECK(held.shown_until("<taken>") == "<taken>");
  held.signal(SIGUSR1);
  CHECK(held.shown_until("<asked>") == "<asked>");
  CHECK((held.settings().c_lflag & ICANON) == 0);
}
