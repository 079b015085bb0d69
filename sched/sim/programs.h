// The model guests; program.h says what a program is. Each mirrors guest/workloads/<name>.c step by step.
#pragma once

#include "sched/sim/parts.h"
#include "sched/sim/program.h"

namespace sched::sim {

// No synchronisation; an operation is one turn of think.
class ComputeProgram final : public Program {
 public:
  ComputeProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;

 private:
  Port& port_;
  Thinker thinker_;
  std::vector<bool> started_;
};

// Think, take one of the locks, hold it, release it. With a PV lock, who waits for a window halts, and who hands it
// the lock wakes it.
class LockProgram final : public Program {
 public:
  LockProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;
  bool poll(uint32_t vcpu, Nanos now) override;
  bool sleeps(uint32_t vcpu) override { return !locks_.is_owner(lock_[vcpu], vcpu); }
  bool waits_in_vain(uint32_t vcpu) const override {
    return steps_[vcpu] == Step::kHold && locks_.waits_in_vain(vcpu);
  }

 private:
  enum class Step : uint8_t { kStart, kThink, kAcquire, kTimely, kHold, kRelease, kReleased };

  bool too_late_to_acquire(uint32_t vcpu, Nanos now) const;
  Action acquire(uint32_t vcpu);
  Action hold(uint32_t vcpu);

  Port& port_;
  const bool pv_;
  const uint32_t lock_count_;
  const Nanos hold_;
  Thinker thinker_;
  Locks locks_;
  Barrier barrier_;
  std::vector<Step> steps_;
  std::vector<uint32_t> lock_;  // by vCPU: the one of this turn
  std::vector<bool> asleep_;    // PV: waits in HLT
};

// Think, send IPIs, spin until all receivers have acknowledged; with senders > 0 the rest computes.
class IpiProgram final : public Program {
 public:
  IpiProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;
  bool poll(uint32_t vcpu, Nanos now) override;
  void handled(uint32_t vcpu, Nanos) override { acks_.handled(vcpu, handler_work > Nanos::zero()); }
  void handler_begins(uint32_t vcpu) override;
  void handler_ends(uint32_t vcpu, Nanos now) override;
  bool handler_wanted(uint32_t vcpu) override { return acks_.wanted(vcpu); }

 private:
  enum class Step : uint8_t { kStart, kThink, kDraw, kSend, kWait, kDone };
  struct Sender {
    Step step = Step::kStart;
    uint32_t sent = 0;  // of this turn's targets
    std::vector<uint32_t> targets;
  };

  Action send_next(uint32_t vcpu, Nanos now);
  void draw_targets(uint32_t vcpu);

  Port& port_;
  uint32_t senders_count_;
  uint32_t fanout_;
  Thinker thinker_;
  Barrier barrier_;
  Acknowledgements acks_;
  std::vector<Sender> senders_;
};

// Pairs wake each other by IPI out of HLT; an operation is one round trip.
class PingpongProgram final : public Program {
 public:
  PingpongProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;
  bool poll(uint32_t vcpu, Nanos) override { return barrier_.over(vcpu); }
  bool sleeps(uint32_t vcpu) override { return inbox_[vcpu] == 0; }

 private:
  enum class Step : uint8_t { kStart, kThink, kPass, kReceive, kReceived };
  Action begin(uint32_t vcpu);
  Action pass(uint32_t vcpu);
  Action sleep(uint32_t vcpu);

  Port& port_;
  const uint32_t vcpus_;
  Thinker thinker_;
  Barrier barrier_;
  std::vector<Step> steps_;
  std::vector<uint64_t> inbox_;
  std::vector<uint64_t> number_;
  std::vector<Nanos> sent_;
};

// One costly act after the other; an operation is one of them.
std::unique_ptr<Program> make_abuse(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);

}  // namespace sched::sim
