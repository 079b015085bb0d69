// Which workers sleep, and on which vCPUs wait: how a vCPU that waits and a worker without work find each
// other.
//
// Any thread. No vCPU waits for long while a worker sleeps, because both sides write before they read
// (Dekker), all four sequentially consistent:
//   whoever makes a vCPU wait:   set_waiting(more than before);  then take_idle(): kicks whom it finds
//   a worker without work:       set_idle(true);                 then is_waited_for(): takes what it finds
// Whichever write comes second in the single order of seq_cst operations, its writer sees the other's. Fewer
// waiting is nobody's cue, and is stored relaxed.
//
// Whoever takes an idle worker has it for itself: the next one that has something to give finds the next
// worker. A kick is never lost, so a worker that was taken in vain comes back and is idle again.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>
#include <vector>

#include "sched/base/types.h"

namespace sched {

class IdleWorkers {
 public:
  explicit IdleWorkers(uint32_t workers) : idle_((workers + 63) / 64), waiting_(workers) {}

  void set_idle(WorkerId worker, bool idle) {
    std::atomic<uint64_t>& word = idle_[index_of(worker) / 64];
    if (idle) {
      word.fetch_or(bit(worker), std::memory_order_seq_cst);
    } else {
      word.fetch_and(~bit(worker), std::memory_order_relaxed);
    }
  }

  // The first idle worker at or after `from`, wrapping round. A hint: another may take it.
  std::optional<WorkerId> find_idle(WorkerId from) const {
    const uint32_t start = index_of(from) / 64;
    const auto words = static_cast<uint32_t>(idle_.size());
    const uint64_t from_here = ~uint64_t{0} << (index_of(from) % 64);
    for (uint32_t i = 0; i <= words; ++i) {
      const uint32_t w = (start + i) % words;
      uint64_t bits = idle_[w].load(std::memory_order_seq_cst);
      if (i == 0) bits &= from_here;
      if (i == words) bits &= ~from_here;
      if (bits != 0) return WorkerId{w * 64 + static_cast<uint32_t>(std::countr_zero(bits))};
    }
    return std::nullopt;
  }

  // The same, and it counts as idle no more: to be kicked.
  std::optional<WorkerId> take_idle(WorkerId from) {
    while (const auto worker = find_idle(from)) {
      const uint64_t before =
          idle_[index_of(*worker) / 64].fetch_and(~bit(*worker), std::memory_order_relaxed);
      if ((before & bit(*worker)) != 0) return worker;
    }
    return std::nullopt;
  }

  // vCPUs that wait on this worker's queue. One writer at a time: under that queue's lock.
  void set_waiting(WorkerId worker, uint32_t count) {
    std::atomic<uint32_t>& waiting = waiting_[index_of(worker)].count;
    const bool more = count > waiting.load(std::memory_order_relaxed);
    waiting.store(count, more ? std::memory_order_seq_cst : std::memory_order_relaxed);
  }
  uint32_t waiting(WorkerId worker) const {
    return waiting_[index_of(worker)].count.load(std::memory_order_seq_cst);
  }
  // Does a vCPU wait on another worker than this one?
  bool is_waited_for(WorkerId idle) const {
    for (uint32_t i = 0; i < waiting_.size(); ++i) {
      if (i != index_of(idle) && waiting(WorkerId{i}) > 0) return true;
    }
    return false;
  }

 private:
  static uint64_t bit(WorkerId worker) { return uint64_t{1} << (index_of(worker) % 64); }

  struct alignas(64) Waiting {
    std::atomic<uint32_t> count{0};
  };
  std::vector<std::atomic<uint64_t>> idle_;  // a bit each
  std::vector<Waiting> waiting_;
};

}  // namespace sched
