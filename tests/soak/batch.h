// A child process that runs machines one after the other and reports each through a pipe, so that a crash or
// a hang is one machine's failure. The parent has one thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/soak/program_case.h"

namespace soak {

struct Plan {
  uint64_t seed = 0;
  Surroundings surroundings;
  Programs programs;
  std::chrono::steady_clock::time_point end;  // no machine is begun after this
  uint64_t max_failures = 10;
  bool verbose = false;
};

struct Totals {
  uint64_t machines = 0;
  uint64_t programs = 0;  // of them, those that ran the program itself
  double vcpu_seconds = 0;
  uint64_t ipis = 0;
  uint64_t exits = 0;
  uint64_t undecided =
      0;  // machines whose vCPUs did not all get to work, for want of time or of a host that has any
  uint64_t failures = 0;  // machines that failed
};

// Machine `number` here and now, in this process; failures are printed. False: it failed.
bool run_machine(const Plan& plan, uint64_t number, Watchdog& dog, Totals& totals);

// Machines from `first` on in a child: a batch, or up to the plan's end. Returns the next one's number.
uint64_t run_batch(const Plan& plan, uint64_t first, Totals& totals);

}  // namespace soak
