// The M:N machine: a scheduler, its workers, and the wiring between them and the boards. Created and
// destroyed by one thread; interrupts, kicks and ticks come in from any of its workers.
#pragma once

#include <memory>
#include <vector>

#include "sched/scheduler.h"
#include "vmm/run/engine.h"
#include "vmm/run/worker.h"

namespace vmm {

class Machine final : public sched::Host, public Engine {
 public:
  Machine(const sched::Setup& setup, Nanos sample_cost, Nanos rotate = {},
          EventLoopKind event_loop = EventLoopKind::kAuto, bool carriers = false);
  ~Machine() override;

  sched::Scheduler& scheduler() { return scheduler_; }

  // Engine. The workers go on the CPUs that this process may use, in turn.
  [[nodiscard]] Result<void> start() override;
  void pause() override;
  void resume() override;
  void stop() override;
  VcpuUse vcpu_use(const Vcpu& vcpu, Nanos now) const override;
  VcpuUse counted(const Vcpu& vcpu) const override;
  uint64_t moves_made(sched::TraceMove why) const override { return scheduler_.moves_made(why); }
  std::vector<CpuUse> cpu_use(Nanos now) const override;
  void reset_peaks() override { scheduler_.reset_peaks(); }
  void trace_into(TraceRecorder* recorder) override;
  void change_policies(std::span<const VmChange> vms, Nanos now) override;
  void look(MachineView& view) const override;
  std::vector<pid_t> threads() const override;
  const sched::StateHistory& history(const Vcpu& vcpu) const override { return scheduler_.history(vcpu.id); }
  bool awaits(const Vcpu& sender, const Vcpu& receiver, Nanos now) const override {
    return scheduler_.awaits(sender.vm, index_of(sender.index), index_of(receiver.index), now);
  }
  [[nodiscard]] bool try_look_at_queue(sched::WorkerId worker, sched::QueueLook& look) const override {
    return scheduler_.try_look(worker, look);
  }

  // sched::Host
  void kick(sched::WorkerId worker) override;
  void arm_tick(sched::WorkerId worker, Nanos at, Nanos now) override;
  // Notifier
  void interrupt_posted(sched::VcpuId target) override;
  void ipi_sending(VmId vm, const sched::IpiSend& send) override;
  void ipi_sent(VmId vm, const sched::IpiSend& send, const sched::VcpuSet& accepted) override;
  void eoi(sched::VcpuId receiver, sched::IrqVector vector) override;
  void vm_ended(VmId vm) override;

 private:
  void keep_registers(Vm& vm) const;
  [[nodiscard]] Result<void> start_carriers();
  void wait_parked();

  PauseBarrier barrier_;
  mutable sched::Scheduler scheduler_;  // looking at a queue takes its lock
  const Nanos sample_cost_;             // 0: nobody looks whether guests busy-wait
  const EventLoopKind event_loop_;
  const bool has_carriers_;
  Rotation rotation_;
  InterruptTrace trace_{nullptr};
  std::vector<std::unique_ptr<Carrier>>
      carriers_;  // by VcpuId; empty: workers run vCPUs on their own threads
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace vmm
