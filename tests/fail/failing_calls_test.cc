// Every system call that a run makes, once it is under way, fails: the 1st, the 100th, the 1000th, and for
// good. The calls are counted in a run that nothing disturbs, so that the list is never old.
//
// KVMUX_FAIL=all tries them all, =list names them; =SUBJECT/THREAD/CALL/N/ERROR that one, as messages name
// it, or a part of it those that begin so. Else some, drawn by KVMUX_SEED.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>

#include "tests/fail/judge.h"
#include "tests/fail/naming.h"
#include "tests/kvm/require_kvm.h"

using namespace fail_test;

namespace {

constexpr int kErrors[] = {ENOMEM, EAGAIN, EINTR, EPERM};
constexpr auto kShare = std::chrono::seconds(18);  // of a whole test run

class InputFile {
 public:
  explicit InputFile(std::string_view text) {
    const int fd = ::mkstemp(path_);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(fd);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile() { ::unlink(path_); }
  std::string path() const { return path_; }

 private:
  char path_[32] = "/tmp/kvmux-typed-XXXXXX";
};

Subject run_of(std::string name, std::vector<std::string> words) {
  std::vector<std::string> arguments{KVMUX_PROGRAM, "run",      "--workers", "2",      "--seconds",
                                     "0.3",         "--warmup", "0.05",      "--json", "-"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  return {.name = std::move(name), .program = {.arguments = std::move(arguments), .input = {}}};
}

Subject boot_of(std::string name, const std::string& typed_file, const std::string& irqchip) {
  Subject subject{.name = std::move(name),
                  .program = {.arguments = {KVMUX_PROGRAM, "boot", KVMUX_TEST_GUESTS "/echo.elf", "--mem",
                                            "8M", "--vcpus", "2", "--irqchip", irqchip,
                                            // for one that hears nothing
                                            "--timeout", "5s"},
                              .input = typed_file},
                  .measures = false,
                  .output = {},
                  .status = 1};  // the guest's 0
  subject.output = "type something\r\n";
  for (const char c : std::string("hello q")) {
    subject.output += fmt::format("got {}\r\n", static_cast<int>(c));
  }
  return subject;
}

// Mixed: spinning and kicks, host threads, vCPUs that sleep and wake each other on both event loops, and
// boards.
std::vector<Subject> subjects(const std::string& typed_file) {
  const std::vector<std::string> mixed{"--guest", "mixed", "--vms", "2", "--vcpus", "2"};
  auto with = [](std::vector<std::string> words, std::initializer_list<std::string> more) {
    words.insert(words.end(), more);
    return words;
  };
  const std::vector<std::string> sleepy{"--guest", "pingpong", "--vms", "1", "--vcpus", "2"};
  return {run_of("mixed", mixed),
          run_of("ring", with(sleepy, {"--event-loop", "auto"})),
          run_of("epoll", with(sleepy, {"--event-loop", "epoll"})),
          run_of("host", with(mixed, {"--policy", "host"})),
          boot_of("boot", typed_file, "user"),
          boot_of("split", typed_file, "split")};
}

struct Trial {
  const Subject* subject;
  Fault fault;
  std::string text() const { return subject->name + "/" + fault.text(); }
};

// For good: calls that kvmux makes for itself. Those of the C library's start of threads and its memory mean
// that nothing goes any more.
bool may_fail_forever(const Site& site) {
  constexpr std::string_view kLibrarys[] = {"mmap",  "mprotect", "munmap",         "madvise", "mremap",
                                            "clone", "clone3",   "rt_sigprocmask", "futex",   "write stderr"};
  return site.thread != "thread" &&
         std::none_of(std::begin(kLibrarys), std::end(kLibrarys),
                      [&](std::string_view call) { return site.call.starts_with(call); });
}

void add_trials(const Subject& subject, const Site& site, uint64_t count, std::vector<Trial>& trials) {
  if (!can_fail(site.number)) return;
  for (const int error : kErrors) {
    if (!can_fail_with(site.call, error)) continue;
    for (const uint64_t nth : {1, 100, 1000}) {
      if (nth == 1 || nth <= count) trials.push_back({&subject, {site, nth, false, error}});
    }
    // Without an end the C++ library's files and sleeps try again after a signal.
    const bool is_librarys = site.call.find('/') != std::string::npos || site.call == "clock_nanosleep";
    if (is_librarys && error == EINTR) continue;
    // An eventfd says so that it is full, and so wakes its reader, or that it is empty: for good, that is a
    // lie.
    if (site.call.find("eventfd") != std::string::npos && error == EAGAIN) continue;
    if (may_fail_forever(site)) trials.push_back({&subject, {site, 1, true, error}});
  }
}

bool makes(const Census& census, int number) {
  return std::any_of(census.begin(), census.end(),
                     [&](const auto& each) { return each.first.number == number; });
}

// `wanted`: as KVMUX_FAIL has it; other subjects need not run.
std::vector<Trial> all_trials(const std::vector<Subject>& all, const std::string& wanted) {
  std::vector<Trial> trials;
  const bool is_named = wanted.find('/') != std::string::npos;
  for (const Subject& subject : all) {
    if (is_named && !wanted.starts_with(subject.name + "/")) continue;
    Census census;
    const Ending ending = take_census(subject.program, census);
    CHECK_MESSAGE(what_is_wrong(subject, ending) == "", subject.name, ", undisturbed: ", ending.err);
    REQUIRE(ending.status == subject.status);
    if (subject.name == "epoll") CHECK(makes(census, SYS_epoll_pwait2));
    if (subject.name == "epoll") CHECK_FALSE(makes(census, SYS_io_uring_setup));
    for (const auto& [site, count] : census) add_trials(subject, site, count, trials);
  }
  return trials;
}

struct Tally {
  size_t tried = 0;
  size_t met = 0;  // the call was made and failed
  size_t unharmed = 0;
  size_t said = 0;
};

void attempt(const Trial& trial, Tally& tally) {
  Ending ending;
  for (int tries = 3; tries > 0; --tries) {
    ending = run_failing(trial.subject->program, trial.fault);
    if (what_is_wrong(*trial.subject, ending) != kNothingDone) break;
  }
  ++tally.tried;
  if (ending.failed > 0) ++tally.met;
  if (ending.status == trial.subject->status) {
    ++tally.unharmed;
  } else {
    ++tally.said;
  }
  const std::string wrong = what_is_wrong(*trial.subject, ending);
  CHECK_MESSAGE(wrong == "", trial.text(), ": ", wrong, "; status ", ending.status, ", failed ",
                ending.failed, " times, said: ", ending.err.substr(0, 600));
}

std::string wish() {
  const char* text = std::getenv("KVMUX_FAIL");
  return text == nullptr ? "" : text;
}

uint64_t seed() {
  const char* text = std::getenv("KVMUX_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : std::random_device{}();
}

}  // namespace

TEST_CASE("a system call that fails is made up for, or the run ends with a message") {
  REQUIRE_KVM(system);
  REQUIRE_OR_SKIP(can_trace(), "processes here may not trace their children (ptrace)");
  const auto start = std::chrono::steady_clock::now();
  const InputFile typed("hello q");
  const std::vector<Subject> all = subjects(typed.path());
  const std::string wanted = wish();
  std::vector<Trial> trials = all_trials(all, wanted);
  const uint64_t chosen = seed();
  if (wanted == "list") {
    for (const Trial& trial : trials) fmt::print("{}\n", trial.text());
    return;
  }
  if (!wanted.empty() && wanted != "all") {
    std::erase_if(trials, [&](const Trial& trial) { return !trial.text().starts_with(wanted); });
  } else {
    std::shuffle(trials.begin(), trials.end(), std::mt19937_64(chosen));
  }
  REQUIRE(!trials.empty());
  Tally tally;
  for (const Trial& trial : trials) {
    if (wanted.empty() && std::chrono::steady_clock::now() - start > kShare) break;
    attempt(trial, tally);
  }
  fmt::print(
      "seed {}: {} of {} failures tried; {} met their call; {} runs unharmed, {} ended with a message\n",
      chosen, tally.tried, trials.size(), tally.met, tally.unharmed, tally.said);
}
