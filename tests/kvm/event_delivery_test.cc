// What must not be lost between kvmux, KVM and the guest, on real KVM: interrupts beside exceptions, NMIs
// beside software interrupts, an NMI behind STI, interrupts of the 8259s beside KVM's LAPIC.
#include <algorithm>
#include <cstring>
#include <vector>

#include "apic/registers.h"
#include "tests/kvm/code_vm.h"
#include "tests/kvm/idt_vm.h"
#include "tests/kvm/tiny_vm.h"
#include "vmm/complete/complete.h"
#include "vmm/run/entry.h"

using namespace vmm;
using kvm_test::set_gate;

namespace {

constexpr unsigned kDivideError = 0;
constexpr unsigned kNmi = 2;
constexpr unsigned kBreakpoint = 3;
constexpr apic::Vector kVector{0x40};
constexpr unsigned kSoftware = 0x41;
constexpr uint64_t kRoundOver = 7;

// Divides by what a device reads as: three bytes of code, which the handler of #DE steps over.
GUEST_CODE_WITH_HANDLER(divide_by_a_device,
                        GUEST_LOAD_IDT
                        "sti\n 1: mov $1, %eax\n xor %edx, %edx\n divl 8(%rbx)\n"
                        "movq $7, (%rbx)\n jmp 1b",
                        "movq $0x40, (%rbx)\n iretq\n .org kvm_guest_divide_by_a_device_begin + 512\n"
                        "addq $3, (%rsp)\n movq $0, (%rbx)\n iretq");

GUEST_CODE_WITH_HANDLER(soft_interrupts, GUEST_LOAD_IDT "1: int $0x41\n int3\n movq $7, (%rbx)\n jmp 1b",
                        "movq $2, (%rbx)\n iretq\n .org kvm_guest_soft_interrupts_begin + 512\n"
                        "movq $0x41, (%rbx)\n iretq\n .org kvm_guest_soft_interrupts_begin + 768\n"
                        "movq $3, (%rbx)\n iretq");

GUEST_CODE_WITH_HANDLER(ring_then_halt, GUEST_LOAD_IDT "1: movq $1, (%rbx)\n hlt\n movq $7, (%rbx)\n jmp 1b",
                        "movq $2, (%rbx)\n iretq");

GUEST_CODE_WITH_HANDLER(ring_with_interrupts_on, GUEST_LOAD_IDT "sti\n 1: movq $7, (%rbx)\n jmp 1b",
                        "movq $0x40, (%rbx)\n iretq");

// One vCPU whose entries and exits are a worker's, without one.
class Machine {
 public:
  Machine(const System& system, std::span<const uint8_t> code) {
    auto vm = kvm_test::make_code_vm(system, code, 1);
    REQUIRE_MESSAGE(vm, vm.error().text());
    vm_ = std::move(*vm);
    kvm_test::set_idt_register(memory());
    const auto effect = vcpu().lapic.write_mmio(0xf0, apic::kSvrEnable | 0xff, vcpu().clock(Nanos{1}));
    REQUIRE(std::holds_alternative<apic::AcceptanceChanged>(effect));
  }

  const GuestMemory& memory() const { return vm_->memory(); }
  Vcpu& vcpu() { return vm_->vcpu(VcpuIndex{0}); }
  kvm_run& area() { return vcpu().kvm.area(); }

  // Enters until there is an exit to handle.
  void run() {
    constexpr int kMostEntries = 1000;
    for (int entries = 0; entries < kMostEntries; ++entries) {
      REQUIRE(prepare_entry(vcpu(), Nanos{1}) == Entry::kReady);
      vcpu().kvm.clear_exit_request();
      const int error = vcpu().kvm.run();
      note_cr8(vcpu());
      if (error == 0) return;
      REQUIRE((error == EINTR || error == VcpuFd::kOnlyFinished));
    }
    FAIL("no exit");
  }

 private:
  std::unique_ptr<Vm> vm_;
};

long count(const std::vector<uint64_t>& rings, uint64_t wanted) {
  return std::count(rings.begin(), rings.end(), wanted);
}

}  // namespace

// An interrupt that is injected while the instruction is unfinished goes with the exception that finishing
// raises, and KVM forgets it.
TEST_CASE("an interrupt waits while finishing the instruction raises an exception") {
  REQUIRE_KVM(system);
  Machine machine(system, divide_by_a_device());
  set_gate(machine.memory(), apic::raw(kVector), 1);
  set_gate(machine.memory(), kDivideError, 2);
  constexpr long kInterrupts = 20;
  long posted = 0;
  long rounds = 0;
  std::vector<uint64_t> rings;
  const auto got = [&] { return count(rings, apic::raw(kVector)); };
  while (got() < kInterrupts && rounds < 10 * kInterrupts) {
    machine.run();
    const kvm_run& area = machine.area();
    if (area.exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN) continue;
    REQUIRE(area.exit_reason == KVM_EXIT_MMIO);
    if (const auto ring = kvm_test::doorbell_store(machine.vcpu().kvm)) {
      rings.push_back(ring->value);
      if (ring->value == apic::raw(kVector)) {
        (void)machine.vcpu().lapic.write_mmio(0xb0, 0, machine.vcpu().clock(Nanos{1}));
      }
      rounds += ring->value == kRoundOver;
      continue;
    }
    std::memset(machine.area().mmio.data, 0, sizeof(area.mmio.data));
    if (posted > got()) continue;
    REQUIRE(machine.vcpu().lapic.post(kVector, apic::TriggerMode::kEdge) == apic::Lapic::Post::kAccepted);
    ++posted;
  }
  CHECK(got() == kInterrupts);
  CHECK(posted == kInterrupts);
  CHECK(count(rings, kDivideError) >= rounds);
}

// Where KVM gives up on INT n and INT3, kvmux completes them. KVM does not tell of them as long as they wait.
TEST_CASE("an NMI that comes before a completed software interrupt was delivered does not replace it") {
  REQUIRE_KVM(system);
  Machine machine(system, soft_interrupts());
  set_gate(machine.memory(), kNmi, 1);
  set_gate(machine.memory(), kSoftware, 2);
  set_gate(machine.memory(), kBreakpoint, 3);
  constexpr int kRounds = 20;
  long nmis = 0;
  std::vector<uint64_t> rings;
  for (int round = 0; round < kRounds;) {
    machine.run();
    if (machine.area().exit_reason == KVM_EXIT_INTERNAL_ERROR) {
      REQUIRE(complete_emulation(machine.vcpu().kvm, machine.memory()));
      machine.vcpu().kvm.request_exit();
      REQUIRE(machine.vcpu().kvm.run() == EINTR);
      machine.vcpu().lapic.post_nmi();
      ++nmis;
      continue;
    }
    const auto ring = kvm_test::doorbell_store(machine.vcpu().kvm);
    REQUIRE_MESSAGE(ring.has_value(), "exit reason " << machine.area().exit_reason);
    rings.push_back(ring->value);
    round += ring->value == kRoundOver;
  }
  CHECK(count(rings, kSoftware) == kRounds);
  CHECK(count(rings, kBreakpoint) == kRounds);
  CHECK(count(rings, kNmi) == nmis);
}

TEST_CASE("an NMI that STI holds back until the HLT behind it wakes from that HLT") {
  REQUIRE_KVM(system);
  Machine machine(system, ring_then_halt());
  set_gate(machine.memory(), kNmi, 1);
  machine.run();
  REQUIRE(kvm_test::doorbell_store(machine.vcpu().kvm).has_value());
  constexpr uint8_t kBySti = 2;  // KVM_X86_SHADOW_INT_STI
  machine.vcpu().kvm.mutable_events().interrupt.shadow = kBySti;
  machine.vcpu().lapic.post_nmi();
  std::vector<uint64_t> rings;
  while (count(rings, kNmi) == 0) {
    machine.run();  // fails if it sleeps
    if (const auto ring = kvm_test::doorbell_store(machine.vcpu().kvm)) {
      rings.push_back(ring->value);
    } else {
      REQUIRE(machine.area().exit_reason == KVM_EXIT_HLT);
      machine.vcpu().halted = machine.vcpu().halted_deaf = true;
    }
  }
  CHECK(rings == std::vector<uint64_t>{kNmi});
}

TEST_CASE("beside KVM's LAPIC an interrupt of the 8259s is queued when the one before was taken") {
  REQUIRE_KVM(system);
  if (!system.capabilities().has(KVM_CAP_SPLIT_IRQCHIP)) return;
  auto tiny = kvm_test::make_tiny_vm(system, ring_with_interrupts_on(), 1, {.lapic = LapicPlace::kKernel});
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  set_gate(tiny->memory, apic::raw(kVector), 1);
  kvm_test::set_idt_register(tiny->memory);
  VcpuFd& vcpu = tiny->vcpu();
  for (int round = 0; round < 3; ++round) {
    CHECK(kvm_test::next_ring(vcpu) == kRoundOver);
    REQUIRE(vcpu.can_queue_extint());
    REQUIRE(vcpu.queue_extint(kVector) == 0);
    vcpu.request_exit();
    CHECK(vcpu.run() == EINTR);
    vcpu.clear_exit_request();
    CHECK(!vcpu.can_queue_extint());  // KVM has it still, and would refuse another
    CHECK(kvm_test::next_ring(vcpu) == apic::raw(kVector));
  }
}
