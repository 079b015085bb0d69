#include "vmm/run/start_up.h"

#include <cstring>

namespace vmm {
namespace {

constexpr uint64_t kCr0CacheBits = 0x60000000;  // CD and NW: INIT leaves them as they are
constexpr uint64_t kCr0ExtensionType = 0x10;
constexpr uint64_t kFlagsReserved = 0x2;

kvm_segment real_mode_segment(uint16_t selector, uint64_t base, uint8_t type) {
  kvm_segment s{};
  s.selector = selector;
  s.base = base;
  s.limit = 0xffff;
  s.type = type;
  s.present = 1;
  s.s = 1;
  return s;
}

void reset_registers(VcpuFd& kvm) {
  const uint64_t signature = kvm.regs().rdx;
  kvm_regs& regs = kvm.mutable_regs();
  regs = {};
  regs.rdx = signature;
  regs.rflags = kFlagsReserved;
  regs.rip = 0xfff0;
  kvm_sregs& s = kvm.mutable_sregs();
  const uint64_t apic_base = s.apic_base;
  const uint64_t cr0 = (s.cr0 & kCr0CacheBits) | kCr0ExtensionType;
  s = {};
  s.apic_base = apic_base;
  s.cr0 = cr0;
  s.cs = real_mode_segment(0xf000, 0xffff0000, 0xb);
  s.ds = s.es = s.fs = s.gs = s.ss = real_mode_segment(0, 0, 0x3);
  s.tr = real_mode_segment(0, 0, 0xb);
  s.ldt = real_mode_segment(0, 0, 0x2);
  s.tr.s = s.ldt.s = 0;
  s.gdt.limit = s.idt.limit = 0xffff;
  kvm_vcpu_events& events = kvm.mutable_events();
  events.exception = {};
  events.interrupt = {};
  events.nmi = {};
}

}  // namespace

void take_startup(Vcpu& vcpu) {
  const apic::StartupEvents events = vcpu.lapic.take_startup(vcpu.waiting_for_sipi);
  if (events.init) {
    vcpu.was_reset = true;
    vcpu.kvm.finish_instruction();  // or it would be finished after the reset, and RIP and registers with it
    reset_registers(vcpu.kvm);
    if (vcpu.steal) vcpu.steal->reset();
    vcpu.halted = false;
    vcpu.halted_deaf = false;
    vcpu.held_nmis = 0;  // of before it
    vcpu.waiting_for_sipi = !vcpu.lapic.is_bsp();
  }
  if (events.sipi && vcpu.waiting_for_sipi) {
    const uint8_t page = apic::raw(*events.sipi);
    kvm_sregs& s = vcpu.kvm.mutable_sregs();
    s.cs.selector = static_cast<uint16_t>(page << 8);
    s.cs.base = uint64_t{page} << 12;
    vcpu.kvm.mutable_regs().rip = 0;
    vcpu.waiting_for_sipi = false;
  }
}

}  // namespace vmm
