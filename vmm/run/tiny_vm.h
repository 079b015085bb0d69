// A VM that runs a tiny guest by guest/abi.h: image, memory, tables, boot info, vCPUs, board.
//
// Built by one thread before the machine starts.
#pragma once

#include <memory>
#include <vector>

#include "sched/base/guest_page.h"
#include "vmm/load/layout.h"
#include "vmm/run/guest_pages.h"
#include "vmm/run/run_vm.h"
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

// As a VM of a run.
class TinyRunVm final : public RunVm {
 public:
  explicit TinyRunVm(TinyVm tiny) : tiny_(std::move(tiny)) {}

  [[nodiscard]] Vm& vm() const override { return *tiny_.vm; }
  [[nodiscard]] RunningVm running() const override {
    return {.vm = tiny_.vm.get(),
            .board = tiny_.board.get(),
            .hint_place = tiny_.vcpus_running(),
            .pages = tiny_.pages()};
  }
  [[nodiscard]] kvmux_vcpu_results results(VcpuIndex index) const override { return tiny_.results(index); }
  [[nodiscard]] std::vector<CheckResult> checks() const override { return tiny_.board->checks(); }

 private:
  TinyVm tiny_;
};

[[nodiscard]] Result<TinyVm> make_tiny_vm(const System& system, const TinyVmSetup& setup, Notifier& notifier,
                                          Console& console);

}  // namespace vmm
