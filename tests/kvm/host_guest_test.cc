// Guests of their own images under the thread-per-vCPU baselines: LAPIC timers, and the end of a VM.
#include <sys/mman.h>

#include "sched/policy/parse.h"
#include "tests/kvm/guest_code.h"
#include "tests/kvm/require_kvm.h"
#include "tests/unit/vmm/elf_builder.h"
#include "vmm/kvm/fd.h"
#include "vmm/load/layout.h"
#include "vmm/run/run.h"

using namespace vmm;

namespace {

constexpr Nanos ms(int64_t n) { return Nanos{n * 1'000'000}; }

// LAPIC timers must end both a halt, in which the vCPU's thread sleeps, and a stay in the guest, where nobody
// looks at a clock. Every vCPU: own results page in R9 (boot info: free memory at 40, results at 72), LAPIC
// in R10, a gate for vector 0x40 that leads to the handler at 0x100100, one-shot timer of a million ticks of
// 1 ns. Then vCPU 0 halts for each tick, and vCPU 1 spins until the handler has counted it as an operation
// (at 8).
GUEST_CODE_WITH_HANDLER(tick,
                        "mov 40(%rdi), %r8\n mov 72(%rdi), %r9\n"
                        "mov %rsi, %rax\n shl $12, %rax\n add %rax, %r9\n mov $0xfee00000, %r10d\n"
                        "movl $0x00080100, 0x400(%r8)\n movl $0x00108e00, 0x404(%r8)\n movq $0, 0x408(%r8)\n"
                        "sub $16, %rsp\n movw $0xfff, (%rsp)\n mov %r8, 2(%rsp)\n lidt (%rsp)\n"
                        "movl $0x1ff, 0xf0(%r10)\n movl $0xb, 0x3e0(%r10)\n movl $0x40, 0x320(%r10)\n"
                        "1: mov 8(%r9), %rcx\n movl $1000000, 0x380(%r10)\n test %rsi, %rsi\n jnz 2f\n"
                        "sti\n hlt\n cli\n jmp 1b\n"
                        "2: sti\n 3: pause\n cmp 8(%r9), %rcx\n je 3b\n cli\n jmp 1b",
                        "incq 8(%r9)\n movl $0, 0xb0(%r10)\n iretq");

// vCPU 1 ends the VM with code 3 while vCPU 0 halts for ever.
GUEST_CODE(end_it, "test %rsi, %rsi\n jnz 2f\n 1: hlt\n jmp 1b\n 2: mov $3, %al\n out %al, $0xf4\n jmp 2b");

// The code as an ELF image that is a file without a name.
UniqueFd image_of(std::span<const uint8_t> code) {
  vmm_test::ElfBuilder elf;
  elf.programs.clear();
  elf.payload_bytes = code.size();
  elf.add(kImageStart.value, code.size(), code.size());
  elf.header.e_entry = kImageStart.value;
  auto bytes = elf.bytes();
  std::memcpy(bytes.data() + elf.payload_offset(), code.data(), code.size());
  UniqueFd file(::memfd_create("guest", MFD_CLOEXEC));
  REQUIRE(file);
  REQUIRE(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return file;
}

std::string path_of(const UniqueFd& image) { return "/proc/self/fd/" + std::to_string(image.get()); }

bool runs_here(const char* policy) {
  return std::string(policy) != "host-kvm" || kvm_test::system()->capabilities().has(KVM_CAP_SPLIT_IRQCHIP);
}

}  // namespace

TEST_CASE("LAPIC timers wake halted vCPUs and interrupt running ones") {
  REQUIRE_KVM(system);
  const UniqueFd image = image_of(tick());
  for (const char* policy : {"fair", "host", "host-kvm"}) {
    if (!runs_here(policy)) continue;
    CAPTURE(policy);
    RunSpec spec;
    spec.warmup = ms(50);
    spec.duration = ms(300);
    VmSpec& vm = spec.vms.emplace_back();
    vm.guest = path_of(image);
    vm.vcpus = 2;
    vm.policy = *sched::parse_policy(policy);
    RunControl control;
    const auto result = run(spec, control);
    REQUIRE_MESSAGE(result, result.error().text());
    CHECK(result->vms[0].failure == "");
    const auto most = static_cast<uint64_t>(result->window / ms(1)) + 2;
    for (const VcpuResult& vcpu : result->vms[0].vcpus) {
      CHECK(vcpu.operations >= 10);
      CHECK(vcpu.operations <= most);
    }
    CHECK(result->vms[0].vcpus[0].ledger.halted > Nanos{0});
  }
}

TEST_CASE("a VM that ends frees its halted vCPUs and leaves the other VM alone") {
  REQUIRE_KVM(system);
  const UniqueFd image = image_of(end_it());
  for (const char* policy : {"host", "host-yield", "host-kvm"}) {
    if (!runs_here(policy)) continue;
    CAPTURE(policy);
    RunSpec spec;
    spec.warmup = ms(200);
    spec.duration = ms(100);
    for (const std::string& guest : {path_of(image), std::string("compute")}) {
      VmSpec& vm = spec.vms.emplace_back();
      vm.guest = guest;
      vm.vcpus = 2;
      vm.policy = *sched::parse_policy(policy);
      vm.workload.think_ns = 50'000;
    }
    RunControl control;
    const auto result = run(spec, control);
    REQUIRE_MESSAGE(result, result.error().text());
    const VmResult& ended = result->vms[0];
    CHECK(ended.failure == "");
    REQUIRE(ended.exit_code);
    CHECK(*ended.exit_code == (3 << 1 | 1));
    for (const VcpuResult& vcpu : ended.vcpus) {
      CHECK(vcpu.ledger.stopped == result->window);
      CHECK(vcpu.ledger.sum() == vcpu.ledger.stopped);
    }
    const VmResult& alive = result->vms[1];
    CHECK_FALSE(alive.exit_code);
    for (const VcpuResult& vcpu : alive.vcpus) {
      CHECK(vcpu.operations > 0);
      CHECK(vcpu.ledger.stopped == Nanos{0});
    }
  }
}
