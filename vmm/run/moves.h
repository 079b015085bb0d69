// What a run makes of the cost of moving a vCPU to another thread: where it is dear, a thread carries each
// vCPU (carrier.h), and moves between workers are cheap; without carriers (--carriers off) vCPUs stay with
// the workers where they begin, under every policy. Whoever names a migration cost has his way. One rule for
// runs on KVM, simulated ones and boots.
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

struct MoveCosts {
  Nanos move{};      // of a vCPU to another thread
  Nanos handover{};  // of a worker from one carrier to another; 0: not known
  MoveCosts(Nanos of_move = {}, Nanos of_handover = {})  // NOLINT(google-explicit-constructor)
      : move(of_move), handover(of_handover) {}
};

// Are there carriers where a move costs this? Not under the host's policies, whose vCPUs have threads anyway.
[[nodiscard]] bool has_carriers(const RunSpec& spec, Nanos move_cost);

// Without carriers: puts the cost into every policy of the run that says nothing of it, so that its scheduler
// moves nobody (sched::Tuning::dear_move). With carriers no policy is changed. Nothing, and nothing changed:
// moves are cheap and nobody asks for carriers, or the host has the queues.
[[nodiscard]] std::optional<MovesWeighed> weigh_moves(RunSpec& spec, const MoveCosts& costs);

// What that costs where this runs: on this host (move_cost.h, handover_cost.h), or by its cost profile; 0
// where it is not known, a hand-over's also where the run has no carriers.
[[nodiscard]] MoveCosts move_costs_for(const RunSpec& spec);

// "moves cost 15.8 ms on this kernel (6.1.0, before 6.13): a thread carries each vCPU; a hand-over costs 7
// us". `release`: of the host's kernel; empty: they cost that in a cost profile.
[[nodiscard]] std::string moves_text(const MovesWeighed& moves, std::string_view release);
// Of this host, or of a simulated one.
[[nodiscard]] std::string moves_text(const MovesWeighed& moves, Backend backend);

}  // namespace vmm
