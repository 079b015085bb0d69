// What a host charges for everything that a vCPU is held up by: the simulator's picture of a machine.
//
// Plain data, any thread. Round trips are from the guest to the VMM and back into the guest, without what the
// VMM does in between (`handle`). docs/simulator.md says where each built-in figure comes from.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "sched/base/types.h"

namespace sched::sim {

struct CostProfile {
  // Leaving the guest and coming back, by the CPL of the code that was running.
  Nanos exit_user{2'000};       // CPL 3 caused it: MMIO
  Nanos exit_kernel{2'000};     // CPL 0 caused it: MMIO, port, MSR, HLT
  Nanos preempt_user{3'500};    // a signal took CPL 3 code out
  Nanos preempt_kernel{3'500};  // a signal took CPL 0 code out
  Nanos handle{400};            // the VMM's own work on any exit

  // Signals.
  Nanos kick_send{1'000};     // for the worker that kicks another
  Nanos kick_latency{1'500};  // from the kick until the guest is left
  Nanos timer_latency{1'000};
  Nanos kernel_latency{0};  // on top of these two for CPL 0 code: an emulator looks for signals now and then
  Nanos idle_wake{8'000};   // from the kick until an idle worker picks

  // Entering.
  Nanos inject{300};           // an interrupt
  Nanos vcpu_switch{1'000};    // another vCPU than the last one on this worker
  Nanos vcpu_move{3'000};      // on top, if it ran on another worker; of a host's thread at most 10 us
  Nanos carrier_switch{3'000};  // on top of a switch where each vCPU has a thread that carries it
  Nanos host_switch{1'500};    // the host's own switch between vCPU threads, without leaving to user space
  Nanos host_tick{4'000'000};  // the host takes a thread off its CPU at a tick only: 1 / CONFIG_HZ

  // Inside the guest.
  Nanos stub{150};                 // an interrupt stub, each half: up to its EOI, and from there to IRET
  Nanos trap{300};                 // CPL 3 → CPL 0 → CPL 3 by UD2
  int64_t kernel_slowdown = 1;     // CPL 0 code is so many times slower than CPL 3 code
  int64_t pauses_per_ms = 21'000;  // turns of the spin loop
  int64_t delay_iters_per_ms = 3'000'000;

  // The host takes the CPU away from a busy worker: mean distance and mean length; 0: it never does.
  Nanos noise_interval{1'000'000};
  Nanos noise_length{4'000};
};

// One figure as a key of a profile file: "exit_user_ns", or "pauses_per_ms" where it is not a time.
struct CostField {
  std::string_view name;
  std::string_view what;
  int64_t min;
  int64_t (*get)(const CostProfile&);
  void (*set)(CostProfile&, int64_t);
};
std::span<const CostField> cost_fields();

struct NamedProfile {
  std::string_view name;
  std::string_view summary;
  CostProfile costs;
};

// "laptop-vmx", "kvm-pvm".
std::span<const NamedProfile> built_in_profiles();
std::optional<CostProfile> find_profile(std::string_view name);

}  // namespace sched::sim
