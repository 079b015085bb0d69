// The exit dispatcher, fed with exits that no guest made.
#include "tests/unit/vmm/exit_rig.h"

using namespace exit_test;
using Calls = std::vector<std::string>;

TEST_CASE("MMIO that the LAPIC does not claim goes to the board") {
  Rig rig;
  CHECK(rig.mmio(0xfec00010, 4, true, 0x11223344) == Next::kEnter);
  CHECK(rig.mmio(0xc0000000, 8, false) == Next::kEnter);
  CHECK(rig.mmio_data() == 0x5a5a5a5a5a5a5a5a);
  CHECK(rig.mmio(kLapicPage + 0x1000, 1, true, 7) == Next::kEnter);
  CHECK(rig.board.calls == Calls{"write fec00010 44332211", "read c0000000 8", "write fee01000 07"});
}

TEST_CASE("what the board says about a doorbell store is what the run loop does") {
  for (const Next answer : {Next::kEnter, Next::kSpin, Next::kStopVcpu, Next::kStopVm}) {
    Rig rig;
    rig.board.answer = answer;
    CHECK(rig.mmio(kDoorbell, 8, true, 3) == answer);
    CHECK(rig.board.calls == Calls{"write fed80000 0300000000000000"});
  }
}

TEST_CASE("an MMIO length beyond the exit's eight bytes is cut") {
  Rig rig;
  CHECK(rig.mmio(kDoorbell, 4096, true, 1) == Next::kEnter);
  CHECK(rig.board.calls == Calls{"write fed80000 0100000000000000"});
}

TEST_CASE("the LAPIC's page is read and written without the board") {
  Rig rig;
  CHECK(rig.lapic_read32(apic::Reg::kId) == 1u << 24);
  CHECK(rig.lapic_read32(apic::Reg::kSvr) == (apic::kSvrEnable | 0xff));
  CHECK(rig.lapic_write32(apic::Reg::kTpr, 0x40) == Next::kEnter);
  CHECK(rig.vcpu.lapic.cr8() == 4);
  CHECK(rig.mmio(kLapicPage + 0x30, 8, false, ~uint64_t{0}) == Next::kEnter);
  CHECK(rig.mmio_data() == apic::kVersionValue);  // bytes beyond the register read as 0
  CHECK(rig.board.calls.empty());
}

TEST_CASE("an ICR write in two halves sends one IPI, with the low half") {
  Rig rig;
  CHECK(rig.lapic_write32(apic::Reg::kIcrHigh, 3u << 24) == Next::kEnter);
  CHECK(rig.board.ipis.empty());
  CHECK(rig.lapic_write32(apic::Reg::kIcrLow, apic::kIcrAssert | 0x41) == Next::kSent);
  REQUIRE(rig.board.ipis.size() == 1);
  CHECK(rig.board.ipis[0].message.destination == 3);
  CHECK(rig.board.ipis[0].message.vector == apic::Vector{0x41});
}

TEST_CASE("a 64-bit ICR store sends what the two halves would") {
  Rig rig;
  const uint64_t icr = uint64_t{3} << 56 | apic::kIcrAssert | 0x41;
  CHECK(rig.mmio(kLapicPage + 0x300, 8, true, icr) == Next::kSent);
  rig.lapic_write32(apic::Reg::kIcrHigh, 3u << 24);
  rig.lapic_write32(apic::Reg::kIcrLow, apic::kIcrAssert | 0x41);
  REQUIRE(rig.board.ipis.size() == 2);
  CHECK(rig.board.ipis[0] == rig.board.ipis[1]);
  CHECK(rig.lapic_read32(apic::Reg::kIcrHigh) == 3u << 24);
}

TEST_CASE("a 64-bit store elsewhere in the LAPIC's page sends nothing") {
  Rig rig;
  CHECK(rig.mmio(kLapicPage + 0x310, 8, true, ~uint64_t{0}) == Next::kEnter);
  CHECK(rig.board.ipis.empty());
}

TEST_CASE("the end of an interrupt is told to the board") {
  Rig rig;
  REQUIRE(rig.vcpu.lapic.post(apic::Vector{0x51}, apic::TriggerMode::kEdge) == apic::Lapic::Post::kAccepted);
  REQUIRE(rig.vcpu.lapic.accept() == apic::Vector{0x51});
  CHECK(rig.lapic_write32(apic::Reg::kEoi, 0) == Next::kEnter);
  REQUIRE(rig.board.eois.size() == 1);
  CHECK(rig.board.eois[0].vector == apic::Vector{0x51});
  CHECK(rig.lapic_write32(apic::Reg::kEoi, 0) == Next::kEnter);  // nothing in service any more
  CHECK(rig.board.eois.size() == 1);
}

TEST_CASE("a string OUT is as many writes as it has elements, in order") {
  Rig rig;
  const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
  std::memcpy(rig.port_data(6).data(), bytes, 6);
  CHECK(rig.port(KVM_EXIT_IO_OUT, 0x3f8, 2, 3) == Next::kEnter);
  CHECK(rig.board.calls == Calls{"out 3f8 0102", "out 3f8 0304", "out 3f8 0506"});
}

TEST_CASE("a string IN fills every element") {
  Rig rig;
  CHECK(rig.port(KVM_EXIT_IO_IN, 0x3fd, 1, 3) == Next::kEnter);
  CHECK(hex(rig.port_data(4)) == "a0a1a200");
  CHECK(rig.board.calls == Calls{"in 3fd 1", "in 3fd 1", "in 3fd 1"});
}

TEST_CASE("the element that ends the VM is the last") {
  Rig rig;
  rig.board.stop_at = 2;
  CHECK(rig.port(KVM_EXIT_IO_OUT, 0xf4, 1, 4) == Next::kStopVm);
  CHECK(rig.board.calls.size() == 2);
}

TEST_CASE("the APIC base can be read and switched to x2APIC, and KVM learns of it") {
  Rig rig;
  CHECK(rig.rdmsr(apic::kMsrApicBase) == Next::kEnter);
  CHECK(rig.area.msr.error == 0);
  const uint64_t xapic = rig.area.msr.data;
  CHECK(xapic == (kLapicPage | apic::kApicBaseEnable));
  CHECK(rig.wrmsr(apic::kMsrApicBase, xapic | apic::kApicBaseX2apic) == Next::kEnter);
  CHECK(rig.area.msr.error == 0);
  CHECK(rig.vcpu.kvm.apic_base() == (xapic | apic::kApicBaseX2apic));
  CHECK((rig.area.kvm_dirty_regs & KVM_SYNC_X86_SREGS) != 0);
  // The page is the board's now, the MSRs are the LAPIC's.
  rig.mmio(kLapicPage + 0x20, 4, false);
  CHECK(rig.board.calls == Calls{"read fee00020 4"});
  rig.rdmsr(0x802);
  CHECK(rig.area.msr.error == 0);
  CHECK(rig.area.msr.data == 1);
  rig.wrmsr(0x830, uint64_t{7} << 32 | apic::kIcrAssert | 0x41);
  CHECK(rig.area.msr.error == 0);
  REQUIRE(rig.board.ipis.size() == 1);
  CHECK(rig.board.ipis[0].message.destination == 7);
}

TEST_CASE("an MSR access that the processor would refuse raises #GP") {
  Rig rig;
  const auto refused_read = [&](uint32_t msr) {
    return rig.rdmsr(msr) == Next::kEnter && rig.area.msr.error != 0;
  };
  const auto refused_write = [&](uint32_t msr, uint64_t value) {
    return rig.wrmsr(msr, value) == Next::kEnter && rig.area.msr.error != 0;
  };
  CHECK(refused_read(0x802));  // in xAPIC mode
  CHECK(refused_write(0x830, 0));
  CHECK(refused_read(0x12345678));  // nobody's
  CHECK(refused_write(0x12345678, 1));
  CHECK(refused_write(apic::kMsrApicBase, ~uint64_t{0}));  // reserved bits
  CHECK(rig.wrmsr(apic::kMsrApicBase, kLapicPage | apic::kApicBaseEnable | apic::kApicBaseX2apic) ==
        Next::kEnter);
  CHECK(refused_write(0x802, 0));  // read-only
  CHECK(refused_read(0x80b));      // write-only
  CHECK(refused_write(0x80b, 1));  // not 0
  CHECK(rig.board.ipis.empty());
}

TEST_CASE("a TSC deadline reaches the timer") {
  Rig rig;
  constexpr uint32_t kDeadlineMode = 2u << 17;
  CHECK(rig.lapic_write32(apic::Reg::kLvtTimer, kDeadlineMode | 0x31) == Next::kEnter);
  CHECK(rig.wrmsr(apic::kMsrTscDeadline, host_tsc() + 1'000'000'000'000) == Next::kEnter);
  CHECK(rig.area.msr.error == 0);
  CHECK(rig.vcpu.lapic.timer_deadline().has_value());
}

TEST_CASE("HLT halts, deaf if interrupts are off") {
  Rig rig;
  rig.area.if_flag = 1;
  CHECK(rig.exit(KVM_EXIT_HLT) == Next::kHalt);
  CHECK(rig.vcpu.halted);
  CHECK_FALSE(rig.vcpu.halted_deaf);
  rig.area.if_flag = 0;
  CHECK(rig.exit(KVM_EXIT_HLT) == Next::kHalt);
  CHECK(rig.vcpu.halted_deaf);
}

TEST_CASE("exits that only interrupt the guest let it go on") {
  Rig rig;
  for (const unsigned reason : {0u + KVM_EXIT_SET_TPR, 0u + KVM_EXIT_IRQ_WINDOW_OPEN, 0u + KVM_EXIT_INTR}) {
    CHECK(rig.exit(reason) == Next::kEnter);
  }
  CHECK(rig.board.calls.empty());
}

TEST_CASE("exits that nobody survives end the VM and say where") {
  const auto said = [](uint32_t reason) {
    Rig rig;
    rig.area.fail_entry.hardware_entry_failure_reason = 0x80000021;
    CHECK(rig.exit(reason) == Next::kStopVm);
    REQUIRE(rig.board.calls.size() == 1);
    return rig.board.calls[0];
  };
  CHECK(said(KVM_EXIT_SHUTDOWN) == "fail: triple fault at RIP 0x101234, CPL 3");
  CHECK(said(KVM_EXIT_FAIL_ENTRY) ==
        "fail: KVM cannot enter the guest (reason 0x80000021) at RIP 0x101234, CPL 3");
  CHECK(said(KVM_EXIT_HYPERCALL) == "fail: KVM exit 3 that kvmux does not know at RIP 0x101234, CPL 3");
  CHECK(said(4711) == "fail: KVM exit 4711 that kvmux does not know at RIP 0x101234, CPL 3");
}

TEST_CASE("an internal error goes on only if it was an instruction that could be completed") {
  Rig rig;
  rig.area.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
  rig.board.completes = true;
  CHECK(rig.exit(KVM_EXIT_INTERNAL_ERROR) == Next::kEnter);
  CHECK(rig.board.calls.empty());
  rig.area.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
  CHECK(rig.exit(KVM_EXIT_INTERNAL_ERROR) == Next::kStopVm);
  rig.board.completes = false;
  rig.area.internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
  CHECK(rig.exit(KVM_EXIT_INTERNAL_ERROR) == Next::kStopVm);
  CHECK(rig.board.calls ==
        Calls{"fail: KVM cannot go on (internal error, suberror 3) at RIP 0x101234, CPL 3",
              "fail: KVM cannot go on (internal error, suberror 1) at RIP 0x101234, CPL 3"});
}

TEST_CASE("guest memory that KVM cannot map is named, as an exit and beside an errno") {
  constexpr uint32_t kExitMemoryFault = 39;
  constexpr uint64_t said[] = {8, 0xabc000, 0x1000};
  Rig rig;
  std::memcpy(rig.area.padding, said, sizeof(said));
  CHECK(rig.exit(kExitMemoryFault) == Next::kStopVm);
  CHECK(rig.board.calls == Calls{"fail: KVM cannot map guest memory at 0xabc000, 0x1000 bytes (flags 0x8) at "
                                 "RIP 0x101234, CPL 3"});
  CHECK(why_not_entered(rig.vcpu, EFAULT) ==
        "KVM_RUN: Bad address: KVM cannot map guest memory at 0xabc000, 0x1000 bytes (flags 0x8) at RIP "
        "0x101234, CPL 3");
  rig.area.exit_reason = KVM_EXIT_INTR;
  CHECK(why_not_entered(rig.vcpu, EFAULT) == "KVM_RUN: Bad address at RIP 0x101234, CPL 3");
}

TEST_CASE("NMIs are counted: two at most, one behind the one in work") {
  Rig rig;
  const kvm_vcpu_events& events = rig.vcpu.kvm.events();
  CHECK(rig.vcpu.kvm.inject_nmi() == 0);
  CHECK(events.nmi.pending == 1);
  CHECK(rig.vcpu.kvm.inject_nmi() == 0);
  CHECK(rig.vcpu.kvm.inject_nmi() == 0);
  CHECK(events.nmi.pending == 2);
  CHECK((events.flags & KVM_VCPUEVENT_VALID_NMI_PENDING) != 0);
  rig.vcpu.kvm.mutable_events().nmi = {.injected = 0, .pending = 0, .masked = 1, .pad = 0};
  CHECK(rig.vcpu.kvm.inject_nmi() == 0);
  CHECK(rig.vcpu.kvm.inject_nmi() == 0);
  CHECK(events.nmi.pending == 1);
}
