// What a thread that runs vCPUs says of their turns to the run's trace (sched/base/trace.h). Without a trace
// each call is one branch that is never taken.
//
// Owner thread only. Times come in as arguments, most of which the run loop has at hand, so that an event
// costs no look at the clock.
#pragma once

#include "sched/base/trace.h"
#include "vmm/run/board.h"

namespace vmm {

// Why KVM_RUN came back with an exit that was handled with this outcome. Pure.
sched::TraceExit traced_exit(const Vcpu& vcpu, const kvm_run& area, Next next);

class WorkerTrace {
 public:
  // Null: nothing is recorded. `worker`: kNoTraceWorker for the thread of one vCPU.
  WorkerTrace(sched::TraceSink* sink, uint16_t worker) : sink_(sink), worker_(worker) {}

  bool is_on() const { return sink_ != nullptr; }

  void came(const Vcpu& vcpu, Nanos at) const { say(vcpu, at, sched::TraceKind::kIn); }
  void left(const Vcpu& vcpu, Nanos at, sched::TraceOut why) const {
    say(vcpu, at, sched::TraceKind::kOut, static_cast<uint8_t>(why));
  }
  // Right after prepare_entry() has injected.
  void injected(const Vcpu& vcpu, Nanos at) const {
    if (is_on()) say(vcpu, at, sched::TraceKind::kInject, 0, vcpu.kvm.events().interrupt.nr);
  }
  void entered(const Vcpu& vcpu, Nanos at) const { say(vcpu, at, sched::TraceKind::kEnter); }
  void exited(const Vcpu& vcpu, Nanos at, Next next) const {
    if (is_on()) say_exit(vcpu, at, traced_exit(vcpu, vcpu.kvm.area(), next));
  }
  void kicked_out(const Vcpu& vcpu, Nanos at, bool by_timer) const {
    say_exit(vcpu, at, by_timer ? sched::TraceExit::kTimer : sched::TraceExit::kKick);
  }
  // What the guest has marked meanwhile. Right after it was left: later events of this exit come behind.
  void marks(Vcpu& vcpu, Nanos entered, Nanos exited) const {
    if (is_on() && vcpu.marks.any()) [[unlikely]]
      say_marks(vcpu, entered, exited);
  }
  void spins(const Vcpu& vcpu, Nanos at, sched::Wait wait) const {
    if (is_on()) say(vcpu, at, sched::TraceKind::kSpin, static_cast<uint8_t>(wait), vcpu.kvm.rip_at_hand().value_or(0));
  }
  void stolen(const Vcpu& vcpu, Nanos at, Nanos lost) const {
    say(vcpu, at, sched::TraceKind::kStolen, 0, static_cast<uint64_t>(lost.count()));
  }

 private:
  void say_marks(Vcpu& vcpu, Nanos entered, Nanos exited) const;
  void say_exit(const Vcpu& vcpu, Nanos at, sched::TraceExit why) const {
    say(vcpu, at, sched::TraceKind::kExit, static_cast<uint8_t>(why));
  }
  void say(const Vcpu& vcpu, Nanos at, sched::TraceKind kind, uint8_t why = 0, uint64_t value = 0) const {
    if (sink_ == nullptr) [[likely]]
      return;
    sink_->record({.at = at.count(),
                   .vcpu = sched::index_of(vcpu.id),
                   .value = value,
                   .worker = worker_,
                   .kind = kind,
                   .why = why});
  }

  sched::TraceSink* const sink_;
  const uint16_t worker_;
};

// The same for what a board tells its machine of interrupts, on whatever thread it is.
class InterruptTrace {
 public:
  explicit InterruptTrace(sched::TraceSink* sink) : sink_(sink) {}
  bool is_on() const { return sink_ != nullptr; }

  // Before any receiver can see it. `first`: the VM's vCPU 0.
  void sending(sched::VcpuId first, const sched::IpiSend& send, Nanos at, uint16_t worker) const;
  void acknowledged(sched::VcpuId receiver, sched::IrqVector vector, Nanos at, uint16_t worker) const;
  // This worker; for whose interrupt, or sched::kNoVcpu.
  void kicks(sched::WorkerId worker, sched::VcpuId vcpu, Nanos at) const;

 private:
  sched::TraceSink* sink_;
};

}  // namespace vmm
