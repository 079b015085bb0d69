// Cases in which the program itself is run as its user does: signalled, stopped and continued, killed and
// started again, with built-in guests and foreign images. One thread.
#pragma once

#include "tests/soak/in_process.h"

namespace soak {

struct Programs {
  std::string kvmux;   // path of the program
  std::string images;  // folder of the test guests
  std::string folder;  // for files of this process
};

// A machine of any kind but kRun.
Outcome run_program_case(const Machine& machine, const Programs& programs, Watchdog& dog);

}  // namespace soak
