// A vCPU's states of late, with their times, and how long it has been in each: for whoever looks on while it
// runs (a watchdog, a live view).
//
// note(): whoever changes the vCPU's state, one at a time as the state itself demands (base/status.h). All
// else: any thread, without a lock; what it gets is of one moment.
//
// A sequence lock: the writer makes the number odd, writes, makes it even. Words are stored with release and
// read with acquire: who has read a word of change k knows that the number was odd for k. On x86 these are
// plain moves, and ThreadSanitizer, which knows no fences, can follow them.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/base/types.h"

namespace sched {

class StateHistory {
 public:
  static constexpr size_t kKept = 20;

  struct Entry {
    RunState state = RunState::kNew;
    WorkerId worker = kNoWorker;  // where
    Nanos at{};
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  struct Moment {
    RunState state = RunState::kNew;
    WorkerId worker = kNoWorker;
    Nanos since{};     // of the state; a move from queue to queue does not begin it anew
    StateTimes times;  // without what has passed since then
  };

  // The state from now on, on or from this worker; the same state again is a move.
  void note(RunState state, Nanos now, WorkerId worker);

  Moment now() const;
  // The last changes and moves, oldest first, kKept at the most.
  std::vector<Entry> entries() const;

 private:
  // A power of two, so that the oldest that is read is not the one being written.
  static constexpr size_t kSlots = 32;
  struct Slot {
    std::atomic<int64_t> at{0};
    std::atomic<uint64_t> what{0};
  };
  static uint64_t pack(RunState state, WorkerId worker) {
    return static_cast<uint64_t>(state) | uint64_t{index_of(worker)} << 32;
  }
  static Entry unpack(uint64_t what, int64_t at) {
    return {static_cast<RunState>(what & 0xff), WorkerId{static_cast<uint32_t>(what >> 32)}, Nanos(at)};
  }
  template <class Copy>
  void read(Copy copy) const;

  std::atomic<uint64_t> number_{0};  // twice the changes so far; odd: one is being written
  std::atomic<int64_t> since_{0};
  std::array<std::atomic<int64_t>, 4> times_{};  // running, waiting, halted, stopped
  std::array<Slot, kSlots> slots_;
};

}  // namespace sched
