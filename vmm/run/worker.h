// A worker: one host thread on one CPU with one io_uring, running one vCPU at a time as its scheduler says.
//
// Kicks. Anyone may ask a worker to look up from what it does. The asker writes the reason, then reads the
// phase; the worker writes its phase, then reads the reasons; all four sequentially consistent, so one of
// them sees the other:
//   asker:   reasons |= why;    phase == guest → signal, == waiting → wake the ring, == busy → nothing
//   worker:  phase = guest;     reasons == 0 → KVM_RUN           (a signal before KVM_RUN makes it return at
//   once)
//            phase = waiting;   reasons == 0 → sleep in the ring (a wake-up before the sleep ends it)
// A busy worker reads the reasons before its next entry. The signal alone would not do: it could come between
// the last look and KVM_RUN. Hence the order in enter(): announce the vCPU to the signal handler, clear its
// exit request, look at reasons and timer, enter.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "sched/scheduler.h"
#include "vmm/run/board.h"
#include "vmm/run/preempt_timer.h"
#include "vmm/run/ring.h"
#include "vmm/run/vm.h"

namespace vmm {

// Where workers meet: closed, it stops each of them between two vCPUs. Any thread.
class Gate {
 public:
  void close();                        // then kick all workers
  void wait_parked(uint32_t workers);  // from here to open() the workers touch nothing
  void open();
  void pass();  // worker: waits while closed

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool closed_ = false;
  uint32_t parked_ = 0;
};

// A VM with its board, as workers see it.
struct RunningVm {
  Vm* vm;
  Board* board;
};

struct WorkerContext {
  sched::Scheduler& scheduler;
  Notifier& notifier;
  Gate& gate;
  const std::vector<RunningVm>& vms;  // by VmId
  bool sample_spins;
};

class Worker {
 public:
  // Starts the thread, pinned to the CPU; returns when ring and timer are there. The gate should be closed.
  [[nodiscard]] static Result<std::unique_ptr<Worker>> start(sched::WorkerId id, int cpu,
                                                             const WorkerContext& context);
  ~Worker() { join(); }
  void join();  // after kick(kStop)

  enum Reason : uint32_t {
    kTick = 1,  // the scheduler wants tick() or pick()
    kLook = 2,  // an interrupt was posted to the running vCPU, or its VM has ended
    kGate = 4,  // come to the gate
    kStop = 8,
  };
  // Any thread.
  void kick(uint32_t reasons);
  void arm_tick(Nanos at) { timer_->arm(at); }
  // The worker whose thread this is, or null.
  static Worker* current();

  // Parked workers only.
  Nanos busy() const { return busy_; }
  struct HostUse {
    Nanos waiting_for_cpu{};  // runnable, but the host ran something else (schedstat)
    uint64_t involuntary_switches = 0;
  };
  HostUse host_use() const;

 private:
  enum class Phase : uint32_t { kBusy, kGuest, kWaiting };
  enum class Departure : uint8_t { kPut, kHalt, kStop };

  Worker(sched::WorkerId id, const WorkerContext& context) : id_(id), context_(context) {}
  Result<void> set_up(int cpu);
  void loop();
  void host(VcpuLease vcpu);
  Departure stay(Vcpu& vcpu);
  bool turn_over(Vcpu& vcpu, Nanos now);
  int enter(Vcpu& vcpu);
  Departure after_exit(Vcpu& vcpu, Next next, bool& leaves);
  bool sampled_in_pause_loop(Vcpu& vcpu) const;
  void keep_timer(Vcpu& vcpu, Nanos now);
  void wait_for_work();
  void on_event(Ring::Token token);
  Vcpu& vcpu_of(sched::VcpuId id) const;

  const sched::WorkerId id_;
  const WorkerContext context_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<PreemptTimer> timer_;
  std::atomic<uint32_t> reasons_{kGate};  // a worker begins at the gate
  std::atomic<Phase> phase_{Phase::kBusy};
  pid_t thread_id_ = 0;
  Nanos busy_{};
  std::thread thread_;
};

}  // namespace vmm
