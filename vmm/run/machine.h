// The M:N machine: a scheduler, its workers, and the wiring between them and the boards. Created and
// destroyed by one thread; interrupts, kicks and ticks come in from any of its workers.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "sched/scheduler.h"
#include "vmm/run/notifier.h"
#include "vmm/run/worker.h"

namespace vmm {

class Machine final : public sched::Host, public Notifier {
 public:
  Machine(const sched::Setup& setup, bool sample_spins);
  ~Machine() override;

  sched::Scheduler& scheduler() { return scheduler_; }

  // In the order of VmIds, before start(). What they point to outlives the machine's workers.
  void add(const RunningVm& vm) { vms_.push_back(vm); }
  // Starts the workers on the CPUs this process may use, in turn, and all vCPUs (those that wait for a SIPI
  // go to sleep at once).
  [[nodiscard]] Result<void> start();

  // Stops all workers between two vCPUs; until resume() nothing moves and stats may be read.
  void pause();
  void resume();
  // Ends and joins all workers. Must come before the VMs and boards go.
  void stop();
  const std::vector<std::unique_ptr<Worker>>& workers() const { return workers_; }

  // All VMs have ended.
  bool all_ended() const;

  // sched::Host
  void kick(sched::WorkerId worker) override;
  void arm_tick(sched::WorkerId worker, Nanos at) override;
  // Notifier
  void interrupt_posted(sched::VcpuId target) override;
  void ipi_sent(VmId vm, const sched::IpiSend& send) override;
  void eoi(sched::VcpuId receiver, sched::IrqVector vector) override;
  void vm_ended(VmId vm) override;

 private:
  Gate gate_;
  sched::Scheduler scheduler_;
  std::vector<RunningVm> vms_;
  const bool sample_spins_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// The CPUs that this process may run on, in order.
std::vector<int> allowed_cpus();

}  // namespace vmm
