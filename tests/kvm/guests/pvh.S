// A PVH kernel in shape only: an ELF file whose note names a 32-bit entry, which prints what it finds in
// hvm_start_info and leaves. The ELF header's own entry leads to a complaint.
#define AT(x) x

    .section .note.pvh, "a", @note
    .long 4, 4, 18               // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

    .text
    .code32
    .globl _start
_start:
    mov $stack_top, %esp
    mov $text_wrong, %edx
    call string
    jmp leave

pvh_entry:
    // EBX: hvm_start_info.
    mov %ebx, %esi
    mov $stack_top, %esp
    mov 0(%esi), %eax
    mov $text_magic, %edx
    call line
    mov 4(%esi), %eax
    mov $text_version, %edx
    call line
    mov %cr0, %eax
    and $0x80000001, %eax
    mov $text_cr0, %edx
    call line
    mov 32(%esi), %eax
    mov (%eax), %eax
    mov $text_rsdp, %edx
    call line
    mov 48(%esi), %eax
    mov $text_ranges, %edx
    call line
    mov 40(%esi), %eax
    mov 3 * 24 + 8(%eax), %eax
    mov $text_high, %edx
    call line
    mov 12(%esi), %eax
    mov $text_modules, %edx
    call line
    mov 16(%esi), %edi           // the first module: start, bytes, text
    mov 8(%edi), %eax
    mov $text_bytes, %edx
    call line
    mov 0(%edi), %eax
    mov (%eax), %eax
    mov $text_content, %edx
    call line
    mov $text_name, %edx
    call string
    mov 16(%edi), %edx
    call string
    mov $text_cmdline, %edx
    call string
    mov 24(%esi), %edx
    call string
    mov $text_newline, %edx
    call string
leave:
    mov $0x20, %al
    out %al, $0xf4
1:  hlt
    jmp 1b

#include "say32.h"
text_wrong: .asciz "entered by the ELF header\n"
text_magic: .asciz "magic: "
text_version: .asciz "version: "
text_cr0: .asciz "paging and protection: "
text_rsdp: .asciz "at the RSDP: "
text_ranges: .asciz "memory ranges: "
text_high: .asciz "bytes above 1 MiB: "
text_modules: .asciz "modules: "
text_bytes: .asciz "module bytes: "
text_content: .asciz "module begins with: "
text_name: .asciz "module text: "
text_cmdline: .asciz "\ncommand line: "
text_newline: .asciz "\n"
    .p2align 4
    .skip 256
stack_top:
    .section .note.GNU-stack, "", @progbits
