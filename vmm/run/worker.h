// A worker: one host thread on one CPU with one event loop and one timer, running one vCPU at a time as its
// scheduler says. Anyone may ask it to look up: kick.h says why no kick is lost. With carriers its thread is
// only its home, and it goes to the thread of each vCPU that it runs (carrier.h): whoever holds it is its
// owner.
#pragma once

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "sched/base/sample_clock.h"
#include "sched/scheduler.h"
#include "vmm/run/alarms.h"
#include "vmm/run/carrier.h"
#include "vmm/run/engine.h"
#include "vmm/run/event_loop.h"
#include "vmm/run/held_use.h"
#include "vmm/run/kick.h"
#include "vmm/run/machine_view.h"
#include "vmm/run/os_thread.h"
#include "vmm/run/pause_barrier.h"
#include "vmm/run/pulse.h"
#include "vmm/run/rotation.h"
#include "vmm/run/stolen_time.h"
#include "vmm/run/worker_trace.h"

namespace vmm {

class Worker;

struct WorkerContext {
  sched::Scheduler& scheduler;
  Notifier& notifier;
  PauseBarrier& barrier;
  const std::vector<RunningVm>& vms;  // by VmId
  Nanos sample_cost;                  // of a look whether a vCPU busy-waits; 0: nobody looks
  Rotation& rotation;
  const std::vector<std::unique_ptr<Worker>>& workers;  // all of them, as soon as a vCPU runs
  Trouble& trouble;
  EventLoopKind event_loop = EventLoopKind::kAuto;
  TraceRecorder* recorder = nullptr;
  const std::vector<std::unique_ptr<Carrier>>* carriers = nullptr;  // by VcpuId; null: none
};

class Worker {
 public:
  // Starts the thread, pinned to its CPU of the moment; returns when event loop and timer are there. The
  // pause barrier should be closed.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> start(sched::WorkerId id,
                                                             const WorkerContext& context);
  ~Worker() { join(); }
  void join();  // after kick(kStop)

  enum Reason : uint32_t {
    kTick = 1,   // the scheduler wants tick() or pick()
    kLook = 2,   // an interrupt was posted to the running vCPU, or its VM has ended
    kPause = 4,  // come to the pause barrier
    kStop = 8,
    kMove = 16,  // to another CPU
  };
  // Any thread. `insist`: although it may have been asked for that already.
  void kick(uint32_t reasons, bool insist = false);
  void arm_tick(Nanos at, Nanos now) { kicks_.arm_tick(at, now); }
  // The worker that is on this thread, or null.
  static Worker* current();
  sched::WorkerId id() const { return id_; }

  // The thread of `here`, to which it has come. True: it has ended; else it has gone elsewhere.
  bool hold(Carrier& here, const Token& token);

  // Any thread.
  WorkerView view(Nanos now) const;
  pid_t home_thread() const { return home_thread_; }

  // Parked workers only.
  Nanos busy() const { return pulse_.busy(); }
  [[nodiscard]] Result<ThreadUse> host_use() const;

 private:
  enum class Departure : uint8_t { kPut, kYield, kHalt, kStop };
  static sched::TraceOut traced(Departure departure);

  Worker(sched::WorkerId id, const WorkerContext& context)
      : id_(id),
        context_(context),
        trace_(context.recorder, static_cast<uint16_t>(sched::index_of(id))),
        alarms_(context.scheduler.vcpus()),
        samples_(context.sample_cost) {}
  Result<void> set_up();
  void run();
  bool loop(Nanos left);
  bool is_away() const { return here_ != nullptr && !here_->is_home(); }
  bool go(Carrier& there, const Token& token);
  bool go_home() { return go(*home_, {.worker = this}); }
  void arrive(Carrier& here);
  Nanos host(VcpuLease vcpu, Nanos now);
  Departure stay(Vcpu& vcpu, Nanos& now);
  uint32_t take_reasons();
  bool turn_over(Vcpu& vcpu, Nanos now, bool has_run);
  bool fails_for_good(Vcpu& vcpu, int error, Nanos now) const;
  bool is_in_kernel(const Vcpu& vcpu) const;
  void discount_stolen(Vcpu& vcpu, Nanos now, Nanos stretch);
  bool by_timer(Nanos at) const { return at >= kicks_.tick_at() || at >= next_look(); }
  // The earliest of what the worker itself wants to look at.
  Nanos next_look() const { return std::min(alarms_.earliest(), samples_.next(kicks_.tick_at())); }
  std::optional<Departure> after_exit(Vcpu& vcpu, Next next, Nanos now);
  bool sampled(const Vcpu& vcpu, Nanos now, bool has_run);
  void keep_alarm(Vcpu& vcpu);
  void tell_turn_end(const RunningVm& vm, const Vcpu& vcpu, Nanos now) const;
  void tell_stolen(Vcpu& vcpu) const;
  void post_due(Nanos now, const Vcpu* running);
  bool wait_for_work();
  Vcpu& vcpu_of(sched::VcpuId id) const;

  const sched::WorkerId id_;
  const WorkerContext context_;
  const WorkerTrace trace_;
  std::unique_ptr<EventLoop> event_loop_;
  Alarms alarms_;
  sched::SampleClock samples_;
  alignas(64) Kicks kicks_{kPause};  // a worker begins at the pause barrier; others write here
  pid_t home_thread_ = 0;
  // Of its owner, or where it is on its way to; relaxed: for those who look on.
  std::atomic<pid_t> thread_id_{0};
  Pulse pulse_;
  std::optional<StolenTime> stolen_;  // made on the thread, whose clock it reads
  HeldUse use_;
  int cpu_ = -1;                   // its owner is bound to
  std::unique_ptr<Carrier> home_;  // with carriers
  Carrier* here_ = nullptr;        // its owner; null without carriers
  std::thread thread_;
};

}  // namespace vmm
