// The measured window: what all vCPUs had done at its start and at its end, and the result as the difference.
//
// Snapshots are taken while the engine is paused; the rest is arithmetic.
#pragma once

#include <optional>
#include <vector>

#include "vmm/run/calibrate.h"
#include "vmm/run/cpu_supply.h"
#include "vmm/run/engine.h"
#include "vmm/run/run_vm.h"
#include "vmm/run_types.h"

namespace vmm {

struct VcpuSnapshot {
  Engine::VcpuUse use;
  kvmux_vcpu_results guest;
};

struct Snapshot {
  Nanos at{};
  std::vector<std::vector<VcpuSnapshot>> vms;  // by VM, by vCPU index
  std::vector<std::optional<GuestReport>> reports;  // by VM; nothing of tiny guests
  std::vector<Engine::CpuUse> cpus;            // by worker
  double steal_ms = 0;
  CpuSupply supply;
  std::vector<int> usable;  // CPUs (usable_cpus())
  bool is_peek = false;
};

Snapshot take_snapshot(Engine& engine, const RunVms& vms);

// Where a vCPU's time went between two looks with the engine paused; spinning counts as the guest's.
Ledger ledger_between(const Engine::VcpuUse& start, const Engine::VcpuUse& end);

// What the guests report themselves, while they run: no accounts, no times of the scheduler.
Snapshot peek(const RunVms& vms);

// What lies between two snapshots, of which one may be a peek: then accounts are empty. `spec` names guests
// and policies.
RunResult counters_between(const RunSpec& spec, const Calibrations& calibrations,
                           const RunVms& vms, const Snapshot& start, const Snapshot& end);
// The same of a whole run, with what became of its guests.
RunResult difference(const RunSpec& spec, const Calibrations& calibrations, const RunVms& vms,
                     const Snapshot& start, const Snapshot& end);

}  // namespace vmm
