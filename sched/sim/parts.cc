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
  port_.mark(vcpu, TraceMark::kArrives);
  if (++arrived_ < vcpus_) {
    waiting_.insert(vcpu);
    port_.waits_for(vcpu, GuestWait::kBarrier, 1, generation_);
    return false;
  }
  arrived_ = 0;
  ++generation_;
  released_.clear();
  released_.take(waiting_);
  released_.for_each_also_in(port_.spinning, [this](uint32_t other) { port_.look(other); });
  return true;
}

Acknowledgements::Acknowledgements(uint32_t vcpus, Port& port) : port_(port) {
  for (uint32_t i = 0; i < vcpus; ++i) {
    senders_.push_back({.unseen = Bits(vcpus), .waiting = 0, .sent_at = std::vector<Nanos>(vcpus)});
    receivers_.push_back({Bits(vcpus), Bits(vcpus), Bits(vcpus)});
  }
}

void Acknowledgements::await(uint32_t sender, uint32_t receiver, bool awaits) {
  auto& word = port_.pages[sender].acks[receiver / 64];
  const uint64_t bit = uint64_t{1} << receiver % 64;
  GuestPage::store(word, awaits ? GuestPage::load(word) | bit : GuestPage::load(word) & ~bit);
}

// One at a time to the same receiver: a second one is the same bit in its IRR, as far as waiting goes.
void Acknowledgements::sent(uint32_t sender, uint32_t receiver, Nanos now) {
  Receiver& r = receivers_[receiver];
  Sender& s = senders_[sender];
  const bool open = r.waiters.contains(sender) || r.counted.contains(sender) || r.working.contains(sender) ||
                    s.unseen.contains(receiver);
  s.unseen.erase(receiver);
  s.sent_at[receiver] = now;
  r.waiters.insert(sender);
  await(sender, receiver, true);
  if (!open) ++s.waiting;
}

bool Acknowledgements::all_seen(uint32_t sender, Nanos now) {
  Sender& s = senders_[sender];
  s.unseen.for_each([&](uint32_t receiver) {
    port_.record_ack(sender, now - s.sent_at[receiver]);
    --s.waiting;
  });
  s.unseen.clear();
  return s.waiting == 0;
}

void Acknowledgements::handled(uint32_t receiver, bool has_work) {
  Receiver& r = receivers_[receiver];
  if (has_work) {
    r.counted.take(r.waiters);
  } else {
    acknowledge(r.waiters, receiver);
  }
}

void Acknowledgements::acknowledge(Bits& waiters, uint32_t receiver) {
  waiters.for_each([&](uint32_t sender) {
    senders_[sender].unseen.insert(receiver);
    await(sender, receiver, false);
    if (port_.spinning.contains(sender)) port_.look(sender);
  });
  waiters.clear();
}

Locks::Locks(LockKind kind, uint32_t count, uint32_t vcpus, Nanos hold, uint64_t seed, Port& port)
    : kind_(kind), hold_(hold), port_(port), rng_(seed), locks_(count), wanted_(vcpus) {
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
    own(index, vcpu);
    return true;
  }
  wanted_[vcpu] = index;
  port_.waits_for(vcpu, GuestWait::kLock, name(index), kind_ == LockKind::kTtas ? 0 : ++tickets_);
  if (kind_ == LockKind::kTtas) {
    lock.waiting.insert(vcpu);
  } else {
    const size_t places = lock.queue.size();
    lock.queue[(lock.head + lock.queued++) % places] = vcpu;
  }
  return false;
}

bool Locks::poll(uint32_t vcpu) {
  const uint32_t index = wanted_[vcpu];
  Lock& lock = locks_[index];
  if (kind_ != LockKind::kTtas) return lock.owner == vcpu;
  if (lock.owner != kNobody) return false;
  own(index, vcpu);
  lock.waiting.erase(vcpu);
  return true;
}

bool Locks::waits_in_vain(uint32_t vcpu) const {
  const uint32_t owner = locks_[wanted_[vcpu]].owner;
  return owner != kNobody && owner != vcpu && GuestPage::load(port_.pages[owner].preempted) != 0;
}

void Locks::own(uint32_t index, uint32_t vcpu) {
  locks_[index].owner = vcpu;
  GuestPage& page = port_.pages[vcpu];
  GuestPage::store(page.holds, name(index));
  GuestPage::store(page.critical, 1);
  if (port_.is_told(vcpu, kHearsAsks)) GuestPage::store(page.asks, static_cast<uint64_t>(2 * hold_.count()));
  port_.mark(vcpu, TraceMark::kTakesLock, index);
}

void Locks::release(uint32_t index, uint32_t vcpu) {
  Lock& lock = locks_[index];
  SCHED_CHECK(lock.owner == vcpu);
  lock.owner = kNobody;
  GuestPage& page = port_.pages[vcpu];
  GuestPage::store(page.holds, 0);
  GuestPage::store(page.critical, 0);
  GuestPage::store(page.asks, 0);
  port_.mark(vcpu, TraceMark::kReleasesLock, index);
  if (kind_ == LockKind::kTtas) {
    const uint32_t looking = lock.waiting.count_also_in(port_.spinning);
    if (looking == 0) return;
    const uint32_t n = looking == 1 ? 0 : static_cast<uint32_t>(rng_.below(looking));
    port_.look(lock.waiting.nth_also_in(port_.spinning, n));
  } else if (lock.queued > 0) {
    own(index, lock.queue[lock.head]);
    lock.head = static_cast<uint32_t>((lock.head + 1) % lock.queue.size());
    --lock.queued;
    port_.look(lock.owner);
  }
}

}  // namespace sched::sim
