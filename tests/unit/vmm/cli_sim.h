// The simulator behind the command line.
#pragma once

#include "cli_fake.h"
#include "vmm/run/sim_backend.h"

namespace vmm {

struct SimProgram : FakeProgram {
  SimProgram() {
    backend = [this](const RunSpec& spec) { return run_simulated(spec, control); };
  }
};

}  // namespace vmm
