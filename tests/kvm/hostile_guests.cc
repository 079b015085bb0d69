#include "tests/kvm/hostile_guests.h"

#include "tests/kvm/guest_code.h"

namespace kvm_test {
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

GUEST_CODE(deaf_loop, "cli\n" GUEST_SAYS_RUNNING "1: jmp 1b");
GUEST_CODE(rings_for_ever, GUEST_SAYS_RUNNING GUEST_BELL_IN_RBX "1: movq $0, (%rbx)\n jmp 1b");
// Everything that an ICR can send, to everybody, itself last.
GUEST_CODE(interrupt_storm, GUEST_SAYS_RUNNING
           "mov $0xfee00000, %ebx\n movl $0x1ff, 0xf0(%rbx)\n"
           "1: add $0x100, %ecx\n mov %ecx, %eax\n and $0x700, %eax\n cmp $0x500, %eax\n je 1b\n"
           "or $0xc4041, %eax\n mov %eax, 0x300(%rbx)\n jmp 1b");
GUEST_CODE(resets_everybody, GUEST_SAYS_RUNNING
           "mov $0xfee00000, %ebx\n movl $0xc4500, 0x300(%rbx)\n"
           "movl $0xc46a0, 0x300(%rbx)\n movl $0x84500, 0x300(%rbx)\n 1: jmp 1b");

const HostileGuest kHostile[] = {
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

const HostileGuest kStormy[] = {
    {"storm of IPIs and NMIs", interrupt_storm(), ""},
    {"resets everybody", resets_everybody(), ""},
    {"deaf loop", deaf_loop(), ""},
    {"rings for ever", rings_for_ever(), ""},
};

}  // namespace

std::span<const HostileGuest> hostile_guests() { return kHostile; }
std::span<const HostileGuest> stormy_guests() { return kStormy; }

}  // namespace kvm_test
