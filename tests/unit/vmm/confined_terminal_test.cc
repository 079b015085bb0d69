// The terminal is put back when a thread ends the program that may do next to nothing.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "tests/unit/vmm/on_terminal.h"
#include "vmm/cli/terminal.h"
#include "vmm/run/os_thread.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/violation.h"

using namespace vmm;
using namespace terminal_test;

namespace {

// Holds the terminal, with a screen, while a confined worker does this.
void with_worker(void (*act)()) {
  const int screen = ::open(::ttyname(STDIN_FILENO), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (!sandbox::confine_process({})) ::_exit(99);
  const RawTerminal terminal(STDIN_FILENO,
                             {.signals = true, .screen = screen, .enter = "<taken>", .leave = "<left>"});
  std::thread([act] {
    if (!settle_thread("confined", allowed_cpus()) || !sandbox::enter_sandbox(sandbox::ThreadKind::kWorker))
      ::_exit(98);
    act();
  }).join();
}

bool has_sandbox() {
  if (const auto now = sandbox::state(); !now.why_off.empty()) {
    MESSAGE("skipped, no sandbox: " << now.why_off);
    return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a violation of the sandbox is said when the terminal has been put back") {
  if (!has_sandbox()) return;
  OnTerminal held([] { with_worker([] { ::syscall(SYS_rt_sigaction, SIGINT, nullptr, nullptr, 8); }); });
  const std::string text = held.shown_until("rt_sigaction");
  CHECK(text.find("<taken><left>kvmux: sandbox: thread confined (worker) called rt_sigaction") == 0);
  CHECK(WEXITSTATUS(held.status()) == sandbox::kViolationStatus);
  CHECK(is_cooked(held.settings()));
}

TEST_CASE("a fault of a confined thread ends the program by its own signal, the terminal put back") {
  if (!has_sandbox()) return;
  OnTerminal held([] { with_worker([] { ::raise(SIGSEGV); }); });
  CHECK(held.shown_until("<left>") == "<taken><left>");
  CHECK(WTERMSIG(held.status()) == SIGSEGV);
  CHECK(is_cooked(held.settings()));
}

TEST_CASE("stops and endings come to the main thread, whatever else runs") {
  if (!has_sandbox()) return;
  OnTerminal held([] {
    with_worker([] {
      constexpr timespec kMoment{0, 20'000'000};
      for (;;) ::nanosleep(&kMoment, nullptr);
    });
  });
  CHECK(held.shown_until("<taken>") == "<taken>");
  // There is no shell that could stop it: it goes on at once.
  for (int i = 0; i < 50; ++i) {
    held.signal(SIGTSTP);
    CHECK(held.shown_until("<taken>") == "<left><taken>");
  }
  held.signal(SIGTERM);
  CHECK(held.shown_until("<left>") == "<left>");
  CHECK(WTERMSIG(held.status()) == SIGTERM);
}
