#include "vmm/load/start_state.h"

#include "vmm/check.h"
#include "vmm/platform/firmware.h"

namespace vmm {
namespace {

constexpr uint64_t kCr0Protection = 1u << 0;
constexpr uint64_t kCr0Extension = 1u << 4;  // always 1
constexpr uint64_t kCr0NumericError = 1u << 5;
constexpr uint64_t kCr0Paging = uint64_t{1} << 31;
constexpr uint64_t kCr4PhysicalExtension = 1u << 5;
constexpr uint64_t kEferLong = 1u << 8 | 1u << 10;  // LME and LMA

constexpr uint8_t kCodeType = 11;  // execute, read, accessed
constexpr uint8_t kDataType = 3;   // read, write, accessed
constexpr uint8_t kBusyTss = 11;
constexpr uint8_t kLdt = 2;

kvm_segment real_segment(uint16_t selector, uint8_t type) {
  kvm_segment s{};
  s.selector = selector;
  s.base = uint64_t{selector} * 16;
  s.limit = 0xffff;
  s.type = type;
  s.present = 1;
  s.s = 1;
  return s;
}

kvm_segment flat_segment(uint16_t selector, uint8_t type, bool is_long) {
  kvm_segment s{};
  s.selector = selector;
  s.limit = 0xffffffff;
  s.type = type;
  s.present = 1;
  s.s = 1;
  s.l = is_long ? 1 : 0;
  s.db = is_long ? 0 : 1;
  s.g = 1;
  return s;
}

kvm_segment system_segment(uint8_t type) {
  kvm_segment s{};
  s.limit = 0xffff;
  s.type = type;
  s.present = 1;
  return s;
}

void enter_real(Gpa entry, kvm_regs& regs, kvm_sregs& s) {
  constexpr uint64_t kSegmentBytes = 0x10000;
  KVMUX_CHECK(entry < kHighMemoryStart, "real mode reaches 1 MiB");
  const bool low = entry.value < kSegmentBytes;
  s.cs = real_segment(low ? 0 : static_cast<uint16_t>(entry.value / 16), kCodeType);
  regs.rip = low ? entry.value : entry.value % 16;
  s.ds = s.es = s.fs = s.gs = s.ss = real_segment(0, kDataType);
  s.idt.base = 0;
  s.idt.limit = 0x3ff;
  s.cr0 = kCr0Extension;
}

void enter_flat(bool is_long, kvm_sregs& s) {
  s.cs = flat_segment(kBootCode, kCodeType, is_long);
  s.ds = s.es = s.fs = s.gs = s.ss = flat_segment(kBootData, kDataType, false);
  s.gdt.base = (is_long ? kBootGdt64 : kBootGdt32).value;
  s.gdt.limit = kBootGdtBytes - 1;
  s.idt.base = 0;
  s.idt.limit = 0;
  s.cr0 = kCr0Protection | kCr0Extension | kCr0NumericError;
  if (!is_long) return;
  s.cr0 |= kCr0Paging;
  s.cr3 = kBootPageTables.value;
  s.cr4 = kCr4PhysicalExtension;
  s.efer = kEferLong;
}

}  // namespace

void enter_start_state(const StartState& start, kvm_regs& regs, kvm_sregs& s) {
  const StartRegisters& r = start.registers;
  regs = {};
  regs.rax = r.rax;
  regs.rbx = r.rbx;
  regs.rdx = r.rdx;
  regs.rsi = r.rsi;
  regs.rdi = r.rdi;
  regs.rsp = r.rsp;
  regs.rip = start.entry.value;
  regs.rflags = 2;  // bit 1 is always set
  s.cr2 = s.cr3 = s.cr4 = s.efer = 0;
  s.tr = system_segment(kBusyTss);
  s.ldt = system_segment(kLdt);
  if (start.mode == CpuMode::kReal) return enter_real(start.entry, regs, s);
  enter_flat(start.mode == CpuMode::kLong, s);
}

}  // namespace vmm
