// The KVM layer on real KVM: start-up contract, exits, sync registers, MSR exits, clean teardown.
#include <dirent.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "tests/kvm/tiny_vm.h"

using kvm_test::doorbell_store;
using kvm_test::make_tiny_vm;
using kvm_test::next_ring;
using kvm_test::run;
using vmm::VcpuIndex;

namespace {

GUEST_CODE(count_at_cpl0, GUEST_BELL_IN_RBX "1: inc %rsi\n mov %rsi, (%rbx)\n jmp 1b");
GUEST_CODE(count_at_cpl3, GUEST_TO_USER(0x2) GUEST_BELL_IN_RBX "1: inc %rsi\n mov %rsi, (%rbx)\n jmp 1b");
// First 8 bytes of the boot info, the vCPU's index, the stack pointer.
GUEST_CODE(tell_start, GUEST_BELL_IN_RBX
           "mov (%rdi), %rax\n mov %rax, (%rbx)\n mov %rsi, (%rbx)\n mov %rsp, (%rbx)\n hlt");
GUEST_CODE(read_null, "xor %eax, %eax\n mov (%rax), %rax\n hlt");
GUEST_CODE(halt, "1: hlt\n jmp 1b");
GUEST_CODE(print_a, "mov $0x3f8, %edx\n mov $0x41, %al\n out %al, %dx\n hlt");
GUEST_CODE(read_lapic_and_ioapic,
           "mov $0xfee00020, %eax\n mov (%rax), %ecx\n mov $0xfec00010, %eax\n mov (%rax), %ecx\n hlt");
// APIC base (read, then x2APIC enabled), ICR, TSC deadline, x2APIC id.
GUEST_CODE(touch_msrs,
           "mov $0x1b, %ecx\n rdmsr\n or $0x400, %eax\n wrmsr\n"
           "mov $0x830, %ecx\n mov $0x4030, %eax\n mov $7, %edx\n wrmsr\n"
           "mov $0x6e0, %ecx\n mov $0x1234, %eax\n xor %edx, %edx\n wrmsr\n"
           "mov $0x802, %ecx\n rdmsr\n mov %rax, %rbp\n" GUEST_BELL_IN_RBX "mov %rbp, (%rbx)\n hlt");
// CPUID leaf 1 EBX and ECX, leaf 0xB level 1 EBX and EDX.
GUEST_CODE(tell_cpuid,
           "mov $0xfed80000, %r8d\n"
           "mov $1, %eax\n cpuid\n mov %rbx, (%r8)\n mov %rcx, (%r8)\n"
           "mov $0xb, %eax\n mov $1, %ecx\n cpuid\n mov %rbx, (%r8)\n mov %rdx, (%r8)\n hlt");

int open_fds() {
  int count = 0;
  DIR* dir = ::opendir("/proc/self/fd");
  REQUIRE(dir != nullptr);
  while (::readdir(dir) != nullptr) ++count;
  ::closedir(dir);
  return count;
}

// Those whose line in /proc/self/maps contains `name`.
int mappings(const std::string& name) {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find(name) != std::string::npos ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("doorbell stores from CPL 0 arrive one by one") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, count_at_cpl0());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  for (uint64_t i = 1; i <= 100; ++i) REQUIRE(next_ring(tiny->vcpu()) == i);
  CHECK(tiny->vcpu().cpl() == 0);
  CHECK(tiny->vcpu().regs().rsi == 100);
}

TEST_CASE("doorbell stores from CPL 3 arrive one by one") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, count_at_cpl3());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  for (uint64_t i = 1; i <= 100; ++i) REQUIRE(next_ring(tiny->vcpu()) == i);
  CHECK(tiny->vcpu().cpl() == 3);
  CHECK(tiny->vcpu().rip() - vmm::kImageStart.value < count_at_cpl3().size());
}

TEST_CASE("registers that are not kept are fetched when they are looked at") {
  REQUIRE_KVM(system);
  auto kept = make_tiny_vm(system, count_at_cpl3());
  auto fetched = make_tiny_vm(system, count_at_cpl3());
  REQUIRE_MESSAGE(kept, kept.error().text());
  REQUIRE_MESSAGE(fetched, fetched.error().text());
  kept->vcpu().keep_regs();
  kept->vcpu().keep_sregs();
  for (uint64_t i = 1; i <= 3; ++i) {
    REQUIRE(next_ring(kept->vcpu()) == i);
    REQUIRE(next_ring(fetched->vcpu()) == i);
    CHECK(fetched->vcpu().regs().rsi == i);
    CHECK(fetched->vcpu().rip() == kept->vcpu().rip());
    CHECK(fetched->vcpu().cpl() == 3);
    CHECK(kept->vcpu().cpl() == 3);
  }
  fetched->vcpu().mutable_regs().rsi = 41;  // the others stay as they are
  REQUIRE(next_ring(fetched->vcpu()) == 42);
}

TEST_CASE("every vCPU starts with boot info, index and a stack of its own") {
  REQUIRE_KVM(system);
  constexpr uint32_t kVcpus = 4;
  auto tiny = make_tiny_vm(system, tell_start(), kVcpus);
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  for (uint32_t i = 0; i < kVcpus; ++i) {
    auto& vcpu = tiny->vcpus[i];
    CHECK(next_ring(vcpu) == KVMUX_ABI_MAGIC);
    CHECK(next_ring(vcpu) == i);
    const uint64_t rsp = next_ring(vcpu);
    CHECK(rsp == tiny->plan.start_stack_top(VcpuIndex{i}).value - 8);
    REQUIRE(run(vcpu) == 0);
    CHECK(vcpu.area().exit_reason == KVM_EXIT_HLT);
  }
}

TEST_CASE("a null pointer ends in a triple fault") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, read_null());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  REQUIRE(run(tiny->vcpu()) == 0);
  CHECK(tiny->vcpu().area().exit_reason == KVM_EXIT_SHUTDOWN);
}

TEST_CASE("port writes exit with their data") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, print_a());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  REQUIRE(run(tiny->vcpu()) == 0);
  auto& area = tiny->vcpu().area();
  REQUIRE(area.exit_reason == KVM_EXIT_IO);
  CHECK(area.io.port == KVMUX_PORT_SERIAL);
  CHECK(area.io.direction == KVM_EXIT_IO_OUT);
  CHECK(reinterpret_cast<const char*>(&area)[area.io.data_offset] == 'A');
}

TEST_CASE("local APIC and IOAPIC pages exit and take the answer") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, read_lapic_and_ioapic());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& vcpu = tiny->vcpu();
  for (const uint64_t address : {vmm::kLapicPage.value + 0x20, vmm::kIoapicPage.value + 0x10}) {
    REQUIRE(run(vcpu) == 0);
    REQUIRE(vcpu.area().exit_reason == KVM_EXIT_MMIO);
    CHECK(vcpu.area().mmio.phys_addr == address);
    CHECK(vcpu.area().mmio.is_write == 0);
    CHECK(vcpu.area().mmio.len == 4);
    const auto answer = static_cast<uint32_t>(address ^ 0x55);
    std::memcpy(vcpu.area().mmio.data, &answer, 4);
  }
  REQUIRE(run(vcpu) == 0);
  CHECK(vcpu.area().exit_reason == KVM_EXIT_HLT);
  CHECK(vcpu.regs().rcx == ((vmm::kIoapicPage.value + 0x10) ^ 0x55));
}

TEST_CASE("APIC base, x2APIC and TSC-deadline MSRs exit") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, touch_msrs());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& vcpu = tiny->vcpu();
  struct Access {
    uint32_t reason;
    uint32_t msr;
    uint64_t written;
    uint64_t answer;
  };
  const Access expected[] = {{KVM_EXIT_X86_RDMSR, 0x1b, 0, 0xfee00900},
                             {KVM_EXIT_X86_WRMSR, 0x1b, 0xfee00d00, 0},
                             {KVM_EXIT_X86_WRMSR, 0x830, 0x7'0000'4030, 0},
                             {KVM_EXIT_X86_WRMSR, 0x6e0, 0x1234, 0},
                             {KVM_EXIT_X86_RDMSR, 0x802, 0, 0x77}};
  for (const Access& access : expected) {
    CAPTURE(access.msr);
    REQUIRE(run(vcpu) == 0);
    REQUIRE(vcpu.area().exit_reason == access.reason);
    CHECK(vcpu.area().msr.index == access.msr);
    if (access.reason == KVM_EXIT_X86_WRMSR) CHECK(vcpu.area().msr.data == access.written);
    vcpu.area().msr.error = 0;
    vcpu.area().msr.data = access.answer;
  }
  CHECK(next_ring(vcpu) == 0x77);
}

TEST_CASE("CPUID tells topology and hypervisor") {
  REQUIRE_KVM(system);
  constexpr uint32_t kVcpus = 3;
  auto tiny = make_tiny_vm(system, tell_cpuid(), kVcpus);
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& last = tiny->vcpus[2];
  const uint64_t leaf1_ebx = next_ring(last);
  CHECK((leaf1_ebx >> 24) == 2);            // APIC id
  CHECK((leaf1_ebx >> 16 & 0xff) == 4);     // ids of the package, a power of two
  CHECK((next_ring(last) >> 31 & 1) == 1);  // hypervisor
  CHECK(next_ring(last) == kVcpus);         // threads below the core level
  CHECK(next_ring(last) == 2);              // x2APIC id
}

TEST_CASE("setting the APIC base drives the CPUID APIC bit") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, halt());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& vcpu = tiny->vcpu();
  REQUIRE(run(vcpu) == 0);
  constexpr uint64_t kX2apicBase = 0xfee00d00;
  vcpu.set_apic_base(kX2apicBase);
  REQUIRE(run(vcpu) == 0);
  CHECK(vcpu.apic_base() == kX2apicBase);
  CHECK(vcpu.area().apic_base == kX2apicBase);
}

TEST_CASE("a requested exit keeps the guest from running until it is cleared") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, count_at_cpl0());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& vcpu = tiny->vcpu();
  vcpu.request_exit();
  CHECK(vcpu.run() == EINTR);
  CHECK(vcpu.run() == EINTR);
  CHECK(vcpu.rip() == vmm::kImageStart.value);
  vcpu.clear_exit_request();
  CHECK(next_ring(vcpu) == 1);
}

TEST_CASE("a vCPU may run on one thread after the other") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, count_at_cpl3());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  uint64_t got = 0;
  for (uint64_t i = 1; i <= 20; ++i) {
    std::thread([&] { got = tiny->vcpu().run() == 0 ? doorbell_store(tiny->vcpu())->value : 0; }).join();
    REQUIRE(got == i);
  }
}

TEST_CASE("a vCPU with the LAPIC in the kernel starts without SIPI") {
  REQUIRE_OR_SKIP(!kvm_test::system() || kvm_test::system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP),
                  "KVM_CAP_SPLIT_IRQCHIP is missing");
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, count_at_cpl3(), 2, {.lapic = vmm::LapicPlace::kKernel});
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  auto& second = tiny->vcpus[1];
  REQUIRE(second.make_runnable());
  CHECK(next_ring(second) == 2);  // counts from its index
}

TEST_CASE("the TSC rate is known") {
  REQUIRE_KVM(system);
  auto tiny = make_tiny_vm(system, halt());
  REQUIRE_MESSAGE(tiny, tiny.error().text());
  const auto khz = tiny->vcpu().tsc_khz();
  REQUIRE(khz);
  CHECK(*khz > 100'000);
}

TEST_CASE("VMs leave no fd and no mapping behind") {
  REQUIRE_KVM(system);
  const auto cycle = [&] {
    auto tiny = make_tiny_vm(system, count_at_cpl0(), 2);
    REQUIRE_MESSAGE(tiny, tiny.error().text());
    for (auto& vcpu : tiny->vcpus) next_ring(vcpu);
  };
  cycle();  // what allocators and the kernel keep, they keep from the first time on
  const int fds = open_fds();
  const int maps = mappings("");
  REQUIRE(mappings("kvm-vcpu") == 0);
  for (int i = 0; i < 200; ++i) cycle();
  CHECK(open_fds() == fds);
  CHECK(mappings("kvm-vcpu") == 0);
  CHECK(mappings("") < maps + 50);  // a heap may grow a little, 200 lost guest memories show
}

TEST_CASE("failures name the ioctl, VM and vCPU") {
  REQUIRE_KVM(system);
  auto vm = vmm::VmFd::create(system, {.id = vmm::VmId{5}});
  REQUIRE(vm);
  REQUIRE(vm->create_vcpu(VcpuIndex{3}, {}));
  const auto twice = vm->create_vcpu(VcpuIndex{3}, {});
  REQUIRE(!twice);
  CHECK(twice.error().text() == "vm5/vcpu3: KVM_CREATE_VCPU: File exists (EEXIST)");
}
