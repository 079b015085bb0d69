// Runs a machine by vmm::run() in this process and judges it. One thread, one machine at a time.
#pragma once

#include "tests/soak/machine.h"
#include "tests/soak/watchdog.h"

namespace soak {

// What came of one machine.
struct Outcome {
  double vcpu_seconds = 0;
  uint64_t ipis = 0;
  uint64_t exits = 0;
  bool undecided = false;  // host too busy, or window too short, to see everybody get to work
  std::vector<std::string> failures;
};

Outcome run_in_process(const Machine& machine, Watchdog& dog);

}  // namespace soak
