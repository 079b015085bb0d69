#include "vmm/run/worker_trace.h"

#include "apic/registers.h"
#include "vmm/run/clock.h"

namespace vmm {
namespace {

using sched::TraceExit;

TraceExit of_lapic_register(uint32_t offset, bool is_write) {
  return is_write && offset == static_cast<uint32_t>(apic::Reg::kEoi) ? TraceExit::kEoi : TraceExit::kLapic;
}

TraceExit of_mmio(const Vcpu& vcpu, const kvm_run& area) {
  const uint64_t address = area.mmio.phys_addr;
  if (!vcpu.lapic.claims(address)) return TraceExit::kIo;
  return of_lapic_register(static_cast<uint32_t>(address - vcpu.lapic.base_address()),
                           area.mmio.is_write != 0);
}

TraceExit of_msr(const kvm_run& area, bool is_write) {
  if (!apic::Lapic::owns_msr(area.msr.index)) return TraceExit::kMsr;
  if (area.msr.index < apic::kX2apicMsrFirst || area.msr.index > apic::kX2apicMsrLast)
    return TraceExit::kLapic;
  return of_lapic_register((area.msr.index - apic::kX2apicMsrFirst) * 16, is_write);
}

}  // namespace

TraceExit traced_exit(const Vcpu& vcpu, const kvm_run& area, Next next) {
  if (next == Next::kSpin) return TraceExit::kSpin;
  if (next == Next::kSent) return TraceExit::kIpi;
  switch (area.exit_reason) {
    case KVM_EXIT_MMIO:
      return of_mmio(vcpu, area);
    case KVM_EXIT_IO:
      return TraceExit::kIo;
    case KVM_EXIT_HLT:
      return TraceExit::kHalt;
    case KVM_EXIT_X86_RDMSR:
      return of_msr(area, false);
    case KVM_EXIT_X86_WRMSR:
      return of_msr(area, true);
    case KVM_EXIT_IOAPIC_EOI:
      return TraceExit::kEoi;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
      return TraceExit::kWindow;
    case KVM_EXIT_INTR:
      return TraceExit::kKick;
    default:
      return TraceExit::kOther;
  }
}

namespace {

struct Instant {
  Nanos now{};
  uint64_t tsc = 0;  // the host's
};

// Both clocks at once: the closest of a few tries, since the host may take the CPU between two reads.
Instant both_clocks() {
  constexpr int kTries = 4;
  Instant best;
  uint64_t least = UINT64_MAX;
  for (int i = 0; i < kTries; ++i) {
    const uint64_t before = host_tsc();
    const Nanos now = monotonic_now();
    const uint64_t took = host_tsc() - before;
    if (took >= least) continue;
    least = took;
    best = {.now = now, .tsc = before + took / 2};
  }
  return best;
}

}  // namespace

void WorkerTrace::say_marks(Vcpu& vcpu, Nanos entered, Nanos exited) const {
  const Instant here = both_clocks();
  const uint64_t lost = vcpu.marks.take(
      {.entered = entered, .exited = exited, .now = here.now, .tsc = here.tsc + vcpu.tsc_offset},
      [&](Nanos at, uint64_t what, uint64_t value) {
        say(vcpu, at, sched::TraceKind::kMark, static_cast<uint8_t>(what), value);
      });
  if (lost > 0) say(vcpu, entered, sched::TraceKind::kLost, 0, lost);
}

void InterruptTrace::sending(sched::VcpuId first, const sched::IpiSend& send, Nanos at,
                             uint16_t worker) const {
  send.receivers.for_each([&](uint32_t receiver) {
    sink_->record({.at = at.count(),
                   .vcpu = sched::index_of(first) + send.sender,
                   .other = sched::index_of(first) + receiver,
                   .value = static_cast<uint8_t>(send.vector),
                   .worker = worker,
                   .kind = sched::TraceKind::kIpiSend});
  });
}

void InterruptTrace::acknowledged(sched::VcpuId receiver, sched::IrqVector vector, Nanos at,
                                  uint16_t worker) const {
  sink_->record({.at = at.count(),
                 .vcpu = sched::index_of(receiver),
                 .value = static_cast<uint8_t>(vector),
                 .worker = worker,
                 .kind = sched::TraceKind::kEoi});
}

void InterruptTrace::kicks(sched::WorkerId worker, sched::VcpuId vcpu, Nanos at) const {
  const auto why = vcpu == sched::kNoVcpu ? sched::TraceKick::kSchedule : sched::TraceKick::kInterrupt;
  sink_->record({.at = at.count(),
                 .vcpu = sched::index_of(vcpu),
                 .worker = static_cast<uint16_t>(sched::index_of(worker)),
                 .kind = sched::TraceKind::kKick,
                 .why = static_cast<uint8_t>(why)});
}

}  // namespace vmm
