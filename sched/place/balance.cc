// Single vCPUs that move: what an idle worker takes, and what makes loads more even.
#include <algorithm>
#include <array>

#include "sched/place/placement.h"

namespace sched {
namespace {
// The largest that the constants look-at and move-at-once may be.
constexpr size_t kMostLookedAt = 64;
constexpr size_t kMostAtOnce = 64;
}  // namespace

void Placement::take(Worker& from, Vcpu& vcpu, Nanos now) {
  workers_.detach(from, vcpu, now);
  moved_at_[index_of(vcpu.id)] = now;
}

// May a vCPU that waits here go elsewhere? A worker between two picks keeps one for itself.
bool Placement::can_spare(const RunQueue& queue) {
  return queue.waiting() > (queue.current() != nullptr ? 0u : 1u);
}

// For an idle worker: any vCPU that would wait longer than a move costs; one whose turn comes sooner only if
// it has been off its worker for that long.
Vcpu* Placement::take_waiting(WorkerId victim_id, Nanos now) {
  Worker& victim = workers_.at(victim_id);
  MutexLock lock(victim.mutex);
  if (!can_spare(*victim.queue)) return nullptr;
  const bool long_wait = victim.queue->turn_end() > now + tuning_.migration_cost;
  std::array<Vcpu*, kMostLookedAt> room;
  const std::span waiting = std::span(room).first(static_cast<size_t>(tuning_.look_at));
  const uint32_t n = victim.queue->movable(waiting);
  for (Vcpu* vcpu : waiting.first(n)) {
    if (!long_wait && vcpu->last_ran + tuning_.migration_cost > now) continue;
    take(victim, *vcpu, now);
    return vcpu;
  }
  return nullptr;
}

// For balance: whoever brings the two loads closest; else, when moving one would only swap them, whoever has
// been here longest, so that of three equal vCPUs on two workers each has one alone for a third of the time.
Vcpu* Placement::choose_vcpu(const Worker& from, Imbalance excess, Nanos now) {
  Vcpu* best = nullptr;
  Vcpu* longest = nullptr;
  int64_t left = excess.bar();
  std::array<Vcpu*, kMostLookedAt> room;
  const std::span waiting = std::span(room).first(static_cast<size_t>(tuning_.look_at));
  const uint32_t n = from.queue->movable(waiting);
  for (Vcpu* vcpu : waiting.first(n)) {
    if (vcpu->last_ran + tuning_.migration_cost > now) continue;
    const int64_t gain = from.queue->load_of(*vcpu).value;
    if (excess.left_by(gain) < left) {
      best = vcpu;
      left = excess.left_by(gain);
    }
    const Nanos came = moved_at_[index_of(vcpu->id)];
    if (excess.swaps_by(gain) && came + tuning_.balance_interval <= now &&
        (longest == nullptr || came < moved_at_[index_of(longest->id)])) {
      longest = vcpu;
    }
  }
  return best != nullptr ? best : longest;
}

// False: those who should go run just now.
bool Placement::move_excess(WorkerId from_id, WorkerId to, Nanos now) {
  if (affinity_) {  // whoever is alone there runs without ticks: its VM's service so far
    Worker& there = workers_.at(to);
    MutexLock lock(there.mutex);
    there.queue->tick(now);
  }
  std::array<Vcpu*, kMostAtOnce> moving;
  uint32_t n = 0;
  {
    Worker& from = workers_.at(from_id);
    MutexLock lock(from.mutex);
    if (!can_spare(*from.queue)) return false;
    const Imbalance excess(from.queue->load().value, load_of(to), tuning_.balance_tolerance);
    if (moves_vms(from)) {
      const VmInfo* vm = choose_vm(from, to, excess, now);
      if (vm == nullptr) return false;
      homes_[index_of(vm->id)].worker.store(to, std::memory_order_relaxed);
      n = take_vm(from, *vm, std::span(moving).first(static_cast<size_t>(tuning_.move_at_once)), now);
    } else {
      Vcpu* vcpu = choose_vcpu(from, excess, now);
      if (vcpu == nullptr) return false;
      take(from, *vcpu, now);
      moving[n++] = vcpu;
    }
  }
  // The last to leave joins first: so their lags to each other stay what they were.
  while (n > 0) {
    Vcpu& vcpu = *moving[--n];
    workers_.moved(now, vcpu.id, from_id, to, TraceMove::kBalance);
    workers_.enqueue(vcpu, to, now);
  }
  return true;
}

// Takes from the busiest worker, or, being that itself, gives to the one with the least load on which nobody
// waits: that one has no reason to look for itself. False: a move is due, but those who should go run just
// now.
bool Placement::even_out(WorkerId id, Nanos now) {
  const int64_t own = load_of(id);
  int64_t most = own;
  int64_t least = own;
  WorkerId busiest = id;
  WorkerId calmest = id;
  for (uint32_t i = 1; i < workers_.count(); ++i) {
    const WorkerId other{(index_of(id) + i) % workers_.count()};
    const int64_t load = load_of(other);
    const bool contested = workers_.idle().waiting(other) > 0;
    if (contested && load > most) most = load, busiest = other;
    if (!contested && load < least) least = load, calmest = other;
  }
  const WorkerId from = busiest;
  const WorkerId to = busiest != id ? id : calmest;
  if (from == to) return true;
  return move_excess(from, to, now);
}

}  // namespace sched
