#include "vmm/run/never_started.h"

#include <fmt/format.h>

#include "vmm/run/exit.h"

namespace vmm {
namespace {

// In the guest, without what the host took meanwhile. A start takes a few hundred instructions, well below a
// millisecond even where KVM interprets them; a vCPU that had less may simply not have been scheduled.
constexpr Nanos kPatience{20'000'000};
// What the host took is known for a worker, not for a vCPU, and nothing is left on a host that is all taken.
constexpr Nanos kEndOfPatience{3'000'000'000};
constexpr uint64_t kInterruptFlag = 1u << 9;  // of RFLAGS

bool is_silent(const Vcpu& vcpu, const VcpuSnapshot& end, const VcpuResult& window) {
  const bool said_something = end.guest.state != KVMUX_VCPU_NOT_STARTED || end.guest.operations != 0;
  const bool has_ended = window.ledger.stopped > Nanos{};
  if (said_something || has_ended) return false;
  return vcpu.halted_deaf || window.ledger.guest + window.ledger.spinning >= kPatience ||
         end.use.account.guest >= kEndOfPatience;
}

}  // namespace

std::string never_started(Vm& vm, bool built_in, const std::vector<VcpuSnapshot>& end,
                          const std::vector<VcpuResult>& window) {
  const Vcpu* first = nullptr;
  uint32_t silent = 0;
  for (uint32_t i = 0; i < vm.vcpu_count(); ++i) {
    const Vcpu& vcpu = vm.vcpu(VcpuIndex{i});
    if (!is_silent(vcpu, end[i], window[i])) continue;
    if (first == nullptr) first = &vcpu;
    ++silent;
  }
  if (first == nullptr || (!built_in && silent < vm.vcpu_count())) return {};
  const bool interrupts = (first->kvm.regs().rflags & kInterruptFlag) != 0;
  return fmt::format("vm{}/vcpu{}: never started, {} at {}, interrupts {}{}", index_of(first->vm),
                     index_of(first->index), first->halted ? "halted" : "still", where(*first),
                     interrupts ? "on" : "off",
                     silent > 1 ? fmt::format(" (and {} other vCPUs)", silent - 1) : "");
}

}  // namespace vmm
