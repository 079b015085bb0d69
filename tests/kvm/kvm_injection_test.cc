// Interrupt and NMI injection through the sync area, on real KVM.
#include "tests/kvm/idt_vm.h"
#include "tests/kvm/tiny_vm.h"

using kvm_test::make_tiny_vm;
using kvm_test::next_ring;
using kvm_test::run;
using kvm_test::set_gate;
using vmm::VcpuIndex;

namespace {

constexpr apic::Vector kVector{0x40};
constexpr unsigned kNmi = 2;
constexpr unsigned kGeneralProtection = 13;
// Rings with its stack pointer, which tells the stack it was given: five words were pushed.
#define GUEST_TELL_RSP "mov %rsp, %rcx\n mov %rcx, 8(%rbx)\n iretq"

GUEST_CODE_WITH_HANDLER(halt_then_ring, GUEST_LOAD_IDT "sti\n 1: hlt\n movq $7, (%rbx)\n jmp 1b",
                        GUEST_TELL_RSP);
GUEST_CODE_WITH_HANDLER(ring_at_cpl3, GUEST_LOAD_IDT GUEST_TO_USER(0x202) "1: movq $7, (%rbx)\n jmp 1b",
                        GUEST_TELL_RSP);
GUEST_CODE_WITH_HANDLER(closed_then_open,
                        GUEST_LOAD_IDT "movq $1, (%rbx)\n movq $2, (%rbx)\n sti\n 1: pause\n jmp 1b",
                        GUEST_TELL_RSP);
GUEST_CODE(tell_cr8, GUEST_BELL_IN_RBX
           "mov %cr8, %rax\n mov %rax, (%rbx)\n mov $9, %eax\n mov %rax, %cr8\n movq $0, (%rbx)\n hlt");

// Writes an MSR that nobody has for ever; 512 bytes behind the start a handler for the #GP steps over the
// WRMSR.
GUEST_CODE_WITH_HANDLER(fault_with_interrupts_on,
                        GUEST_LOAD_IDT "mov $0x8ff, %ecx\n sti\n nop\n 1: wrmsr\n movq $7, (%rbx)\n jmp 1b",
                        "movq $0x40, (%rbx)\n iretq\n .org kvm_guest_fault_with_interrupts_on_begin + 512\n"
                        "add $8, %rsp\n addq $2, (%rsp)\n movq $13, (%rbx)\n iretq");

kvm_test::TinyVm make(const vmm::System& system, std::span<const uint8_t> code, unsigned ist = 0) {
  auto tiny = make_tiny_vm(system, code);
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  set_gate(tiny->memory, apic::raw(kVector), 1, ist);
  set_gate(tiny->memory, kNmi, 1, ist);
  kvm_test::set_idt_register(tiny->memory);
  return std::move(*tiny);
}

// What an interrupt's frame leaves of a stack: SS, RSP, RFLAGS, CS, RIP.
constexpr uint64_t kFrame = 5 * 8;

}  // namespace

TEST_CASE("an injected interrupt ends a halt") {
  REQUIRE_KVM(system);
  auto tiny = make(system, halt_then_ring());
  auto& vcpu = tiny.vcpu();
  for (int round = 0; round < 3; ++round) {
    REQUIRE(run(vcpu) == 0);
    REQUIRE(vcpu.area().exit_reason == KVM_EXIT_HLT);
    REQUIRE(vcpu.can_inject());
    vcpu.inject_interrupt(kVector);
    CHECK(!vcpu.can_inject());
    next_ring(vcpu);              // the handler
    CHECK(next_ring(vcpu) == 7);  // behind the halt
  }
}

TEST_CASE("an interrupt from CPL 3 runs on the RSP0 stack") {
  REQUIRE_KVM(system);
  auto tiny = make(system, ring_at_cpl3());
  auto& vcpu = tiny.vcpu();
  CHECK(next_ring(vcpu) == 7);
  REQUIRE(vcpu.can_inject());  // also on an unfinished MMIO exit
  vcpu.inject_interrupt(kVector);
  CHECK(next_ring(vcpu) == tiny.plan.rsp0_top(VcpuIndex{0}).value - kFrame);
  CHECK(vcpu.cpl() == 0);
  CHECK(next_ring(vcpu) == 7);
  CHECK(vcpu.cpl() == 3);
}

TEST_CASE("an interrupt with IST 1 runs on the IST1 stack") {
  REQUIRE_KVM(system);
  auto tiny = make(system, ring_at_cpl3(), 1);
  auto& vcpu = tiny.vcpu();
  CHECK(next_ring(vcpu) == 7);
  REQUIRE(vcpu.can_inject());
  vcpu.inject_interrupt(kVector);
  CHECK(next_ring(vcpu) == tiny.plan.ist1_top(VcpuIndex{0}).value - kFrame);
}

TEST_CASE("with interrupts off the window exit comes when they are on again") {
  REQUIRE_KVM(system);
  auto tiny = make(system, closed_then_open());
  auto& vcpu = tiny.vcpu();
  CHECK(next_ring(vcpu) == 1);
  CHECK(!vcpu.can_inject());
  vcpu.request_window(true);
  CHECK(next_ring(vcpu) == 2);
  REQUIRE(run(vcpu) == 0);
  REQUIRE(vcpu.area().exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN);
  REQUIRE(vcpu.can_inject());
  vcpu.request_window(false);
  vcpu.inject_interrupt(kVector);
  const uint64_t top = tiny.plan.start_stack_top(VcpuIndex{0}).value;
  const uint64_t rsp = next_ring(vcpu);
  CHECK(rsp < top);
  CHECK(rsp > top - 128);
}

TEST_CASE("an NMI comes through even with interrupts off") {
  REQUIRE_KVM(system);
  auto tiny = make(system, closed_then_open());
  auto& vcpu = tiny.vcpu();
  CHECK(next_ring(vcpu) == 1);
  CHECK(vcpu.inject_nmi() == 0);
  const uint64_t top = tiny.plan.start_stack_top(VcpuIndex{0}).value;
  const uint64_t rsp = next_ring(vcpu);
  CHECK(rsp < top);
  CHECK(rsp > top - 128);
  CHECK(next_ring(vcpu) == 2);
}

TEST_CASE("an injection survives an entry that was called off") {
  REQUIRE_KVM(system);
  auto tiny = make(system, halt_then_ring());
  auto& vcpu = tiny.vcpu();
  REQUIRE(run(vcpu) == 0);
  REQUIRE(vcpu.area().exit_reason == KVM_EXIT_HLT);
  vcpu.inject_interrupt(kVector);
  vcpu.request_exit();
  CHECK(vcpu.run() == EINTR);
  CHECK(vcpu.injection_pending());
  CHECK(!vcpu.can_inject());
  vcpu.clear_exit_request();
  next_ring(vcpu);
  CHECK(!vcpu.injection_pending());
  CHECK(next_ring(vcpu) == 7);
}

// KVM delivers the exception and forgets the interrupt that the same entry was to inject.
TEST_CASE("an interrupt waits while the instruction before it is finished with a fault") {
  REQUIRE_KVM(system);
  auto tiny = make(system, fault_with_interrupts_on());
  set_gate(tiny.memory, kGeneralProtection, 2);
  auto& vcpu = tiny.vcpu();
  REQUIRE(run(vcpu) == 0);
  REQUIRE(vcpu.area().exit_reason == KVM_EXIT_X86_WRMSR);
  vcpu.area().msr.error = 1;
  if (vcpu.can_inject()) vcpu.inject_interrupt(kVector);
  vcpu.request_window(true);
  CHECK(next_ring(vcpu) == kGeneralProtection);
  CHECK(!vcpu.can_inject());
  // A window exit, or, where KVM interprets the handler's end and what follows, the guest's next exit.
  REQUIRE(run(vcpu) == 0);
  REQUIRE(vcpu.injection() != vmm::VcpuFd::Injection::kNotNow);
  vcpu.finish_instruction();
  REQUIRE(vcpu.can_inject());
  vcpu.request_window(false);
  vcpu.inject_interrupt(kVector);
  CHECK(next_ring(vcpu) == apic::raw(kVector));
}

TEST_CASE("an interrupt waits while an exception that was written to the events is delivered") {
  REQUIRE_KVM(system);
  auto tiny = make(system, fault_with_interrupts_on());
  set_gate(tiny.memory, kGeneralProtection, 2);
  auto& vcpu = tiny.vcpu();
  REQUIRE(run(vcpu) == 0);
  REQUIRE(vcpu.area().exit_reason == KVM_EXIT_X86_WRMSR);
  vcpu.area().msr.error = 0;
  CHECK(!vcpu.can_inject());  // the instruction is unfinished
  vcpu.finish_instruction();
  CHECK(vcpu.can_inject());
  auto& exception = vcpu.mutable_events().exception;
  exception.injected = 1;
  exception.nr = kGeneralProtection;
  exception.has_error_code = 1;
  CHECK(!vcpu.can_inject());
  CHECK(next_ring(vcpu) == kGeneralProtection);
}

TEST_CASE("CR8 goes in and comes out") {
  REQUIRE_KVM(system);
  auto tiny = make(system, tell_cr8());
  auto& vcpu = tiny.vcpu();
  vcpu.set_cr8(5);
  CHECK(next_ring(vcpu) == 5);
  CHECK(next_ring(vcpu) == 0);
  CHECK(vcpu.cr8() == 9);
}
