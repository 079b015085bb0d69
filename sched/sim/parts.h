// What several model guests are made of: jittered thinking, the barrier, and spin locks. Each belongs to one
// VM; called by its program only.
#pragma once

#include <algorithm>
#include <vector>

#include "sched/base/rng.h"
#include "sched/sim/program.h"

namespace sched::sim {

// Work drawn from the mean ± 25 %, as guest/runtime/work.h does: without it vCPUs fall into step.
class Thinker {
 public:
  Thinker(Nanos mean, uint32_t vcpus, uint64_t seed);
  Action think(uint32_t vcpu);
  Rng& rng(uint32_t vcpu) { return rngs_[vcpu]; }

 private:
  Nanos mean_;
  std::vector<Rng> rngs_;
};

// A spin barrier, to be used again and again; its first round is start_together().
class Barrier {
 public:
  Barrier(uint32_t vcpus, Port& port) : port_(port), vcpus_(vcpus), waiting_(vcpus), released_(vcpus) {}

  // True for the last one: the others' wait is over. Everybody else spins until over().
  bool arrive(uint32_t vcpu);
  bool over(uint32_t vcpu) const { return !waiting_.contains(vcpu); }

 private:
  Port& port_;
  const uint32_t vcpus_;
  uint32_t arrived_ = 0;
  uint64_t generation_ = 1;
  Bits waiting_;
  Bits released_;  // scratch of arrive()
};

// Who waits for whose acknowledgement. It comes when the receiver's stub has counted the interrupt; with work
// in the handler, when the work that took it up is done. The time of an acknowledgement is when its sender
// sees it.
class Acknowledgements {
 public:
  Acknowledgements(uint32_t vcpus, Port& port);

  void sent(uint32_t sender, uint32_t receiver, Nanos now);
  // The sender looks: have all come?
  bool all_seen(uint32_t sender, Nanos now);
  void handled(uint32_t receiver, bool has_work);
  void begins(uint32_t receiver) { receivers_[receiver].working.take(receivers_[receiver].counted); }
  void ends(uint32_t receiver) { acknowledge(receivers_[receiver].working, receiver); }
  bool wanted(uint32_t receiver) const { return !receivers_[receiver].counted.empty(); }

 private:
  struct Sender {
    Bits unseen;  // receivers that have acknowledged while it did not look
    uint32_t waiting = 0;
    std::vector<Nanos> sent_at;  // by receiver
  };
  struct Receiver {
    Bits waiters;
    Bits counted;
    Bits working;
  };
  void acknowledge(Bits& waiters, uint32_t receiver);
  void await(uint32_t sender, uint32_t receiver, bool awaits);

  Port& port_;
  std::vector<Sender> senders_;
  std::vector<Receiver> receivers_;
};

// The spin locks of a VM, all of one kind. A vCPU holds or waits for one at a time. TTAS: whoever looks first
// when it is free takes it, and of those who look all the time the draw decides. Ticket and MCS: first come,
// first served, also if the first is preempted; they differ in cache traffic only, which is not modelled. PV: the
// same, but its program has who waits for long go to sleep, and wakes it.
class Locks {
 public:
  Locks(LockKind kind, uint32_t count, uint32_t vcpus, Nanos hold, uint64_t seed, Port& port);

  bool is_owner(uint32_t lock, uint32_t vcpu) const { return locks_[lock].owner == vcpu; }
  // True: taken. Else the vCPU spins until poll() says that it has it.
  bool acquire(uint32_t lock, uint32_t vcpu);
  bool poll(uint32_t vcpu);
  void release(uint32_t lock, uint32_t vcpu);
  // Nobody: kNobody.
  uint32_t owner(uint32_t lock) const { return locks_[lock].owner; }
  bool waits_in_vain(uint32_t vcpu) const;

  static constexpr uint32_t kNobody = 0xffffffffu;

 private:
  struct Lock {
    uint32_t owner = kNobody;
    uint32_t head = 0;  // of the queue
    uint32_t queued = 0;
    Bits waiting;                 // TTAS
    std::vector<uint32_t> queue;  // ticket, MCS: a ring, one place a vCPU
  };

  void own(uint32_t index, uint32_t vcpu);
  static constexpr uint64_t name(uint32_t lock) { return uint64_t{lock} + 1; }

  const LockKind kind_;
  const Nanos hold_;
  uint64_t tickets_ = 0;
  Port& port_;
  Rng rng_;
  std::vector<Lock> locks_;
  std::vector<uint32_t> wanted_;  // by vCPU: the lock it waits for
};

}  // namespace sched::sim
