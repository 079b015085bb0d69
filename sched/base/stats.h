// What the scheduler counts and measures per vCPU; the same on real KVM and in virtual time.
//
// Two forms of the same members: VcpuStats is plain data, VcpuCounters is what the scheduler counts in.
// Counters are written by whoever has the vCPU: while it runs its worker, with or without a lock; while it
// waits whoever holds its queue's lock; else who wakes or moves it. Any thread may look at them meanwhile
// (Scheduler::counted()); figures that add up come from Scheduler::stats(), while no other call is in
// progress.
#pragma once

#include <array>
#include <cstdint>

#include "sched/base/published.h"
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
  kOwner,             // critical, oracle: it owns a lock, as its guest publishes
  kNeeded,            // oracle: it is what the yielder waits for, neither lock nor IPI
  kCount,
};
inline constexpr size_t kYieldReasons = static_cast<size_t>(YieldReason::kCount);

// Time since the vCPU was added, by state; sums to that time. `running` contains exit handling by the VMM.
template <template <class> class Cell>
struct StateTimesOf {
  Cell<Nanos> running{};
  Cell<Nanos> waiting{};  // runnable, not on a worker
  Cell<Nanos> halted{};
  Cell<Nanos> stopped{};
};

template <template <class> class Cell>
struct VcpuStatsOf {
  StateTimesOf<Cell> times;
  Cell<Nanos> worst_wait{};      // longest single stretch of waiting
  Cell<uint64_t> switches_in{};  // times put on a worker
  Cell<uint64_t> preemptions{};  // taken off while runnable, by tick or wake-up
  Cell<uint64_t> migrations{};   // put on another worker than the last
  Cell<uint64_t> wakeups{};
  Cell<uint64_t> spin_exits{};
  Cell<uint64_t> yields_tried{};                            // attempts on a candidate
  std::array<Cell<uint64_t>, kYieldReasons> yields_done{};  // by reason
  // Against what the guest publishes (Setup::judges_yields): to one that the yielder needed, by reason; and
  // spin exits at which one waited that it needed.
  std::array<Cell<uint64_t>, kYieldReasons> yields_right{};
  Cell<uint64_t> right_possible{};
  Cell<uint64_t> extensions{};     // turns that went on past their end
  Cell<uint64_t> urged{};          // receivers of its IPIs that were made urgent
  Cell<uint64_t> yields_local{};   // target was on the yielder's worker, or pulled there
  Cell<uint64_t> yields_remote{};  // target was nominated on another worker
  Cell<uint64_t> pulls{};          // target was brought here
  Cell<uint64_t> penalties{};
  Cell<uint64_t> credits{};
  Cell<Vruntime> penalty_sum{};
  Cell<uint64_t> ipis_sent{};  // receivers counted one by one
  Cell<uint64_t> eois{};
  // Outcome of done yields, at the yielder's next spin exit or when it leaves the worker (yield/outcome.cc).
  Cell<uint64_t> yield_hits{};     // the target ran, and the wait is over
  Cell<uint64_t> yield_misses{};   // the target did not run, or ran without spinning while the wait goes on
  Cell<uint64_t> yield_harmful{};  // the target ran, spun itself, and the wait goes on
};

template <class T>
using Plain = T;
using StateTimes = StateTimesOf<Plain>;
using VcpuStats = VcpuStatsOf<Plain>;
using VcpuCounters = VcpuStatsOf<Published>;

// As they are now; what one thread changes meanwhile may be of before or after.
VcpuStats copy_of(const VcpuCounters& counters);

// Counters and times between two moments, member by member. worst_wait is the end's: a maximum has no
// difference.
VcpuStats operator-(const VcpuStats& end, const VcpuStats& start);

}  // namespace sched
