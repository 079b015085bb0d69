#include "vmm/run/exit.h"

#include <fmt/format.h>

#include <cstring>

#include "apic/registers.h"
#include "vmm/kvm/memory_fault.h"
#include "vmm/kvm/tsc.h"
#include "vmm/run/access_value.h"

namespace vmm {
namespace {

constexpr uint32_t kIcrOffset = 0x300;

Next end_vm(Vcpu& vcpu, Board& board, const std::string& what) {
  board.fail(vcpu, what + " at " + where(vcpu));
  return Next::kStopVm;
}

// A LAPIC page on RAM would have to be there for this vCPU and RAM for all others, and KVM backs a page for
// all or none: the guest would write to its RAM and believe that it wrote to its APIC.
Next apic_base_changed(Vcpu& vcpu, Board& board, Nanos now) {
  const uint64_t base = *vcpu.lapic.read_msr(apic::kMsrApicBase, vcpu.clock(now));
  vcpu.kvm.set_apic_base(base);
  const Gpa page{vcpu.lapic.base_address()};
  if (vcpu.lapic.claims(page.value) && board.is_ram(page)) {
    return end_vm(
        vcpu, board,
        fmt::format("IA32_APIC_BASE was set to {:#x}: the local APIC's page would lie on RAM, which "
                    "kvmux cannot do (accepted are addresses outside of RAM)",
                    base));
  }
  board.acceptance_changed();
  return Next::kEnter;
}

Next apply(Vcpu& vcpu, Board& board, const apic::Effect& effect, Nanos now) {
  if (const auto* ipi = std::get_if<apic::IpiRequest>(&effect)) {
    board.ipi(vcpu, *ipi);
    return Next::kSent;
  }
  if (const auto* eoi = std::get_if<apic::EndOfInterrupt>(&effect)) {
    board.end_of_interrupt(vcpu, *eoi);
  } else if (std::holds_alternative<apic::ApicBaseChanged>(effect)) {
    return apic_base_changed(vcpu, board, now);
  } else if (std::holds_alternative<apic::AcceptanceChanged>(effect)) {
    board.acceptance_changed();
  }
  return Next::kEnter;  // TimerChanged: the run loop looks at the deadline before every entry
}

Next lapic_access(Vcpu& vcpu, Board& board, Gpa address, std::span<uint8_t> data, bool is_write, Nanos now) {
  const uint32_t offset = static_cast<uint32_t>(address.value - vcpu.lapic.base_address());
  const apic::Clock clock = vcpu.clock(now);
  if (!is_write) {
    const uint32_t value = vcpu.lapic.read_mmio(offset, clock);
    std::memset(data.data(), 0, data.size());
    std::memcpy(data.data(), &value, std::min(data.size(), sizeof(value)));
  } else if (data.size() == 8 && offset == kIcrOffset) {
    return apply(vcpu, board, vcpu.lapic.write_mmio64_icr(to_value(data), clock), now);
  } else {
    return apply(vcpu, board, vcpu.lapic.write_mmio(offset, static_cast<uint32_t>(to_value(data)), clock),
                 now);
  }
  return Next::kEnter;
}

Next on_mmio(Vcpu& vcpu, kvm_run& area, Board& board, Nanos now) {
  const Gpa address{area.mmio.phys_addr};
  const std::span<uint8_t> data(area.mmio.data, std::min<size_t>(area.mmio.len, sizeof(area.mmio.data)));
  if (vcpu.lapic.claims(address.value)) {
    return lapic_access(vcpu, board, address, data, area.mmio.is_write != 0, now);
  }
  return area.mmio.is_write != 0 ? board.mmio_write(vcpu, address, data)
                                 : board.mmio_read(vcpu, address, data);
}

// A string instruction comes as `count` accesses of `size` bytes in one exit.
Next on_port(Vcpu& vcpu, kvm_run& area, Board& board) {
  auto* bytes = reinterpret_cast<uint8_t*>(&area) + area.io.data_offset;
  for (uint32_t i = 0; i < area.io.count; ++i, bytes += area.io.size) {
    const Next next = area.io.direction == KVM_EXIT_IO_OUT
                          ? board.port_write(vcpu, area.io.port, {bytes, area.io.size})
                          : board.port_read(vcpu, area.io.port, {bytes, area.io.size});
    if (next != Next::kEnter) return next;
  }
  return Next::kEnter;
}

Next on_rdmsr(Vcpu& vcpu, kvm_run& area, Nanos now) {
  area.msr.error = 1;  // #GP
  if (area.msr.index == MSR_KVM_STEAL_TIME && vcpu.steal) {
    area.msr.error = 0;
    area.msr.data = vcpu.steal->msr();
    return Next::kEnter;
  }
  if (!apic::Lapic::owns_msr(area.msr.index)) return Next::kEnter;
  if (const auto value = vcpu.lapic.read_msr(area.msr.index, vcpu.clock(now))) {
    area.msr.error = 0;
    area.msr.data = *value;
  }
  return Next::kEnter;
}

// The counter that the TSC deadline is compared with.
Next on_tsc_write(Vcpu& vcpu, kvm_run& area, Board& board, Nanos now) {
  vcpu.lapic.expire_timer(vcpu.clock(now));  // what was due by the old counter
  const auto offset = write_guest_tsc(vcpu.kvm, area.msr.index, area.msr.data);
  if (!offset)
    return end_vm(vcpu, board, fmt::format("the guest's TSC cannot be set: {}", offset.error().text()));
  vcpu.tsc_offset = *offset;
  vcpu.lapic.tsc_changed(vcpu.clock(now));
  area.msr.error = 0;
  return Next::kEnter;
}

Next on_wrmsr(Vcpu& vcpu, kvm_run& area, Board& board, Nanos now) {
  if (is_tsc_msr(area.msr.index)) return on_tsc_write(vcpu, area, board, now);
  area.msr.error = 1;  // #GP
  if (area.msr.index == MSR_KVM_STEAL_TIME && vcpu.steal) {
    area.msr.error = vcpu.steal->write_msr(area.msr.data) ? 0 : 1;
    return Next::kEnter;
  }
  if (!apic::Lapic::owns_msr(area.msr.index)) return Next::kEnter;
  if (const auto effect = vcpu.lapic.write_msr(area.msr.index, area.msr.data, vcpu.clock(now))) {
    area.msr.error = 0;
    return apply(vcpu, board, *effect, now);
  }
  return Next::kEnter;
}

Next on_halt(Vcpu& vcpu, kvm_run& area) {
  vcpu.halted = true;
  vcpu.halted_deaf = area.if_flag == 0;
  vcpu.note_sleep();
  return Next::kHalt;
}

// KVM for AMD's processors resets a vCPU before it reports SHUTDOWN, and with it the registers that say
// where.
Next on_shutdown(Vcpu& vcpu, Board& board) {
  constexpr uint64_t kResetRip = 0xfff0;
  constexpr uint64_t kResetCsBase = 0xffff0000;
  const bool was_reset = vcpu.kvm.rip() == kResetRip && vcpu.kvm.sregs().cs.base == kResetCsBase;
  if (!was_reset) return end_vm(vcpu, board, "triple fault");
  const auto before = vcpu.kvm.entered_at();
  board.fail(vcpu, "triple fault (the processor was reset by KVM: the place is lost" +
                       (before ? fmt::format("; it was last entered at RIP {:#x})", *before) : ")"));
  return Next::kStopVm;
}

Next on_internal_error(Vcpu& vcpu, kvm_run& area, Board& board) {
  if (area.internal.suberror == KVM_INTERNAL_ERROR_EMULATION && board.complete_instruction(vcpu)) {
    return Next::kEnter;
  }
  return end_vm(vcpu, board,
                fmt::format("KVM cannot go on (internal error, suberror {})", area.internal.suberror));
}

}  // namespace

std::string where(const Vcpu& vcpu) {
  return fmt::format("RIP {:#x}, CPL {}", vcpu.kvm.rip(), vcpu.kvm.cpl());
}

std::string why_not_entered(const Vcpu& vcpu, int error) {
  const auto fault = memory_fault(vcpu.kvm.area());
  return fmt::format("KVM_RUN: {}{} at {}", ::strerror(error), fault ? ": " + describe(*fault) : "",
                     where(vcpu));
}

Next handle_exit(Vcpu& vcpu, kvm_run& area, Board& board, Nanos now) {
  switch (area.exit_reason) {
    case KVM_EXIT_MMIO:
      return on_mmio(vcpu, area, board, now);
    case KVM_EXIT_IO:
      return on_port(vcpu, area, board);
    case KVM_EXIT_HLT:
      return on_halt(vcpu, area);
    case KVM_EXIT_X86_RDMSR:
      return on_rdmsr(vcpu, area, now);
    case KVM_EXIT_X86_WRMSR:
      return on_wrmsr(vcpu, area, board, now);
    case KVM_EXIT_IOAPIC_EOI:
      board.ioapic_eoi(apic::Vector{area.eoi.vector});
      return Next::kEnter;
    case KVM_EXIT_SET_TPR:          // cr8 is read before the next entry
    case KVM_EXIT_IRQ_WINDOW_OPEN:  // the next entry injects
    case KVM_EXIT_INTR:
      return Next::kEnter;
    case KVM_EXIT_SHUTDOWN:
      return on_shutdown(vcpu, board);
    case KVM_EXIT_FAIL_ENTRY:
      return end_vm(vcpu, board,
                    fmt::format("KVM cannot enter the guest (reason {:#x})",
                                uint64_t{area.fail_entry.hardware_entry_failure_reason}));
    case KVM_EXIT_INTERNAL_ERROR:
      return on_internal_error(vcpu, area, board);
    case kExitMemoryFault:
      return end_vm(vcpu, board, describe(*memory_fault(area)));
    default:
      return end_vm(vcpu, board, fmt::format("KVM exit {} that kvmux does not know", area.exit_reason));
  }
}

}  // namespace vmm
