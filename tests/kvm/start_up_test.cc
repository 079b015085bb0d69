// INIT and SIPI at a vCPU that stands in the middle of an instruction, on real KVM.
#include <array>

#include "tests/kvm/code_vm.h"
#include "tests/kvm/guest_code.h"
#include "tests/kvm/require_kvm.h"
#include "tests/kvm/tiny_vm.h"
#include "vmm/run/entry.h"

using namespace vmm;

namespace {

GUEST_CODE(read_a_device, "mov $0xfed80008, %ebx\n 1: mov (%rbx), %rax\n jmp 1b");
GUEST_CODE(read_a_port, "mov $0x1f7, %edx\n 1: in %dx, %al\n jmp 1b");
GUEST_CODE(read_an_msr, "mov $0x8ff, %ecx\n 1: rdmsr\n jmp 1b");

constexpr uint8_t kStartPage = 0x70;  // low memory that the layout leaves alone
constexpr std::array<uint8_t, 5> kRealModeCode{0xb0, 0x42, 0xe6, 0x80,
                                               0xf4};  // mov al, 42H; out 80H, al; hlt

struct Case {
  const char* name;
  std::span<const uint8_t> code;
  uint32_t exit;
};

}  // namespace

TEST_CASE("a processor that INIT meets in the middle of an instruction starts where the SIPI says") {
  REQUIRE_KVM(system);
  for (const Case& c :
       {Case{"MMIO", read_a_device(), KVM_EXIT_MMIO}, Case{"port", read_a_port(), KVM_EXIT_IO},
        Case{"MSR", read_an_msr(), KVM_EXIT_X86_RDMSR}}) {
    CAPTURE(c.name);
    auto vm = kvm_test::make_code_vm(system, c.code, 2);
    REQUIRE_MESSAGE(vm, vm.error().text());
    REQUIRE((*vm)->memory().write(Gpa{uint64_t{kStartPage} << 12}, std::as_bytes(std::span(kRealModeCode))));
    Vcpu& vcpu = (*vm)->vcpu(VcpuIndex{1});
    REQUIRE(kvm_test::run(vcpu.kvm) == 0);
    REQUIRE(vcpu.kvm.area().exit_reason == c.exit);

    vcpu.lapic.post_init();
    CHECK(prepare_entry(vcpu, Nanos{1}) == Entry::kAsleep);
    vcpu.lapic.post_sipi(apic::Vector{kStartPage});
    REQUIRE(prepare_entry(vcpu, Nanos{2}) == Entry::kReady);
    REQUIRE(kvm_test::run(vcpu.kvm) == 0);
    const kvm_run& area = vcpu.kvm.area();
    REQUIRE_MESSAGE(area.exit_reason == KVM_EXIT_IO,
                    "exit reason " << area.exit_reason << " at RIP " << vcpu.kvm.rip());
    CHECK(area.io.port == 0x80);
    CHECK(*(reinterpret_cast<const uint8_t*>(&area) + area.io.data_offset) == 0x42);
  }
}
