// From a RunSpec to the scheduler's set-up: group paths, weights, policies, and the spin window. Shared by
// the KVM backend and the simulator, so that both schedule the very same thing.
//
// Pure functions, any thread.
#pragma once

#include <span>

#include "sched/scheduler.h"
#include "vmm/result.h"
#include "vmm/run_types.h"

namespace vmm {

// Whether these VMs can run together, and with this irqchip. Refuses, as usage errors: no VM, VMs that
// disagree on the run queue or on the constants that belong to it (slice-jitter, lag-limit, migration-cost,
// balance-interval), LAPICs inside KVM under a run queue of ours, and weights and groups under the host's.
[[nodiscard]] Result<void> check_together(const RunSpec& spec);

// Whether these policies may take the place of those, while guests run; by VM. Usage errors.
[[nodiscard]] Result<void> check_change(std::span<const VmChange> from, std::span<const VmChange> to);

// The run is left to the host's scheduler: a thread for each vCPU.
[[nodiscard]] bool is_host_run(const RunSpec& spec);
// Some of its VMs are PCs with Linux in them.
[[nodiscard]] bool has_linux_guests(const RunSpec& spec);

// Checks as above, and refuses a bad or repeated group path and the host presets, which have no run queue of
// ours. vCPU ids are dealt in the order of the VMs.
[[nodiscard]] Result<sched::Setup> make_setup(const RunSpec& spec, Nanos spin_window);

// How long a guest spins before it rings: what the user asked for, else as long as the exit that the bell
// costs, so that bell and spinning together lose at most twice what the better of the two would. Kept within
// the range in which policies differ (20 … 200 µs). 0 if guests ring no bell.
[[nodiscard]] Nanos spin_window_of(const RunSpec& spec, Nanos exit_cost);

}  // namespace vmm
