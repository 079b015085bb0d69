// A virtual machine of a run: KVM fds, memory, vCPUs, and how it ended.
//
// Created and destroyed by one thread while no worker runs. During the run the vCPUs belong to lease holders;
// the outcome may be set and read by any thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apic/router.h"
#include "sched/base/mutex.h"
#include "vmm/kvm/memory.h"
#include "vmm/kvm/vm.h"
#include "vmm/run/notifier.h"
#include "vmm/run/vcpu.h"
#include "vmm/run_types.h"

namespace vmm {

class Vm {
 public:
  // Backed and mapped; no vCPUs yet. `first` is the dense id of its vCPU 0.
  [[nodiscard]] static Result<std::unique_ptr<Vm>> create(const System& system, const VmOptions& options,
                                                          uint64_t memory_bytes, sched::VcpuId first);
  // Adds all vCPUs, in their reset state, with LAPICs of the same index. With LapicPlace::kKernel ours are
  // there but disabled, so that they claim no address.
  [[nodiscard]] Result<void> add_vcpus(uint32_t count, CpuProfile profile, Paravirt paravirt = Paravirt::kNone);

  VmId id() const { return fd_.options().id; }
  const VmFd& fd() const { return fd_; }
  const GuestMemory& memory() const { return memory_; }
  uint32_t vcpu_count() const { return static_cast<uint32_t>(vcpus_.size()); }
  Vcpu& vcpu(VcpuIndex index) { return *vcpus_[index_of(index)]; }
  apic::Targets lapics() const { return lapics_; }
  uint64_t tsc_khz() const { return tsc_khz_; }

  // Ends the VM: the first caller's reason stands. Returns true for it.
  bool end_with_failure(std::string why);
  bool end_with_code(int code);
  bool ended() const { return ended_.load(std::memory_order_acquire); }  // partner: the stores in end_*()
  std::string failure() const;
  std::optional<int> exit_code() const;
  // A vCPU stopped by itself with this code; the VM ends when all have, with the largest code.
  // True if this was the last one.
  bool vcpu_stopped(uint64_t code);

 private:
  Vm(VmFd fd, GuestMemory memory, sched::VcpuId first, const System& system)
      : system_(&system), memory_(std::move(memory)), fd_(std::move(fd)), first_(first) {}

  const System* system_;
  GuestMemory memory_;  // outlives the fds that map it
  VmFd fd_;
  const sched::VcpuId first_;
  std::vector<std::unique_ptr<Vcpu>> vcpus_;
  std::vector<apic::Lapic*> lapics_;
  uint64_t tsc_khz_ = 0;

  std::atomic<bool> ended_{false};
  std::atomic<uint32_t> stopped_{0};
  std::atomic<uint64_t> worst_code_{0};
  mutable sched::Mutex mutex_;
  std::string failure_ SCHED_GUARDED_BY(mutex_);
  std::optional<int> exit_code_ SCHED_GUARDED_BY(mutex_);
};

}  // namespace vmm
