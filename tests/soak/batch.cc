#include "tests/soak/batch.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>

#include "tests/soak/holdings.h"
#include "tests/soak/in_process.h"

namespace soak {
namespace {

constexpr uint64_t kBatch = 100;
constexpr uint64_t kWarmUp = 15;  // machines until caches and arenas are what they will be

void print_failure(const Plan& plan, uint64_t number, const std::string& text) {
  std::printf("FAILED machine %llu: %s\n  again: kvmux_soak --seed %llu --machine %llu\n",
              static_cast<unsigned long long>(number), text.c_str(),
              static_cast<unsigned long long>(plan.seed), static_cast<unsigned long long>(number));
  std::fflush(stdout);
}

void send(int pipe, const Totals& totals) {
  // Smaller than PIPE_BUF: whole or not at all. A parent that has gone ends the child by SIGPIPE.
  while (::write(pipe, &totals, sizeof totals) < 0 && errno == EINTR) {
  }
}

// Machines of a batch, in the child.
void child_main(const Plan& plan, uint64_t first, int pipe) {
  Watchdog dog;
  Holdings before;
  for (uint64_t i = 0; i < kBatch && std::chrono::steady_clock::now() < plan.end; ++i) {
    Totals one;
    bool good = run_machine(plan, first + i, dog, one);
    const Holdings now = holdings();
    if (i == 0) before = now;
    const std::string more = grown(before, now);
    if (!more.empty()) {
      print_failure(plan, first + i, "it left behind:" + more);
      before = now;
      good = false;
    }
    one.failures = good ? 0 : 1;
    if (i == kWarmUp) before = now;
    const std::string memory = i > kWarmUp ? memory_grown(before, now, i - kWarmUp) : "";
    if (!memory.empty()) {
      print_failure(plan, first + i, "memory over this batch:" + memory);
      one.failures = 1;
    }
    send(pipe, one);
    if (!memory.empty()) break;
  }
}

void add(Totals& totals, const Totals& one) {
  totals.machines += one.machines;
  totals.programs += one.programs;
  totals.vcpu_seconds += one.vcpu_seconds;
  totals.ipis += one.ipis;
  totals.exits += one.exits;
  totals.undecided += one.undecided;
  totals.failures += one.failures;
}

}  // namespace

bool run_machine(const Plan& plan, uint64_t number, Watchdog& dog, Totals& totals) {
  const Machine machine = draw_machine(plan.seed, number, plan.surroundings);
  const bool program = machine.kind != Kind::kRun;
  const Outcome outcome =
      program ? run_program_case(machine, plan.programs, dog) : run_in_process(machine, dog);
  ++totals.machines;
  totals.undecided += outcome.undecided ? 1 : 0;
  if (plan.verbose) {
    std::printf("machine %llu: %.1f vCPU-seconds%s: %s\n", static_cast<unsigned long long>(number),
                outcome.vcpu_seconds, outcome.undecided ? ", undecided" : "", machine.text().c_str());
  }
  totals.programs += program ? 1 : 0;
  totals.vcpu_seconds += outcome.vcpu_seconds;
  totals.ipis += outcome.ipis;
  totals.exits += outcome.exits;
  if (outcome.failures.empty()) return true;
  std::string text = program ? "" : machine.text();
  for (const std::string& failure : outcome.failures) text += "\n  " + failure;
  print_failure(plan, number, text);
  return false;
}

uint64_t run_batch(const Plan& plan, uint64_t first, Totals& totals) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) {
    std::perror("kvmux_soak: pipe");
    std::exit(3);
  }
  std::fflush(stdout);
  const pid_t child = ::fork();
  if (child < 0) {
    std::perror("kvmux_soak: fork");
    std::exit(3);
  }
  if (child == 0) {
    ::close(pipe[0]);
    child_main(plan, first, pipe[1]);
    std::exit(0);  // not _exit(): sanitizers look for leaks at the end
  }
  ::close(pipe[1]);
  uint64_t next = first;
  for (;;) {
    Totals one;
    const ssize_t got = ::read(pipe[0], &one, sizeof one);
    if (got < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof one)) break;
    ++next;
    add(totals, one);
    if (totals.failures >= plan.max_failures) ::kill(child, SIGKILL);
  }
  ::close(pipe[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  if (well || totals.failures >= plan.max_failures) return next;
  print_failure(plan, next,
                fmt::format("the process {} {}: {}", WIFEXITED(status) ? "ended with" : "died of signal",
                            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                            draw_machine(plan.seed, next, plan.surroundings).text()));
  ++totals.failures;
  ++totals.machines;
  return next + 1;
}

}  // namespace soak
