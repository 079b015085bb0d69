// What must hold of a run's result. Pure, any thread.
#pragma once

#include <string>
#include <vector>

#include "tests/soak/machine.h"

namespace soak {

struct Verdict {
  std::vector<std::string> wrong;    // never right, however short the window
  std::vector<std::string> not_yet;  // right if the window was too short for it
  bool host_took_it = false;         // what has not happened yet may be the host's fault: see host_took_it()
};

// `spec` is the machine's with the window that was asked for.
// What became of the host's CPU time meanwhile, all CPUs together.
struct CpuUse {
  Nanos ours{};  // this process
  Nanos idle{};  // nobody
};

Verdict judge(const Machine& machine, const vmm::RunSpec& spec, const vmm::RunResult& result,
              const CpuUse& use);

}  // namespace soak
