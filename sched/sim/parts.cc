#include "sched/sim/parts.h"

#include "sched/base/check.h"

namespace sched::sim {
namespace {

// The instructions around a turn's work: no turn takes no time at all.
constexpr Nanos kLeastTurn{20};

}  // namespace

Thinker::Thinker(Nanos mean, uint32_t vcpus, uint64_t seed) : mean_(mean) {
  Rng seeds(seed);
  for (uint32_t i = 0; i < vcpus; ++i) rngs_.emplace_back(seeds.next());
}

Action Thinker::think(uint32_t vcpu) {
  const uint64_t mean = static_cast<uint64_t>(mean_.count());
  const uint64_t drawn = mean - mean / 4 + rngs_[vcpu].below(mean / 2 + 1);
  return Action::work(std::max(kLeastTurn, Nanos{static_cast<int64_t>(drawn)}));
}

bool Barrier::arrive(uint32_t vcpu) {
  if (++arrived_ < vcpus_) {
    waiting_.insert(vcpu);
    return false;
  }
  arrived_ = 0;
  released_.clear();
  released_.take(waiting_);
  released_.for_each_also_in(port_.spinning, [this](uint32_t other) { port_.look(other); });
  return true;
}

Locks::Locks(LockKind kind, uint32_t count, uint32_t vcpus, uint64_t seed, Port& port)
    : kind_(kind), port_(port), rng_(seed), locks_(count), wanted_(vcpus) {
  for (Lock& lock : locks_) {
    if (kind == LockKind::kTtas) {
      lock.waiting = Bits(vcpus);
    } else {
      lock.queue.resize(vcpus);
    }
  }
}

bool Locks::acquire(uint32_t index, uint32_t vcpu) {
  Lock& lock = locks_[index];
  if (lock.owner == kNobody) {
    own(lock, vcpu);
    return true;
  }
  wanted_[vcpu] = index;
  if (kind_ == LockKind::kTtas) {
    lock.waiting.insert(vcpu);
  } else {
    const size_t places = lock.queue.size();
    lock.queue[(lock.head + lock.queued++) % places] = vcpu;
  }
  return false;
}

bool Locks::poll(uint32_t vcpu) {
  Lock& lock = locks_[wanted_[vcpu]];
  if (kind_ != LockKind::kTtas) return lock.owner == vcpu;
  if (lock.owner != kNobody) return false;
  own(lock, vcpu);
  lock.waiting.erase(vcpu);
  return true;
}

void Locks::own(Lock& lock, uint32_t vcpu) {
  lock.owner = vcpu;
  port_.mark(vcpu, TraceMark::kTakesLock);
}

void Locks::release(uint32_t index, uint32_t vcpu) {
  Lock& lock = locks_[index];
  SCHED_CHECK(lock.owner == vcpu);
  lock.owner = kNobody;
  port_.mark(vcpu, TraceMark::kReleasesLock);
  if (kind_ == LockKind::kTtas) {
    const uint32_t looking = lock.waiting.count_also_in(port_.spinning);
    if (looking == 0) return;
    const uint32_t n = looking == 1 ? 0 : static_cast<uint32_t>(rng_.below(looking));
    port_.look(lock.waiting.nth_also_in(port_.spinning, n));
  } else if (lock.queued > 0) {
    own(lock, lock.queue[lock.head]);
    lock.head = static_cast<uint32_t>((lock.head + 1) % lock.queue.size());
    --lock.queued;
    port_.look(lock.owner);
  }
}

}  // namespace sched::sim
