// Where vCPUs go when they wake, and how they move between workers: idle workers steal, all workers balance.
//
// A move takes the vCPU off one queue under that queue's lock, then puts it on the other under the other's:
// never two locks at once. In between it is in RunState::kMoving and belongs to the mover.
#include <bit>

#include "sched/check.h"
#include "sched/scheduler.h"

namespace sched {
void Scheduler::mark_idle(WorkerId worker, bool idle) {
  const uint64_t bit = uint64_t{1} << (index_of(worker) % 64);
  std::atomic<uint64_t>& word = idle_[index_of(worker) / 64];
  // Relaxed: a hint. What must not be missed is under the worker's lock, and kicks are sticky.
  if (idle) {
    word.fetch_or(bit, std::memory_order_relaxed);
  } else {
    word.fetch_and(~bit, std::memory_order_relaxed);
  }
}

// The first idle worker at or after `from`, wrapping round.
std::optional<WorkerId> Scheduler::find_idle(WorkerId from) const {
  const uint32_t start = index_of(from) / 64;
  const uint32_t words = static_cast<uint32_t>(idle_.size());
  for (uint32_t i = 0; i <= words; ++i) {
    const uint32_t w = (start + i) % words;
    uint64_t bits = idle_[w].load(std::memory_order_relaxed);
    const uint64_t from_here = ~uint64_t{0} << (index_of(from) % 64);
    if (i == 0) bits &= from_here;
    if (i == words) bits &= ~from_here;
    if (bits != 0) return WorkerId{w * 64 + static_cast<uint32_t>(std::countr_zero(bits))};
  }
  return std::nullopt;
}

// Its last worker if that is idle; else an idle one, if there is any.
WorkerId Scheduler::choose_worker(WorkerId last) const {
  if (!moves_) return last;
  return find_idle(last).value_or(last);
}

void Scheduler::enqueue_moving(Vcpu& vcpu, WorkerId to, Nanos now) {
  Worker& worker = worker_at(to);
  MutexLock lock(worker.mutex);
  if (vcpu.state != RunState::kQueued) account_state(vcpu, RunState::kQueued, now);
  worker.queue->enqueue(vcpu, now);
  status_at(vcpu.id).set_queued(to);
  publish(worker);
  if (worker.idle) {
    host_.kick(to);
  } else if (worker.queue->current() == nullptr) {
    return;  // the worker is between two picks
  } else if (worker.queue->preempts(vcpu)) {
    if (worker.eevdf != nullptr) worker.eevdf->cancel_protection();
    host_.kick(to);
  } else {
    arm(worker, to);  // it may have run without a tick so far
  }
}

// Takes a waiting vCPU off the victim's queue, or none. When balancing, only if that brings the loads closer
// or at least swaps their order: three equal vCPUs on two workers take turns at having a worker alone.
Vcpu* Scheduler::take_from(WorkerId victim_id, WorkerId thief, Nanos now, bool balancing) {
  Worker& victim = worker_at(victim_id);
  MutexLock lock(victim.mutex);
  if (victim.queue->waiting() == 0) return nullptr;
  Vcpu* vcpu = victim.queue->stealable(now - tuning_.migration_cost);
  if (vcpu == nullptr) return nullptr;
  if (balancing) {
    const int64_t excess = victim.queue->load().value - worker_at(thief).load.load(std::memory_order_relaxed);
    const int64_t gain = victim.queue->load_of(*vcpu).value;
    if (excess < gain - gain / 8) return nullptr;  // an eighth: shares are rounded and a moment old
  }
  victim.queue->dequeue(*vcpu, now);
  status_at(vcpu->id).set_moving();
  publish(victim);
  return vcpu;
}

// An idle worker takes work from the next worker that has some waiting.
bool Scheduler::steal(WorkerId thief, Nanos now) {
  for (uint32_t i = 1; i < workers(); ++i) {
    const WorkerId victim{(index_of(thief) + i) % workers()};
    if (worker_at(victim).waiting.load(std::memory_order_relaxed) == 0) continue;
    if (Vcpu* vcpu = take_from(victim, thief, now, false)) {
      enqueue_moving(*vcpu, thief, now);
      return true;
    }
  }
  return false;
}

void Scheduler::balance(WorkerId id, Nanos now) {
  const int64_t own = worker_at(id).load.load(std::memory_order_relaxed);
  int64_t most = own;
  WorkerId busiest = id;
  for (uint32_t i = 1; i < workers(); ++i) {
    const WorkerId other{(index_of(id) + i) % workers()};
    const int64_t load = worker_at(other).load.load(std::memory_order_relaxed);
    if (load > most && worker_at(other).waiting.load(std::memory_order_relaxed) > 0) {
      most = load;
      busiest = other;
    }
  }
  if (busiest == id) return;
  if (Vcpu* vcpu = take_from(busiest, id, now, true)) enqueue_moving(*vcpu, id, now);
}

}  // namespace sched
