// What a run makes of the cost of moving a vCPU to another worker: where moves are dear, vCPUs stay with the
// workers where they begin, under every policy; whoever names a migration cost has his way. One rule for runs
// on KVM, simulated ones and boots.
//
// Pure functions, any thread. Times in nanoseconds.
#pragma once

#include <optional>
#include <string>

#include "vmm/run_types.h"

namespace vmm {

// From this on a move costs more than it can win: ten times what a preemption costs, and a fifteenth of a
// slice.
inline constexpr Nanos kDearMove{200'000};

// Puts the cost into every policy of the run that says nothing of it, so that its scheduler moves nobody
// (sched::Tuning::dear_move). Nothing, and nothing changed: moves are cheap, or the host has the queues.
[[nodiscard]] std::optional<MovesWeighed> weigh_moves(RunSpec& spec, Nanos cost);

// What a move costs where this runs: on this host (move_cost.h), or by its cost profile; 0 where that is not
// known.
[[nodiscard]] Nanos move_cost_for(const RunSpec& spec);

// "moves cost 15.8 ms on this kernel (6.1.0, before 6.13): vCPUs stay with the workers where they begin".
// `release`: of the host's kernel; empty: they cost that in a cost profile.
[[nodiscard]] std::string moves_text(const MovesWeighed& moves, std::string_view release);
// Of this host, or of a simulated one.
[[nodiscard]] std::string moves_text(const MovesWeighed& moves, Backend backend);

}  // namespace vmm
