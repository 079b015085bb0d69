// A vCPU's published state: one atomic word per vCPU, so that a directed-yield scan over a VM reads a few
// cache lines and no lock.
//
// The state part is the halt/wake protocol. Who may change it:
//   kQueued ↔ kRunning, → kHalted, → kStopped     the worker that holds the vCPU, under its queue's lock
//   kNew → kMoving                               whoever starts it; until then nothing wakes it
//   kHalted → kMoving                            whoever wins claim(kHalted): exactly one waker
//   kQueued → kMoving                            whoever dequeues it, under that queue's lock
//   kMoving → kQueued                            whoever put it into kMoving, under the new queue's lock
// The flags are hints and may be set by any thread.
//
// No wake-up is lost, because both sides write before they read (Dekker), all four sequentially consistent:
//   halting worker:   state := kHalted;      then read the LAPIC's interrupt state; pending → claim(kHalted)
//   interrupt poster: set the bit in IRR;    then read state;                       kHalted → claim(kHalted)
// Whichever write comes second in the single order of seq_cst operations, its writer sees the other's; if
// both do, one of them wins the claim.
#pragma once

#include <atomic>
#include <cstdint>

#include "sched/base/types.h"

namespace sched {

enum class RunState : uint32_t { kNew, kHalted, kMoving, kQueued, kRunning, kStopped };

class Status {
 public:
  // A decoded copy.
  struct View {
    uint32_t word;
    RunState state() const { return static_cast<RunState>(word & kStateMask); }
    WorkerId worker() const { return WorkerId{word >> kWorkerShift}; }
    bool preempted() const { return (word & kPreempted) != 0; }
    bool preempted_in_kernel() const { return (word & kInKernel) != 0; }
    bool spinning() const { return (word & kSpinning) != 0; }
    bool irq_pending() const { return (word & kIrqPending) != 0; }
  };

  View view() const { return {word_.load(std::memory_order_seq_cst)}; }

  // kRunning on this worker; what described it while it was off the worker is void.
  void set_running(WorkerId worker) {
    change(~kIrqPending, static_cast<uint32_t>(RunState::kRunning) | index_of(worker) << kWorkerShift);
  }
  // kQueued on this worker after a move or a wake-up.
  void set_queued(WorkerId worker) {
    change(kStateMask | kWorkerMask, static_cast<uint32_t>(RunState::kQueued) | index_of(worker)
                                                                                    << kWorkerShift);
  }
  // kQueued where it ran: taken off while runnable. in_kernel: at CPL 0.
  void set_preempted(bool in_kernel) {
    change(kStateMask, static_cast<uint32_t>(RunState::kQueued) | kPreempted | (in_kernel ? kInKernel : 0));
  }
  // The same on its way to another worker's queue.
  void set_preempted_moving(bool in_kernel) {
    change(kStateMask, static_cast<uint32_t>(RunState::kMoving) | kPreempted | (in_kernel ? kInKernel : 0));
  }
  void set_moving() { change(kStateMask, static_cast<uint32_t>(RunState::kMoving)); }
  void set_halted() { change(kStateMask, static_cast<uint32_t>(RunState::kHalted)); }
  void set_stopped() { change(kStateMask, static_cast<uint32_t>(RunState::kStopped)); }
  // `from` (kNew or kHalted) → kMoving; true for exactly one caller. Partner: set_halted(), see above.
  bool claim(RunState from) {
    uint32_t word = word_.load(std::memory_order_seq_cst);
    while (static_cast<RunState>(word & kStateMask) == from) {
      const uint32_t next = (word & ~kStateMask) | static_cast<uint32_t>(RunState::kMoving);
      if (word_.compare_exchange_weak(word, next, std::memory_order_seq_cst)) return true;
    }
    return false;
  }

  // Taken off because it spins; until the next run.
  void set_spinning() { change(0, kSpinning); }
  void set_irq_pending() { change(0, kIrqPending); }
  void clear_irq_pending() {
    if ((word_.load(std::memory_order_relaxed) & kIrqPending) != 0) change(kIrqPending, 0);
  }
  // A spinning vCPU is eligible for a directed yield only every second time it is considered (KVM).
  bool take_yield_turn() {
    return (word_.fetch_xor(kYieldTurn, std::memory_order_relaxed) & kYieldTurn) != 0;
  }

 private:
  static constexpr uint32_t kStateMask = 7;
  static constexpr uint32_t kPreempted = 1 << 3;
  static constexpr uint32_t kInKernel = 1 << 4;
  static constexpr uint32_t kSpinning = 1 << 5;
  static constexpr uint32_t kIrqPending = 1 << 6;
  static constexpr uint32_t kYieldTurn = 1 << 7;
  static constexpr uint32_t kWorkerShift = 16;
  static constexpr uint32_t kWorkerMask = 0xffff0000;

  void change(uint32_t clear, uint32_t set) {
    uint32_t word = word_.load(std::memory_order_relaxed);
    while (!word_.compare_exchange_weak(word, (word & ~clear) | set, std::memory_order_seq_cst)) {
    }
  }

  std::atomic<uint32_t> word_{static_cast<uint32_t>(RunState::kNew)};
};

// What other workers may see of a vCPU's progress. Relaxed hints, written by the worker that holds the vCPU.
struct Progress {
  std::atomic<uint32_t> runs{0};          // times put on a worker
  std::atomic<uint32_t> spins{0};         // spin exits
  std::atomic<int64_t> off_since{0};      // when it last left a worker, host ns
  std::atomic<int64_t> waiting_since{0};  // first spin exit of the wait it is in, host ns
};

inline constexpr uint32_t kMaxWorkers = 1 << 16;

}  // namespace sched
