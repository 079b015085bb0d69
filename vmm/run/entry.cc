#include "vmm/run/entry.h"

#include <algorithm>
#include <utility>

#include "vmm/run/start_up.h"

namespace vmm {
namespace {

constexpr unsigned kMostNmis = 2;  // one to run and one behind it

// True if the guest is (now) awake.
bool wake_if_possible(Vcpu& vcpu) {
  if (!vcpu.halted) return true;
  if (!vcpu.has_reason_to_wake()) return false;
  vcpu.halted = false;
  return true;
}

// A rise is seen even if the line has fallen since the last look: as an edge, or as a level that was
// accepted.
void look_at_lint0(Vcpu& vcpu) {
  if (vcpu.extint->take_rise()) {
    vcpu.lapic.set_lint(apic::Lint::kLint0, false);
    vcpu.lapic.set_lint(apic::Lint::kLint0, true);
  }
  vcpu.lapic.set_lint(apic::Lint::kLint0, vcpu.extint->requested());
}

// What KVM does not take is offered again before the next entry.
void inject_nmis(Vcpu& vcpu) {
  unsigned left = vcpu.lapic.take_nmis() + std::exchange(vcpu.held_nmis, 0);
  while (left > 0 && vcpu.kvm.inject_nmi() == 0) --left;
  vcpu.held_nmis = std::min(kMostNmis, left);
}

void inject(Vcpu& vcpu) {
  inject_nmis(vcpu);
  const bool extint = vcpu.has_extint();
  if (!extint && !vcpu.lapic.has_interrupt()) {
    vcpu.kvm.request_window(false);
    vcpu.kvm.only_finish(false);
    return;
  }
  const VcpuFd::Injection possible = vcpu.kvm.injection();
  vcpu.kvm.only_finish(possible == VcpuFd::Injection::kOnceFinished);
  if (possible == VcpuFd::Injection::kNow) {
    // The 8259s' priorities are their own: no PPR holds them back (SDM, ExtINT delivery mode).
    vcpu.kvm.inject_interrupt(extint ? vcpu.extint->acknowledge() : vcpu.lapic.accept());
    ++vcpu.account.injections;
    vcpu.kvm.request_window(vcpu.has_extint() || vcpu.lapic.has_interrupt());
  } else {
    vcpu.kvm.request_window(true);
  }
}

}  // namespace

void note_cr8(Vcpu& vcpu) { vcpu.lapic.set_cr8(static_cast<uint8_t>(vcpu.kvm.cr8())); }

Entry prepare_entry(Vcpu& vcpu, Nanos now) {
  apic::Lapic& lapic = vcpu.lapic;
  if (vcpu.extint != nullptr) look_at_lint0(vcpu);
  const auto deadline = lapic.timer_deadline();
  if (deadline && *deadline <= now) lapic.expire_timer(vcpu.clock(now));
  if (lapic.has_event()) take_startup(vcpu);
  if (vcpu.waiting_for_sipi) {
    // Blocked, not lost: the processor takes them when a SIPI has started it (SDM vol. 3, wait-for-SIPI; so
    // do KVM's LAPICs). Left in the LAPIC, they would wake it for ever.
    vcpu.held_nmis = std::min(kMostNmis, vcpu.held_nmis + lapic.take_nmis());
    vcpu.note_sleep();
    return Entry::kAsleep;
  }
  if (!wake_if_possible(vcpu)) {
    vcpu.note_sleep();
    return Entry::kAsleep;
  }
  vcpu.sleep.wakes();
  inject(vcpu);
  vcpu.kvm.set_cr8(lapic.cr8());
  return Entry::kReady;
}

}  // namespace vmm
