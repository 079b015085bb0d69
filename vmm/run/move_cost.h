// What moving a vCPU costs on this host: KVM_RUN on another thread than last time. Before Linux 6.13 (commit
// 3e7f43188ee2) KVM waits for an RCU grace period then, 3 to 30 ms; since, it is some microseconds.
//
// All times in nanoseconds of CLOCK_MONOTONIC.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "vmm/result.h"
#include "vmm/run/clock.h"

namespace vmm {

struct MoveRounds {
  size_t most = 5;
  Nanos enough{};      // the first that took less ends it; 0: none does
  Nanos limit{};       // none begins after this time; 0: no limit
  int cpu_there = -1;  // binds the new thread; -1: it runs where it likes
};
// Runs the vCPU on this thread and on a new one, in turn. `run`: KVM_RUN that returns at once, and the time
// that it took; called by one thread at a time. What it took on the new ones, in order; at least one.
[[nodiscard]] Result<std::vector<Nanos>> times_of_moves(const std::function<Nanos()>& run,
                                                        const MoveRounds& rounds);

// What they say. A grace period is never short: one move that was cheap says that moves are, and that the
// others met with the host's noise. `moved` has at least one, `staying` is what KVM_RUN takes where nothing
// moves.
[[nodiscard]] Nanos move_cost_from(std::vector<Nanos> moved, Nanos staying);

// By a vCPU of its own that never enters the guest: about a millisecond where moves are cheap, some 0.1 s
// where they are dear. Any thread.
[[nodiscard]] Result<Nanos> measure_move_cost();

// Measured once a boot of the host (kept_figure.h) and looked up once a process. To be called before the
// sandbox closes, or nothing is kept for the next process. 0 if it cannot be measured: whoever runs guests
// meets the reason. Any thread.
[[nodiscard]] Nanos move_cost_of_host();

// By the kernel's release ("6.12.3-amd64"): is it from before that change? False for one that does not begin
// with numbers.
[[nodiscard]] bool waits_for_grace_periods(std::string_view release);

}  // namespace vmm
