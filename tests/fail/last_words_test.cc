// Ends in a hurry, with a standard error whose reader does not read, has gone, or reads: each in a process of
// its own, each within its bound.
#include "vmm/last_words.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <new>
#include <string>
#include <thread>

#include "vmm/check.h"
#include "vmm/run/trouble.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/uncaught.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

enum class Reader { kReads, kBlocked, kGone };

struct Ending {
  int status = 0;  // as of waitpid()
  Clock::duration took{};
  std::string said;
};

Ending end_in_child(Reader reader, void (*act)()) {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  if (reader == Reader::kBlocked) {
    REQUIRE(::fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    const std::string much(65536, 'x');
    while (::write(ends[1], much.data(), much.size()) > 0) {
    }
    REQUIRE(::fcntl(ends[1], F_SETFL, 0) == 0);
  }
  const auto start = Clock::now();
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::signal(SIGPIPE, SIG_IGN);  // as main() does
    ::dup2(ends[1], STDERR_FILENO);
    ::close(ends[0]);
    ::close(ends[1]);
    ::signal(SIGABRT, SIG_DFL);
    ::alarm(20);
    act();
    ::_exit(42);
  }
  ::close(ends[1]);
  if (reader == Reader::kGone) ::close(ends[0]);
  Ending ending;
  REQUIRE(::waitpid(child, &ending.status, 0) == child);
  ending.took = Clock::now() - start;
  if (reader == Reader::kGone) return ending;
  std::array<char, 1024> some{};
  if (reader == Reader::kReads) {
    for (ssize_t got = 0; (got = ::read(ends[0], some.data(), some.size())) > 0;) {
      ending.said.append(some.data(), static_cast<size_t>(got));
    }
  }
  ::close(ends[0]);
  return ending;
}

bool aborted(int status) { return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT; }
bool is_host_trouble(int status) { return WIFEXITED(status) && WEXITSTATUS(status) == 3; }

void check_every_reader(void (*act)(), bool (*right)(int), const std::string& words) {
  for (const Reader reader : {Reader::kReads, Reader::kBlocked, Reader::kGone}) {
    CAPTURE(static_cast<int>(reader));
    const Ending ending = end_in_child(reader, act);
    CHECK(right(ending.status));
    CHECK(ending.took < 5s);
    if (reader == Reader::kReads) CHECK_MESSAGE(ending.said.find(words) != std::string::npos, ending.said);
  }
}

}  // namespace

TEST_CASE("a broken invariant ends the process whoever reads its message") {
  check_every_reader([] { KVMUX_CHECK(1 + 1 == 3, "sums are wrong"); }, aborted, "last_words_test.cc:");
  check_every_reader([] { KVMUX_CHECK(1 + 1 == 3, "sums are wrong"); }, aborted,
                     ": broken invariant: sums are wrong (1 + 1 == 3)\n");
}

TEST_CASE("threads that cannot be stopped end the process whoever reads the message") {
  check_every_reader(
      [] {
        vmm::Trouble trouble;
        trouble.report(vmm::host_error("tgkill", EPERM).value());
        trouble.give_up();
      },
      is_host_trouble, "kvmux: tgkill: ");
}

TEST_CASE("a violation of the sandbox ends the process whoever reads the message") {
  if (!vmm::sandbox::is_on()) return;
  check_every_reader(
      [] {
        if (!vmm::sandbox::enter_sandbox(vmm::sandbox::ThreadKind::kWriter)) ::_exit(99);
        static_cast<void>(::dup(0));
      },
      is_host_trouble, "(writer) called dup (");
}

TEST_CASE("a thread that finds no memory ends the process with a message") {
  check_every_reader(
      [] {
        vmm::end_on_uncaught_exceptions();
        std::thread([] { throw std::bad_alloc(); }).join();
      },
      is_host_trouble, "kvmux: the host is short of memory");
}

TEST_CASE("a message longer than a pipe holds reaches who reads") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe(ends.data()) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    vmm::last_words(std::string(200'000, 'x'));
    ::_exit(0);
  }
  ::close(ends[1]);
  size_t all = 0;
  std::array<char, 4096> some{};
  for (ssize_t got = 0; (got = ::read(ends[0], some.data(), some.size())) > 0;)
    all += static_cast<size_t>(got);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(all == 200'000);
}
