// Workers with their run queues and locks, the states of vCPUs, and moves between queues. Mechanism: knows
// neither policies nor why somebody moves or yields.
//
// Threads. Every queue has a lock; at most one is held at a time, never across a guest's run. A worker's own
// calls come one at a time: Worker::self stands for them. A move takes the vCPU off one queue under that
// queue's lock, then puts it on the other under the other's; in between it is in RunState::kMoving and
// belongs to the mover.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sched/base/history.h"
#include "sched/base/host.h"
#include "sched/base/mutex.h"
#include "sched/base/status.h"
#include "sched/base/trace.h"
#include "sched/base/types.h"
#include "sched/queue/eevdf_queue.h"
#include "sched/queue/run_queue.h"
#include "sched/workers/idle_workers.h"

namespace sched {

struct alignas(64) Worker {
  Mutex mutex;
  Role self;
  WorkerId id{};
  std::unique_ptr<RunQueue> queue SCHED_GUARDED_BY(mutex);
  EevdfQueue* eevdf SCHED_GUARDED_BY(mutex) = nullptr;  // the same queue, if it is one
  bool idle SCHED_GUARDED_BY(mutex) = false;
  Vcpu* running SCHED_GUARDED_BY(self) = nullptr;       // queue->current()
  Nanos armed SCHED_GUARDED_BY(mutex) = kForever;       // the tick that the host was asked for
  Nanos turn_limit SCHED_GUARDED_BY(mutex) = kForever;  // a tick is due then, whatever the queue says
  Nanos extended_until SCHED_GUARDED_BY(mutex){};       // the turn goes on past its end; 0: it does not
  std::atomic<int64_t> load{0};                         // a hint for balancing
  std::atomic<int64_t> ipi_waited{-kForever.count()};   // a hint: an IPI was sent to a vCPU that waited here then
};

class Workers {
 public:
  Workers(uint32_t workers, uint32_t vcpus, Host& host);

  uint32_t count() const { return static_cast<uint32_t>(workers_.size()); }
  uint32_t vcpus() const { return static_cast<uint32_t>(vcpus_.size()); }
  Worker& at(WorkerId worker) { return workers_[index_of(worker)]; }
  Vcpu& vcpu(VcpuId vcpu) { return vcpus_[index_of(vcpu)]; }
  const Vcpu& vcpu(VcpuId vcpu) const { return vcpus_[index_of(vcpu)]; }
  Status& status(VcpuId vcpu) { return status_[index_of(vcpu)]; }
  const Status& status(VcpuId vcpu) const { return status_[index_of(vcpu)]; }
  Progress& progress(VcpuId vcpu) { return progress_[index_of(vcpu)]; }
  const Progress& progress(VcpuId vcpu) const { return progress_[index_of(vcpu)]; }
  const StateHistory& history(VcpuId vcpu) const { return histories_[index_of(vcpu)]; }
  // Those of one VM.
  std::span<Status> statuses(VcpuId first, uint32_t n) { return {&status_[index_of(first)], n}; }
  std::span<const Progress> progress(VcpuId first, uint32_t n) const {
    return {&progress_[index_of(first)], n};
  }

  // May vCPUs change workers? pin(): before the run.
  bool moves() const { return moves_; }
  void pin() { moves_ = false; }

  // Where all that is composed with workers says what it does.
  Tracer& tracer() { return tracer_; }
  const Tracer& tracer() const { return tracer_; }

  // --- any thread ---
  void kick(WorkerId worker) { host_.kick(worker); }
  // A moving vCPU joins this worker's queue; the worker is told, and if somebody must wait there, so is one
  // that sleeps.
  void enqueue(Vcpu& moving, WorkerId to, Nanos now);
  // Somebody waits on this worker: a worker that sleeps is to take it. Not under a lock.
  void offer(WorkerId from);
  const IdleWorkers& idle() const { return idle_; }
  // An IPI: if this vCPU waits for a worker, the turns asked for there soon after are to be short.
  void ipi_sent_to(VcpuId vcpu, Nanos now);
  // A vCPU that was runnable has gone to another worker: counts it, and says so to the trace.
  void moved(Nanos at, VcpuId vcpu, WorkerId from, WorkerId to, TraceMove why);
  uint64_t moves_made(TraceMove why) const {
    return moves_made_[static_cast<size_t>(why)].load(std::memory_order_relaxed);
  }

  // --- under the worker's lock ---
  // Ends the vCPU's stretch of time in its current state.
  static void account(Vcpu& vcpu, RunState next, Nanos now);
  // The same, for others to see: it is in this state on, or from, this worker.
  void change_state(Vcpu& vcpu, RunState next, Nanos now, WorkerId worker);
  // The queue has changed: others may look at its load and at how many wait.
  void publish(Worker& worker, Nanos now) SCHED_REQUIRES(worker.mutex);
  // To the trace, if there is one: how far this vCPU is behind (or ahead of) those it competes with here.
  void say_lag(const Worker& worker, const Vcpu& vcpu, Nanos now) const SCHED_REQUIRES(worker.mutex);
  // Tells the queue of such IPIs, before it makes requests.
  static void see_waiting_ipis(Worker& worker) SCHED_REQUIRES(worker.mutex);
  // Asks the host for a tick at the end of the turn, if that has changed; `again`: the tick may have fired.
  void arm(Worker& worker, Nanos now, bool again = false) SCHED_REQUIRES(worker.mutex);
  // A vCPU that waits here moves away.
  void detach(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);
  void set_idle(Worker& worker, bool idle) SCHED_REQUIRES(worker.mutex);

 private:
  void join(Worker& worker, Vcpu& vcpu, Nanos now) SCHED_REQUIRES(worker.mutex);

  Host& host_;
  Tracer tracer_;
  bool moves_ = true;
  std::vector<Vcpu> vcpus_;  // never resized, because queues point at them
  std::unique_ptr<Status[]> status_;
  std::unique_ptr<Progress[]> progress_;
  std::unique_ptr<StateHistory[]> histories_;
  std::vector<Worker> workers_;  // never resized: a mutex cannot move
  std::array<std::atomic<uint64_t>, kTraceMoves> moves_made_{};
  IdleWorkers idle_;  // a worker's part is changed under its lock, but for take_idle()
};

}  // namespace sched
