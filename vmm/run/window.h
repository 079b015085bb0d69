// The measured window: what all vCPUs had done at its start and at its end, and the result as the difference.
//
// Snapshots are taken while the workers are parked; the rest is arithmetic.
#pragma once

#include <vector>

#include "vmm/run/machine.h"
#include "vmm/run/tiny_vm.h"
#include "vmm/run_types.h"

namespace vmm {

struct VcpuSnapshot {
  sched::VcpuStats sched;
  VcpuAccount account;
  kvmux_vcpu_results guest;
};

struct Snapshot {
  Nanos at{};
  std::vector<std::vector<VcpuSnapshot>> vms;  // by VM, by vCPU index
  std::vector<Nanos> worker_busy;
  std::vector<Worker::HostUse> host_use;  // by worker
  double steal_ms = 0;
};

Snapshot take_snapshot(Machine& machine, const std::vector<TinyVm>& vms);

// What lies between two snapshots. `spec` names guests and policies.
RunResult difference(const RunSpec& spec, const Calibration& calibration, const std::vector<TinyVm>& vms,
                     const Snapshot& start, const Snapshot& end);

}  // namespace vmm
