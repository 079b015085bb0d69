// One worker's run queue, whatever its discipline: EEVDF, round robin or gang.
//
// Guarded by the worker's lock (Scheduler holds it around every call). `now` never goes back between two
// calls. The running vCPU stays a member; it is `current` from pick() to put() or dequeue().
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/base/types.h"
#include "sched/queue/entity.h"

namespace sched {

// A vCPU as the scheduler sees it. Guarded by the lock of the queue it is on; while it is on none, it belongs
// to whoever put it into RunState::kMoving, or to nobody.
struct Vcpu {
  Entity entity;
  VcpuId id{};
  VmId vm{};
  GroupId group{};         // the VM's own group
  uint32_t index = 0;      // within its VM
  Nanos slice{};           // of its VM's policy, before jitter
  Nanos latency_target{};  // of its VM's policy, as is min_slice
  Nanos min_slice{};
  int64_t patience = 1;             // slices that its next requests last, and those of its groups for it
  Nanos last_ran{};                 // when it last left a worker
  Nanos state_since{};              // for stats.times
  RunState state = RunState::kNew;  // whose time runs since then
  WorkerId last_worker{};
  VcpuStats stats;
};

inline Vcpu& vcpu_of(Entity& entity) {
  static_assert(offsetof(Vcpu, entity) == 0, "an entity is the head of its vCPU");
  return reinterpret_cast<Vcpu&>(entity);
}

class RunQueue {
 public:
  virtual ~RunQueue() = default;

  // Becomes runnable here: started, woken or moved. Bounded lag from before is kept, nothing is gained by
  // sleeping.
  virtual void enqueue(Vcpu& vcpu, Nanos now) = 0;
  // Leaves: halted, stopped or moved away. It may be current.
  virtual void dequeue(Vcpu& vcpu, Nanos now) = 0;
  // Chooses and makes current; null if nothing is runnable. There must be no current.
  virtual Vcpu* pick(Nanos now) = 0;
  // Current stays runnable but leaves the worker.
  virtual void put(Nanos now) = 0;
  // Accounts current's time up to now; true if its turn is over and somebody waits.
  virtual bool tick(Nanos now) = 0;
  // `lost` of the time since current was last accounted was not its own: the host had taken the worker's CPU.
  virtual void excuse(Nanos lost) = 0;
  // When current's turn ends by itself; kForever while nobody waits: no tick is needed then.
  virtual Nanos turn_end() const = 0;
  // Should this newly enqueued vCPU run before current goes on?
  virtual bool preempts(const Vcpu& woken) const = 0;
  // Waiting vCPUs that another worker may take, those whose turn comes first in front; as many as fit.
  virtual uint32_t movable(std::span<Vcpu*> out) const = 0;

  virtual Vcpu* current() const = 0;
  virtual uint32_t runnable() const = 0;  // the running one included
  virtual Weight load() const = 0;        // for balancing
  // How much of load() moving this vCPU away would take.
  virtual Weight load_of(const Vcpu& vcpu) const = 0;
  virtual uint64_t steps() const { return 0; }  // nodes visited: the growth tests count these

  uint32_t waiting() const { return runnable() - (current() != nullptr ? 1u : 0u); }
};

}  // namespace sched
