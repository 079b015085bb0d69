// What happens around an entry, and at exits that touch the interrupt fabric: wait-for-SIPI, the 8259s' line,
// the APIC's base, the TSC, and where a triple fault was.
#include "vmm/run/entry.h"

#include "exit_rig.h"
#include "vmm/kvm/tsc.h"

using namespace exit_test;

namespace {

// The INTR line of 8259s that a test drives.
struct Line final : ExtIntSource {
  bool requested() const override { return high; }
  bool has_risen() const override { return rose; }
  bool take_rise() override { return std::exchange(rose, false); }
  apic::Vector acknowledge() override { return apic::Vector{0x20}; }
  void drive(bool to) {
    rose = rose || (to && !high);
    high = to;
  }
  void pulse() {
    drive(true);
    drive(false);
  }
  bool high = false;
  bool rose = false;
};

struct LineRig : Rig {
  explicit LineRig(uint32_t lint0) {
    vcpu.extint = &line;
    CHECK(lapic_write32(apic::Reg::kLvtLint0, lint0) == Next::kEnter);
  }
  bool requested(unsigned vector) {
    const auto reg = static_cast<apic::Reg>(static_cast<unsigned>(apic::Reg::kIrr0) + vector / 32 * 16);
    return (lapic_read32(reg) >> vector % 32 & 1) != 0;
  }
  Line line;
};

constexpr uint32_t kLevel = 1u << 15, kMasked = 1u << 16, kExtInt = 7u << 8;

}  // namespace

TEST_CASE("NMIs that come while a processor waits for its SIPI are held, two of them, until it has started") {
  Rig rig;
  rig.vcpu.waiting_for_sipi = true;
  for (int i = 0; i < 3; ++i) {
    rig.vcpu.lapic.post_nmi();
    CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kAsleep);
    CHECK_FALSE(rig.vcpu.lapic.has_event());  // or it would be woken for ever
    CHECK(rig.vcpu.kvm.events().nmi.pending == 0);
  }
  rig.vcpu.lapic.post_sipi(apic::Vector{0x9a});
  CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
  CHECK(rig.vcpu.kvm.events().nmi.pending == 2);
  CHECK(rig.vcpu.kvm.sregs().cs.base == 0x9a000);
}

TEST_CASE("an INIT drops the NMIs that were held before it, not those that come after") {
  Rig rig;
  rig.vcpu.waiting_for_sipi = true;
  rig.vcpu.lapic.post_nmi();
  rig.vcpu.lapic.post_nmi();
  CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kAsleep);
  rig.vcpu.lapic.post_init();
  rig.vcpu.lapic.post_nmi();
  CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kAsleep);
  rig.vcpu.lapic.post_sipi(apic::Vector{1});
  CHECK(prepare_entry(rig.vcpu, Nanos{3}) == Entry::kReady);
  CHECK(rig.vcpu.kvm.events().nmi.pending == 1);
}

TEST_CASE("an interrupt waits for the end of the instruction that the next entry finishes") {
  Rig rig;
  kvm_run& area = rig.area;
  const kvm_vcpu_events& events = rig.vcpu.kvm.events();
  area.ready_for_interrupt_injection = 1;
  area.mmio.is_write = 0;
  for (const unsigned unfinished :
       {0u + KVM_EXIT_MMIO, 0u + KVM_EXIT_IO, 0u + KVM_EXIT_X86_RDMSR, 0u + KVM_EXIT_X86_WRMSR}) {
    CAPTURE(unfinished);
    CHECK(rig.vcpu.lapic.post(apic::Vector{0x41}, apic::TriggerMode::kEdge) == apic::Lapic::Post::kAccepted);
    area.exit_reason = unfinished;
    CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kReady);
    CHECK_FALSE(rig.vcpu.kvm.injection_pending());
    area.exit_reason = KVM_EXIT_INTR;
    CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
    CHECK(rig.vcpu.kvm.injection_pending());
    CHECK(events.interrupt.nr == 0x41);
    rig.vcpu.kvm.mutable_events().interrupt = {};
    CHECK(rig.lapic_write32(apic::Reg::kEoi, 0) == Next::kEnter);
  }
  CHECK(rig.vcpu.lapic.post(apic::Vector{0x42}, apic::TriggerMode::kEdge) == apic::Lapic::Post::kAccepted);
  area.exit_reason = KVM_EXIT_MMIO;
  area.mmio.is_write = 1;
  CHECK(prepare_entry(rig.vcpu, Nanos{3}) == Entry::kReady);
  CHECK(events.interrupt.nr == 0x42);
}

TEST_CASE("what KVM held back until a HLT was over wakes from it") {
  for (const uint8_t interrupts_on : {uint8_t{0}, uint8_t{1}}) {
    CAPTURE(interrupts_on);
    Rig rig;
    const auto halt = [&] {
      rig.area.if_flag = interrupts_on;
      CHECK(rig.exit(KVM_EXIT_HLT) == Next::kHalt);
    };
    halt();
    CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kAsleep);
    rig.vcpu.kvm.mutable_events().nmi.pending = 1;
    CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
    halt();
    rig.vcpu.kvm.mutable_events().nmi.masked = 1;  // in the handler of one
    CHECK(prepare_entry(rig.vcpu, Nanos{3}) == Entry::kAsleep);
    rig.vcpu.kvm.mutable_events().exception.pending = 1;
    CHECK(prepare_entry(rig.vcpu, Nanos{4}) == Entry::kReady);
  }
}

TEST_CASE("an NMI takes no software interrupt back, and one that KVM does not take is offered again") {
  Rig rig;
  kvm_vcpu_events& events = rig.vcpu.kvm.mutable_events();
  events.interrupt = {.injected = 1, .nr = 0x41, .soft = 1, .shadow = 0};
  (void)rig.vcpu.kvm.run();  // EBADF; KVM would have it now and tell nobody
  rig.area.kvm_dirty_regs = 0;
  events.interrupt = {};
  rig.vcpu.lapic.post_nmi();
  for (Nanos now{1}; now < Nanos{3}; ++now) {
    CHECK(prepare_entry(rig.vcpu, now) == Entry::kReady);
    CHECK((rig.area.kvm_dirty_regs & KVM_SYNC_X86_EVENTS) == 0);
    CHECK(rig.vcpu.held_nmis == 1);  // KVM_NMI gave EBADF
  }
  (void)rig.vcpu.kvm.mutable_events();  // whoever else writes them has said what KVM holds
  (void)rig.vcpu.kvm.run();
  CHECK(prepare_entry(rig.vcpu, Nanos{4}) == Entry::kReady);
  CHECK(rig.vcpu.held_nmis == 0);
  CHECK(events.nmi.pending == 1);
}

TEST_CASE("a pulse of the 8259s between two entries reaches LINT0") {
  for (const uint32_t trigger : {0u, kLevel}) {
    CAPTURE(trigger);
    LineRig rig(trigger | 0x45);
    CHECK_FALSE(rig.vcpu.has_deliverable());
    rig.line.pulse();
    CHECK(rig.vcpu.has_deliverable());  // a halted processor must not go on sleeping
    CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kReady);
    CHECK(rig.requested(0x45));
    CHECK(rig.vcpu.lapic.accept() == apic::Vector{0x45});
    CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
    CHECK_FALSE(rig.requested(0x45));  // once
  }
}

TEST_CASE("a line that falls and rises between two entries is an edge of its own") {
  LineRig rig(0x45);
  rig.line.drive(true);
  CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kReady);
  CHECK(rig.vcpu.lapic.accept() == apic::Vector{0x45});
  CHECK(rig.lapic_write32(apic::Reg::kEoi, 0) == Next::kEnter);
  rig.line.drive(false);
  rig.line.drive(true);
  CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
  CHECK(rig.requested(0x45));
}

TEST_CASE("a pulse that LINT0 does not listen to wakes nobody and is not remembered") {
  for (const uint32_t entry : {kMasked | 0x45, kExtInt}) {
    CAPTURE(entry);
    LineRig rig(entry);
    rig.line.pulse();
    CHECK_FALSE(rig.vcpu.has_deliverable());
    CHECK(prepare_entry(rig.vcpu, Nanos{1}) == Entry::kReady);
    CHECK(rig.lapic_write32(apic::Reg::kLvtLint0, 0x45) == Next::kEnter);
    CHECK(prepare_entry(rig.vcpu, Nanos{2}) == Entry::kReady);
    CHECK_FALSE(rig.requested(0x45));
  }
}

TEST_CASE("the board is told when a local APIC accepts more") {
  Rig rig;
  const unsigned before = rig.board.acceptance_changes;
  CHECK(before == 1);  // the rig's software-enable
  CHECK(rig.lapic_write32(apic::Reg::kLdr, 0x02000000) == Next::kEnter);
  CHECK(rig.board.acceptance_changes == before + 1);
  CHECK(rig.lapic_write32(apic::Reg::kTpr, 0) == Next::kEnter);
  CHECK(rig.board.acceptance_changes == before + 1);
  CHECK(rig.wrmsr(apic::kMsrApicBase,
                  apic::kApicDefaultAddress | apic::kApicBaseEnable | apic::kApicBaseX2apic) == Next::kEnter);
  CHECK(rig.board.acceptance_changes == before + 2);
}

TEST_CASE("an APIC base on RAM ends the VM and says so; elsewhere it moves, and x2APIC mode has no page") {
  Rig rig;
  rig.board.ram_bytes = 0x10000000;
  CHECK(rig.wrmsr(apic::kMsrApicBase, 0x10000000 | apic::kApicBaseEnable) == Next::kEnter);
  CHECK(rig.vcpu.lapic.claims(0x10000000));
  CHECK(rig.wrmsr(apic::kMsrApicBase, 0x0ffff000) == Next::kEnter);  // disabled: claims nothing
  CHECK(rig.wrmsr(apic::kMsrApicBase, 0x0ffff000 | apic::kApicBaseEnable) == Next::kStopVm);
  REQUIRE(rig.board.calls.size() == 1);
  CHECK(rig.board.calls[0].find("IA32_APIC_BASE was set to 0xffff800") != std::string::npos);
  CHECK(rig.board.calls[0].find("on RAM") != std::string::npos);
}

TEST_CASE("a triple fault after which KVM has reset the processor says that the place is lost") {
  Rig rig;
  (void)rig.vcpu.kvm.run();  // EBADF, but it was entered at 101234H
  const auto reset = [&] {
    rig.vcpu.kvm.mutable_regs().rip = 0xfff0;
    rig.vcpu.kvm.mutable_sregs().cs.base = 0xffff0000;
  };
  // Without KVM nothing is fetched: what is written here is what is read.
  reset();
  CHECK(rig.exit(KVM_EXIT_SHUTDOWN) == Next::kStopVm);
  REQUIRE(rig.board.calls.size() == 1);
  CHECK(rig.board.calls[0] ==
        "fail: triple fault (the processor was reset by KVM: the place is lost; it was last entered at RIP "
        "0x101234)");
}

TEST_CASE("a write to the TSC moves IA32_TSC_ADJUST as far, and the other way round") {
  constexpr uint64_t kHost = 1'000'000'000'000;
  const TscSetting start{.offset = 5'000, .adjust = 0};
  CHECK(after_tsc_write(start, kHost, kMsrTsc, kHost + 5'000) == start);
  CHECK(after_tsc_write(start, kHost, kMsrTsc, kHost + 7'000) == TscSetting{7'000, 2'000});
  CHECK(after_tsc_write(start, kHost, kMsrTsc, 1'000) == TscSetting{1'000 - kHost, 1'000 - kHost - 5'000});
  CHECK(after_tsc_write({5'000, 40}, kHost, kMsrTscAdjust, 100) == TscSetting{5'060, 100});
  CHECK(after_tsc_write({5'000, 40}, kHost, kMsrTscAdjust, 0) == TscSetting{4'960, 0});
}

TEST_CASE("a TSC that the host does not set ends the VM with a message") {
  Rig rig;
  CHECK(rig.wrmsr(kMsrTsc, 0) == Next::kStopVm);
  REQUIRE(rig.board.calls.size() == 1);
  CHECK(rig.board.calls[0].find("fail: the guest's TSC cannot be set: KVM_GET_MSRS") == 0);
}
