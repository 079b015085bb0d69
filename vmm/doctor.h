// Is this host fit for kvmux? What `kvmux doctor` finds out: checks with their consequences, and what the
// basic steps of a hypervisor cost here. The measured costs are also a cost profile for the simulator.
//
// doctor_measure() runs small guests for some seconds; call it from the main thread while nothing else runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/result.h"

namespace vmm {

enum class CheckState : uint8_t { kOk, kWarn, kFail };

struct DoctorCheck {
  std::string name;  // "/dev/kvm"
  CheckState state = CheckState::kOk;
  std::string detail;                      // "readable and writable"
  std::string consequence;                 // what it means for runs; empty if all is well
  std::vector<std::string> commands = {};  // that mend it, as host_facts.h has them
};

struct MeasuredCost {
  std::string key;    // as in cost profiles (sched::sim::cost_fields()): "exit_user_ns", "pauses_per_ms"
  std::string what;   // "exit to user space from CPL 3, round trip"
  int64_t value = 0;  // nanoseconds where the key ends in _ns
};

struct DoctorReport {
  std::vector<DoctorCheck> checks;
  std::vector<MeasuredCost> costs;        // empty if /dev/kvm cannot be used
  std::vector<std::string> implications;  // for slice, spin window and the choice of workers
};

[[nodiscard]] Result<DoctorReport> doctor_measure();

}  // namespace vmm
