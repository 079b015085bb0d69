// One worker's run queue, whatever its discipline: EEVDF, round robin or gang.
//
// Guarded by the worker's lock (Scheduler holds it around every call). `now` never goes back between two
// calls. The running vCPU stays a member; it is `current` from pick() to put() or dequeue().
#pragma once

#include <cstdint>
#include <span>

#include "sched/base/check.h"
#include "sched/base/stats.h"
#include "sched/base/status.h"
#include "sched/base/types.h"
#include "sched/queue/entity.h"

namespace sched {

// A vCPU as the scheduler sees it. Guarded by the lock of the queue it is on; while it is on none, it belongs
// to whoever put it into RunState::kMoving, or to nobody. But for `stats`, which the worker that runs it also
// writes without the lock (base/stats.h).
struct Vcpu final : Entity {
  VcpuId id{};
  VmId vm{};
  GroupId group{};                 // the VM's own group
  uint32_t index = 0;              // within its VM
  int64_t slices_per_request = 1;  // of its own requests, and of those of its groups for its sake
  Nanos round_limit{};             // requests are cut so that a round of all who wait is no longer; 0: never
  Nanos shortest_request{};        // but not below this
  Nanos ipi_round_limit{};         // the same while IPIs wait for vCPUs that wait here
  Nanos shortest_for_ipi{};
  Vcpu* previous = nullptr;        // links of the list of a FifoQueue
  Vcpu* next = nullptr;
  Nanos last_ran{};                 // when it last left a worker
  Nanos state_since{};              // for stats.times
  RunState state = RunState::kNew;  // whose time runs since then
  WorkerId last_worker{};
  VcpuCounters stats;
};

// The vCPU that an entity is; not for a group's.
inline Vcpu& vcpu_of(Entity& entity) {
  SCHED_DCHECK(!entity.is_group());
  return static_cast<Vcpu&>(entity);
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
  virtual void discount_stolen(Nanos lost) = 0;
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
