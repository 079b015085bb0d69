// Where vCPUs go when they wake, and how they move between workers: idle workers steal, all workers balance.
//
// A move takes the vCPU off one queue under that queue's lock, then puts it on the other under the other's:
// never two locks at once. In between it is in RunState::kMoving and belongs to the mover.
#include <algorithm>
#include <array>

#include "sched/base/check.h"
#include "sched/scheduler.h"

namespace sched {
namespace {
constexpr size_t kLookAt = 8;  // waiting vCPUs that are considered for a move
}

// Its VM's home or its own last worker if that is idle; else an idle one, if there is any.
WorkerId Scheduler::choose_worker(const Vcpu& vcpu) const {
  const WorkerId home = home_of(vcpu);
  const WorkerId last = home != kNoWorker ? home : vcpu.last_worker;
  if (!moves_) return last;
  return idle_.find_idle(last).value_or(last);
}

// A moving vCPU joins this worker's queue.
void Scheduler::join(Worker& worker, WorkerId id, Vcpu& vcpu, Nanos now) {
  if (vcpu.state != RunState::kQueued) account_state(vcpu, RunState::kQueued, now);
  worker.queue->enqueue(vcpu, now);
  status_at(vcpu.id).set_queued(id);
  publish(worker, id);
}

// Somebody waits on this worker: a worker that sleeps is to take it. Not under a lock.
void Scheduler::offer(WorkerId from) {
  if (!moves_) return;
  if (const auto idle = idle_.take_idle(from)) host_.kick(*idle);
}

void Scheduler::enqueue_moving(Vcpu& vcpu, WorkerId to, Nanos now) {
  Worker& worker = worker_at(to);
  bool must_wait = false;
  {
    MutexLock lock(worker.mutex);
    join(worker, to, vcpu, now);
    must_wait = worker.queue->runnable() > 1;
    if (worker.idle) {
      idle_.set_idle(to,
                     worker.idle = false);  // it is on its way: what comes next goes to another idle worker
      host_.kick(to);
    } else if (worker.queue->current() == nullptr) {
      // The worker is between two picks.
    } else if (worker.queue->preempts(vcpu)) {
      if (worker.eevdf != nullptr) worker.eevdf->cancel_protection();
      host_.kick(to);
    } else {
      arm(worker, to);  // it may have run without a tick so far
    }
  }
  if (must_wait) offer(to);
}

// May a vCPU that waits here go elsewhere? A worker between two picks keeps one for itself.
bool Scheduler::can_spare(const RunQueue& queue) {
  return queue.waiting() > (queue.current() != nullptr ? 0u : 1u);
}

// For an idle worker: any vCPU that would wait longer than a move costs; one whose turn comes sooner only if
// it has been off its worker for that long.
Vcpu* Scheduler::take_waiting(WorkerId victim_id, Nanos now) {
  Worker& victim = worker_at(victim_id);
  MutexLock lock(victim.mutex);
  if (!can_spare(*victim.queue)) return nullptr;
  const bool long_wait = victim.queue->turn_end() > now + tuning_.migration_cost;
  std::array<Vcpu*, kLookAt> waiting;
  const uint32_t n = victim.queue->movable(waiting);
  for (Vcpu* vcpu : std::span(waiting).first(n)) {
    if (long_wait || vcpu->last_ran + tuning_.migration_cost <= now)
      return detach(victim, victim_id, *vcpu, now);
  }
  return nullptr;
}

// For balance: whoever brings the two loads closest; else, when moving one would only swap them, whoever has
// been here longest, so that of three equal vCPUs on two workers each has one alone for a third of the time.
Vcpu* Scheduler::choose_vcpu(const Worker& from, Imbalance excess, Nanos now) {
  Vcpu* best = nullptr;
  Vcpu* longest = nullptr;
  int64_t left = excess.bar();
  std::array<Vcpu*, kLookAt> waiting;
  const uint32_t n = from.queue->movable(waiting);
  for (Vcpu* vcpu : std::span(waiting).first(n)) {
    if (vcpu->last_ran + tuning_.migration_cost > now) continue;
    const int64_t gain = from.queue->load_of(*vcpu).value;
    if (excess.left_by(gain) < left) {
      best = vcpu;
      left = excess.left_by(gain);
    }
    if (excess.swaps_by(gain) && vcpu->moved_at + tuning_.balance_interval <= now &&
        (longest == nullptr || vcpu->moved_at < longest->moved_at)) {
      longest = vcpu;
    }
  }
  return best != nullptr ? best : longest;
}

// False: those who should go run just now.
bool Scheduler::move_excess(WorkerId from_id, WorkerId to, Nanos now) {
  if (whole_) {  // whoever is alone there runs without ticks: its VM's service so far
    Worker& there = worker_at(to);
    MutexLock lock(there.mutex);
    there.queue->tick(now);
  }
  std::array<Vcpu*, kMoveAtOnce> moving;
  uint32_t n = 0;
  {
    Worker& from = worker_at(from_id);
    MutexLock lock(from.mutex);
    if (!can_spare(*from.queue)) return false;
    const Imbalance excess(from.queue->load().value, worker_at(to).load.load(std::memory_order_relaxed));
    if (moves_whole(from)) {
      Vm* vm = choose_vm(from, to, excess, now);
      if (vm == nullptr) return false;
      vm->home.store(to, std::memory_order_relaxed);
      n = detach_vm(from, from_id, *vm, moving, now);
    } else {
      Vcpu* vcpu = choose_vcpu(from, excess, now);
      if (vcpu == nullptr) return false;
      moving[n++] = detach(from, from_id, *vcpu, now);
    }
  }
  // The last to leave joins first: so their lags to each other stay what they were.
  while (n > 0) enqueue_moving(*moving[--n], to, now);
  return true;
}

Vcpu* Scheduler::detach(Worker& worker, WorkerId id, Vcpu& vcpu, Nanos now) {
  worker.queue->dequeue(vcpu, now);
  vcpu.moved_at = now;
  status_at(vcpu.id).set_moving();
  publish(worker, id);
  return &vcpu;
}

// The worker itself has found work.
void Scheduler::wake_up(WorkerId id) {
  Worker& worker = worker_at(id);
  MutexLock lock(worker.mutex);
  if (worker.idle) idle_.set_idle(id, worker.idle = false);
}

// An idle worker takes work from the next worker that has some waiting.
bool Scheduler::steal(WorkerId thief, Nanos now) {
  for (uint32_t i = 1; i < workers(); ++i) {
    const WorkerId victim{(index_of(thief) + i) % workers()};
    if (idle_.waiting(victim) == 0) continue;
    if (Vcpu* vcpu = take_waiting(victim, now)) {
      wake_up(thief);
      enqueue_moving(*vcpu, thief, now);
      return true;
    }
  }
  return false;
}

// Takes from the busiest worker, or, being that itself, gives to the one with the least load on which nobody
// waits: that one has no reason to look for itself. False: a move is due, but those who should go run just
// now.
bool Scheduler::balance(WorkerId id, Nanos now) {
  const int64_t own = worker_at(id).load.load(std::memory_order_relaxed);
  int64_t most = own;
  int64_t least = own;
  WorkerId busiest = id;
  WorkerId calmest = id;
  for (uint32_t i = 1; i < workers(); ++i) {
    const WorkerId other{(index_of(id) + i) % workers()};
    const int64_t load = worker_at(other).load.load(std::memory_order_relaxed);
    const bool contested = idle_.waiting(other) > 0;
    if (contested && load > most) most = load, busiest = other;
    if (!contested && load < least) least = load, calmest = other;
  }
  const WorkerId from = busiest;
  const WorkerId to = busiest != id ? id : calmest;
  if (from == to) return true;
  return move_excess(from, to, now);
}

}  // namespace sched
