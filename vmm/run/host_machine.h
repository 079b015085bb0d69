// The thread-per-vCPU machine: no scheduler of ours, the host decides which vCPU's thread runs on the CPUs
// that the workers would have. Created and destroyed by one thread; interrupts and kicks come in from any of
// its threads.
#pragma once

#include <memory>
#include <vector>

#include "vmm/run/host_thread.h"

namespace vmm {

class HostMachine final : public Engine {
 public:
  // The threads share the first `workers` CPUs that this process may use.
  HostMachine(const HostMode& mode, uint32_t workers);
  ~HostMachine() override;

  // Engine
  [[nodiscard]] Result<void> start() override;
  void pause() override;
  void resume() override;
  void stop() override;
  // What the host does not tell stays 0: the longest wait and moves between CPUs.
  VcpuUse vcpu_use(const Vcpu& vcpu, Nanos now) const override;
  VcpuUse counted(const Vcpu& vcpu) const override { return thread_of(vcpu).counted(); }
  // An equal share for each CPU: the host does not tell which thread ran where. No involuntary switches:
  // here they are how vCPUs are scheduled, and counted as their preemptions.
  std::vector<CpuUse> cpu_use(Nanos now) const override;
  void reset_peaks() override {}
  std::optional<uint64_t> sleep_mark(const Vcpu& vcpu) const override;
  void look(MachineView& view) const override;
  std::vector<pid_t> threads() const override;
  const sched::StateHistory& history(const Vcpu& vcpu) const override { return thread_of(vcpu).history(); }

  // Notifier
  void interrupt_posted(sched::VcpuId target) override;
  void ipi_sending(VmId vm, const sched::IpiSend& send) override;
  void ipi_sent(VmId vm, const sched::IpiSend& send, const sched::VcpuSet& accepted) override;
  void eoi(sched::VcpuId receiver, sched::IrqVector vector) override;
  void vm_ended(VmId vm) override;

 private:
  void wait_parked();
  HostThread& thread_of(const Vcpu& vcpu) const { return *threads_[index_of(vcpu.id)]; }

  const HostMode mode_;
  const uint32_t workers_;
  PauseBarrier barrier_;
  std::vector<std::unique_ptr<HostThread>> threads_;  // by VcpuId
};

}  // namespace vmm
