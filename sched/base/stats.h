// What the scheduler counts and measures per vCPU; the same on real KVM and in virtual time.
//
// Plain data. Written by whoever has the vCPU: while it runs its worker, with or without a lock; while it
// waits whoever holds its queue's lock; else who wakes or moves it. Read through Scheduler::stats(), which
// takes a copy while no other call is in progress.
#pragma once

#include <array>
#include <cstdint>

#include "sched/base/types.h"

namespace sched {

// Why a directed yield chose its target.
enum class YieldReason : uint8_t {
  kIpiReceiver,       // the target has not acknowledged our IPI
  kPendingInterrupt,  // it has an interrupt to take
  kPreempted,         // it was taken off a worker while runnable
  kRelaxed,           // found in the relaxed second round
  kChain,             // kvmux: the end of a wait chain
  kHolder,            // kvmux: it left its worker last and does not spin: the likely owner of a lock
  kWaiter,            // kvmux: it waits itself, and longest: the next owner of a fair lock
  kCount,
};
inline constexpr size_t kYieldReasons = static_cast<size_t>(YieldReason::kCount);

// Time since the vCPU was added, by state; sums to that time. `running` contains exit handling by the VMM.
struct StateTimes {
  Nanos running{};
  Nanos waiting{};  // runnable, not on a worker
  Nanos halted{};
  Nanos stopped{};
};

struct VcpuStats {
  StateTimes times;
  Nanos worst_wait{};        // longest single stretch of waiting
  uint64_t switches_in = 0;  // times put on a worker
  uint64_t preemptions = 0;  // taken off while runnable, by tick or wake-up
  uint64_t migrations = 0;   // put on another worker than the last
  uint64_t wakeups = 0;
  uint64_t spin_exits = 0;
  uint64_t yields_tried = 0;                          // attempts on a candidate
  std::array<uint64_t, kYieldReasons> yields_done{};  // by reason
  uint64_t yields_local = 0;                          // target was on the yielder's worker, or pulled there
  uint64_t yields_remote = 0;                         // target was nominated on another worker
  uint64_t pulls = 0;                                 // target was brought here
  uint64_t penalties = 0;
  uint64_t credits = 0;
  Vruntime penalty_sum{};
  uint64_t ipis_sent = 0;  // receivers counted one by one
  uint64_t eois = 0;
  // Outcome of done yields, at the yielder's next spin exit or when it leaves the worker (yield/outcome.cc).
  uint64_t yield_hits = 0;     // the target ran, and the wait is over
  uint64_t yield_misses = 0;   // the target did not run, or ran without spinning while the wait goes on
  uint64_t yield_harmful = 0;  // the target ran, spun itself, and the wait goes on
};

// Counters and times between two moments, member by member. worst_wait is the end's: a maximum has no
// difference.
VcpuStats operator-(const VcpuStats& end, const VcpuStats& start);

}  // namespace sched
