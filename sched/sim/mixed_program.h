// The model of guest/workloads/mixed.c: a pipeline of stages with bounded queues behind spin locks, barriers
// between rounds, and vCPUs that now and then sleep until an IPI says that there is work. The C code's
// recursion (a full queue makes a vCPU serve the stages behind it) is a stack of puts here.
#pragma once

#include "sched/sim/parts.h"
#include "sched/sim/program.h"

namespace sched::sim {

class MixedProgram final : public Program {
 public:
  MixedProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port);
  Action next(uint32_t vcpu, Nanos now) override;
  bool poll(uint32_t vcpu, Nanos now) override;
  bool sleeps(uint32_t vcpu) override { return !vcpus_[vcpu].woken; }
  bool waits_in_vain(uint32_t vcpu) const override {
    return vcpus_[vcpu].waits_for == WaitsFor::kLock && locks_.waits_in_vain(vcpu);
  }

 private:
  static constexpr uint32_t kNobody = 0xffffffffu;
  static constexpr uint32_t kCapacity = 32;
  static constexpr uint64_t kSleepOneIn = 8;

  enum class Step : uint8_t {
    kStart,
    kScan,      // look for a stage with items, from the hindmost on
    kTake,      // its lock is ours
    kTaken,     // the work under the lock is done
    kThought,   // the work outside the lock is done
    kPut,       // look whether the next queue has room
    kInsert,    // its lock is ours
    kServed,    // the item is through this stage
    kSleep,     // the lock of the queue to sleep on is ours
    kAwake,     // sleeping is over
    kMeet,      // this round has nothing left for us
    kNewRound,  // the barrier is behind us
  };
  enum class WaitsFor : uint8_t { kLock, kChange, kBarrier };

  struct Queue {
    uint32_t count = 0;
    uint64_t taken = 0;  // items of this round that the stage has taken out
    uint32_t sleepers = kNobody;
  };
  struct VcpuState {
    Step step = Step::kStart;
    WaitsFor waits_for = WaitsFor::kBarrier;
    bool idle = false;   // found nothing since its last item
    bool woken = false;  // the inbox
    uint32_t first = 0;  // its stages are first, first + step_size, …
    uint32_t stage = 0;  // the one it is at
    uint32_t next_sleeper = kNobody;
    uint32_t to_wake = kNobody;  // a chain of sleepers
    uint32_t wake_limit = 0;
    std::vector<uint32_t> puts;  // stages whose item waits for room in the next one's queue
  };

  Action lock(uint32_t vcpu, uint32_t stage, Step then);
  Action scan(uint32_t vcpu);
  void take(uint32_t vcpu);
  void taken(uint32_t vcpu);
  Action put(uint32_t vcpu);
  void insert(uint32_t vcpu);
  void served(uint32_t vcpu);
  Action nothing_found(uint32_t vcpu);
  Action sleep(uint32_t vcpu);
  Action meet(uint32_t vcpu);
  Action wake_one(uint32_t vcpu);
  Action wait(uint32_t vcpu, bool new_wait);

  bool has_items(uint32_t stage) const {
    return queues_[stage].taken != round_ && (stage == 0 || queues_[stage].count > 0);
  }
  uint32_t hindmost(const VcpuState& vcpu) const {
    return vcpu.first + (stages_ - 1 - vcpu.first) / step_size_ * step_size_;
  }
  // Below this stage a vCPU in the middle of a put must not serve.
  uint32_t lowest(const VcpuState& vcpu) const { return vcpu.puts.empty() ? 0 : vcpu.puts.back() + 1; }
  // The hindmost of its stages with items, or kNobody.
  uint32_t servable(const VcpuState& vcpu, uint32_t from) const;
  uint32_t unfinished(const VcpuState& vcpu) const;
  void changed();
  void set_step(uint32_t vcpu, Step step) { vcpus_[vcpu].step = step; }

  Port& port_;
  const uint32_t stages_;
  const uint32_t step_size_;
  const uint64_t round_;  // items in a round
  const Nanos hold_;
  Thinker thinker_;
  Locks locks_;
  Barrier barrier_;
  Bits watching_;  // wait for a change of any queue
  std::vector<Queue> queues_;
  std::vector<VcpuState> vcpus_;
};

}  // namespace sched::sim
