// Guests that break the rules, on real KVM: what they do ends their own VM with a line that says who and
// where; a healthy VM in the same run goes on, and its results are there.
#include <algorithm>

#include "tests/kvm/real_run.h"

using namespace kvm_test;
using namespace vmm;

namespace {

// vCPU 0 waits, vCPU 1 does it: the failure must name the one that did.
#define HOSTILE(name, text) \
  GUEST_CODE(name, "test %rsi, %rsi\n jnz 7f\n 6: pause\n jmp 6b\n 7: mov $0xfed80000, %ebx\n" text)

HOSTILE(undefined_instruction, "ud2");
HOSTILE(jump_to_unmapped, "mov $0x40000000, %eax\n jmp *%rax");
HOSTILE(jump_to_noncanonical, "movabs $0x1234567890abcdef, %rax\n jmp *%rax");
HOSTILE(jump_to_null, "xor %eax, %eax\n jmp *%rax");
HOSTILE(jump_to_the_doorbell, "jmp *%rbx");
HOSTILE(jump_to_the_doorbell_at_cpl3, GUEST_TO_USER(0x2) "jmp *%rbx");
HOSTILE(write_to_unmapped, "mov $0x40000000, %eax\n mov %rax, (%rax)");
HOSTILE(unknown_msr, "mov $0x12345678, %ecx\n wrmsr");
HOSTILE(page_tables_nowhere, "mov $0xc0000000, %eax\n mov %rax, %cr3\n nop\n ud2");
HOSTILE(no_stack_no_idt, "xor %esp, %esp\n push %rax");
HOSTILE(halt_at_cpl3, GUEST_TO_USER(0x2) "hlt");

HOSTILE(write_to_ioapic, "mov $0xfec00010, %eax\n movl $1, (%rax)");
HOSTILE(write_to_ioapic_at_cpl3, GUEST_TO_USER(0x2) "mov $0xfec00010, %eax\n movl $1, (%rax)");
HOSTILE(read_from_ioapic, "mov $0xfec00010, %eax\n mov (%rax), %ecx");
HOSTILE(write_to_port, "out %al, $0x80");
HOSTILE(read_from_port, "mov $0x1f7, %dx\n in (%dx), %al");

HOSTILE(bell_read, "mov (%rbx), %rax");
HOSTILE(bell_offset, "movq $0, 0x20(%rbx)");
HOSTILE(bell_last_offset, "movq $0, 0xff8(%rbx)");
HOSTILE(bell_odd_offset, "movq $0, 3(%rbx)");
HOSTILE(bell_two_pages, "movq $0, 0xffc(%rbx)");
HOSTILE(bell_four_bytes, "movl $0, (%rbx)");
HOSTILE(bell_one_byte, "movb $0, 0x18(%rbx)");
HOSTILE(log_nowhere, "movq $-1, 8(%rbx)");
HOSTILE(log_behind_memory, "mov $0xc0000000, %eax\n mov %rax, 8(%rbx)");
HOSTILE(result_nowhere, "movq $-1, 16(%rbx)");
HOSTILE(result_wraps, "movq $-32, 16(%rbx)");
HOSTILE(results_without_end, "1: movq $0x100000, 16(%rbx)\n jmp 1b");

GUEST_CODE(loops_before_it_starts, "1: jmp 1b");
GUEST_CODE(halts_before_it_starts, "hlt\n 1: jmp 1b");
// vCPU 1 says that it runs, as a guest should; vCPU 0 is never heard of.
#define GUEST_SAYS_RUNNING "mov 0x48(%rdi), %rax\n shl $12, %rsi\n movq $1, (%rax, %rsi)\n"
GUEST_CODE(one_of_two_starts, "test %rsi, %rsi\n jz 1f\n" GUEST_SAYS_RUNNING "1: jmp 1b");
GUEST_CODE(deaf_loop, "cli\n" GUEST_SAYS_RUNNING "1: jmp 1b");
GUEST_CODE(deaf_loop_at_cpl3, GUEST_SAYS_RUNNING GUEST_TO_USER(0x2) "1: jmp 1b");
// Everything that an ICR can send, to everybody, itself last.
GUEST_CODE(interrupt_storm, GUEST_SAYS_RUNNING
           "mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n"
           "1: add $0x100, %ecx\n mov %ecx, %eax\n and $0x700, %eax\n cmp $0x500, %eax\n je 1b\n"
           "or $0xc4041, %eax\n mov %eax, 0x300(%rbx)\n jmp 1b");
GUEST_CODE(resets_everybody, GUEST_SAYS_RUNNING
           "mov $0xfee00000, %ebx\n movl $0xc4500, 0x300(%rbx)\n"
           "movl $0xc46a0, 0x300(%rbx)\n movl $0x84500, 0x300(%rbx)\n 1: jmp 1b");

static_assert(offsetof(kvmux_boot_info, results) == 0x48);

struct Case {
  const char* name;
  std::span<const uint8_t> code;
  const char* says;  // a part of the failure line
};

const Case kCases[] = {
    {"undefined instruction", undefined_instruction(), "triple fault"},
    {"jump to unmapped", jump_to_unmapped(), "triple fault"},
    {"jump to non-canonical", jump_to_noncanonical(), "triple fault"},
    {"jump to null", jump_to_null(), "triple fault"},
    {"jump to the doorbell", jump_to_the_doorbell(), "RIP 0xfed80000"},
    {"jump to the doorbell at CPL 3", jump_to_the_doorbell_at_cpl3(), "RIP 0xfed80000, CPL 3"},
    {"write to unmapped", write_to_unmapped(), "triple fault"},
    {"unknown MSR", unknown_msr(), "triple fault"},
    {"page tables nowhere", page_tables_nowhere(), ""},
    {"no stack, no IDT", no_stack_no_idt(), "triple fault"},
    {"HLT at CPL 3", halt_at_cpl3(), "triple fault"},
    {"write to IOAPIC", write_to_ioapic(),
     "write to address 0xfec00010, which nothing claims, at RIP 0x1000"},
    {"write to IOAPIC at CPL 3", write_to_ioapic_at_cpl3(), "write to address 0xfec00010"},
    {"read from IOAPIC", read_from_ioapic(), "read of address 0xfec00010"},
    {"write to port", write_to_port(), "write to port 0x80"},
    {"read from port", read_from_port(), "read of port 0x1f7"},
    {"bell read", bell_read(), "read of address 0xfed80000"},
    {"bell offset", bell_offset(), "offset 0x20"},
    {"bell last offset", bell_last_offset(), "offset 0xff8"},
    {"bell odd offset", bell_odd_offset(), "offset 0x3"},
    {"bell across two pages", bell_two_pages(), ""},
    {"bell of four bytes", bell_four_bytes(), "4-byte store to the doorbell"},
    {"bell of one byte", bell_one_byte(), "1-byte store to the doorbell"},
    {"log nowhere", log_nowhere(), "LOG with text at 0xffffffffffffffff"},
    {"log behind memory", log_behind_memory(), "LOG with text at 0xc0000000"},
    {"result nowhere", result_nowhere(), "RESULT with a record at 0xffffffffffffffff"},
    {"result wraps", result_wraps(), "RESULT with a record at 0xffffffffffffffe0"},
    {"results without end", results_without_end(), "more than 4096 results"},
};

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// The healthy VM first, the other one second.
RunResult run_beside_healthy(std::span<const uint8_t> code, Nanos duration, const char* policy = "fair") {
  const GuestFile guest(code);
  RunSpec spec = short_run(duration);
  add_vm(spec, "compute", 2, policy);
  add_vm(spec, guest.path(), 2, policy);
  RunResult result = run_it(spec);
  REQUIRE(result.vms.size() == 2);
  return result;
}

// For as long as it takes until all of the healthy VM has worked and the other has failed with words like
// these, if it should: longer on a busy host.
constexpr const char* kNoFailure = "";
RunResult run_until_seen(std::span<const uint8_t> code, const char* failure, const char* policy = "fair") {
  for (const int64_t length : {100, 400, 2'000}) {
    RunResult result = run_beside_healthy(code, ms(length), policy);
    const auto& healthy = result.vms[0].vcpus;
    const bool worked = std::all_of(healthy.begin(), healthy.end(),
                                    [](const VcpuResult& vcpu) { return vcpu.operations > 0; });
    if (worked && contains(result.vms[1].failure, failure)) return result;
  }
  return run_beside_healthy(code, ms(10'000), policy);
}

}  // namespace

TEST_CASE("what a guest does wrong ends it, by name and place, and nobody else") {
  REQUIRE_KVM(system);
  for (const Case& one : kCases) {
    CAPTURE(one.name);
    const RunResult result = run_until_seen(one.code, "vm1/vcpu1: ");
    const std::string& failure = result.vms[1].failure;
    CAPTURE(failure);
    CHECK(contains(failure, "vm1/vcpu1: "));
    CHECK(contains(failure, " at RIP 0x"));
    CHECK(contains(failure, one.says));
    check_healthy(result.vms[0]);
  }
}

TEST_CASE("a guest that never starts is named when the run is over") {
  REQUIRE_KVM(system);
  const RunResult loops = run_until_seen(loops_before_it_starts(), "never started");
  CHECK(loops.vms[1].failure ==
        "vm1/vcpu0: never started, still at RIP 0x100000, CPL 0, interrupts off (and 1 other vCPUs)");
  check_healthy(loops.vms[0]);
  const RunResult halts = run_until_seen(halts_before_it_starts(), "never started");
  CHECK(contains(halts.vms[1].failure, "vm1/vcpu0: never started, halted at RIP 0x100001"));
  check_healthy(halts.vms[0]);
}

TEST_CASE("a user's guest may leave vCPUs unused") {
  REQUIRE_KVM(system);
  const RunResult result = run_beside_healthy(one_of_two_starts(), ms(400));
  CHECK(result.vms[1].failure == "");
  check_healthy(result.vms[0]);
}

TEST_CASE("a loop with interrupts off gets its share and no more") {
  REQUIRE_KVM(system);
  for (const auto code : {deaf_loop(), deaf_loop_at_cpl3()}) {
    const RunResult result = run_until_seen(code, kNoFailure);
    CHECK(result.vms[1].failure == "");
    check_healthy(result.vms[0]);
    double share[2] = {};
    for (size_t vm = 0; vm < 2; ++vm) {
      for (const VcpuResult& vcpu : result.vms[vm].vcpus) {
        share[vm] += static_cast<double>(vcpu.sched.times.running.count());
      }
    }
    CHECK(share[0] > 0.4 * share[1]);  // one half, but for what a busy host takes of either
  }
}

TEST_CASE("storms of IPIs, NMIs and INITs stay inside their VM") {
  REQUIRE_KVM(system);
  for (const char* policy : {"fair", "v2", "kvmux"}) {
    CAPTURE(policy);
    check_healthy(run_until_seen(interrupt_storm(), kNoFailure, policy).vms[0]);
    check_healthy(run_until_seen(resets_everybody(), kNoFailure, policy).vms[0]);
  }
}

TEST_CASE("a hostile guest under the host's scheduler ends alone as well") {
  REQUIRE_KVM(system);
  const RunResult result = run_until_seen(undefined_instruction(), "vm1/vcpu", "host");
  CHECK(contains(result.vms[1].failure, "vm1/vcpu1: triple fault at RIP 0x"));
  check_healthy(result.vms[0]);
}
