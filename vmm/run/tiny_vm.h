// A VM that runs a tiny guest by guest/abi.h: image, memory, tables, boot info, vCPUs, board.
//
// Built by one thread before the machine starts.
#pragma once

#include <memory>
#include <vector>

#include "sched/base/guest_page.h"
#include "vmm/load/layout.h"
#include "vmm/run/guest_pages.h"
#include "vmm/run/tiny_board.h"
#include "vmm/run/vm.h"

namespace vmm {

struct TinyVm {
  std::unique_ptr<Vm> vm;
  std::unique_ptr<TinyBoard> board;
  LayoutPlan plan;

  // What the guest is told in kvmux_boot_info. It may write there as well, and fools only itself.
  std::atomic<uint64_t>* vcpus_running() const;
  // What its vCPUs publish for schedulers (struct kvmux_sync), and where they are told.
  sched::GuestPages pages() const;
  // A copy of what the guest's vCPU has reported.
  kvmux_vcpu_results results(VcpuIndex index) const;
};

struct TinyVmSetup {
  VmOptions options;
  sched::VcpuId first{};
  const VmSpec& spec;
  const Calibration& calibration;
  Nanos spin_window{};
  uint64_t seed = 0;
  bool marks = false;  // the run is traced: guests are to mark what they do
};

[[nodiscard]] Result<TinyVm> make_tiny_vm(const System& system, const TinyVmSetup& setup, Notifier& notifier,
                                          Console& console);

}  // namespace vmm
