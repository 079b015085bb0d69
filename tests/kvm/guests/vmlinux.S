// A vmlinux in shape only: it has Linux' banner, is entered by the 64-bit boot protocol, prints what it finds in
// registers and boot_params, and leaves. It runs at its physical addresses: everything is relative to RIP.

    .text
banner: .asciz "Linux version 0.0 (which is none)\n"

// A line of what an instruction puts into EAX, behind its text.
.macro say instruction:req, text:req
    \instruction
    lea \text(%rip), %rdx
    call line
.endm

    .code64
    .globl start
start:
    // RSI: boot_params.
    lea stack_top(%rip), %rsp
    pushfq
    pop %rax
    say "and $0x200, %eax", text_interrupts
    say "mov %cs, %eax", text_cs
    say "mov %ds, %eax", text_ds
    say "mov %es, %eax", text_es
    say "mov %ss, %eax", text_ss
    mov $0xc0000080, %ecx        // EFER: LME, LMA
    rdmsr
    say "and $0x500, %eax", text_efer
    mov %cr0, %rax
    say "and $0x80000001, %eax", text_cr0
    // The descriptors are in the GDT, for whoever loads the selectors again.
    mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    pushq $0x10
    lea reloaded(%rip), %rax
    push %rax
    lretq
reloaded:
    say "mov %cs, %eax", text_reloaded
    // The identity map has the last page below 4 GiB: nobody's, so it reads as ones.
    mov $0xffffff00, %eax
    say "mov (%rax), %eax", text_map
    say "movzwl 0x1fe(%rsi), %eax", text_flag
    say "mov 0x202(%rsi), %eax", text_magic
    say "movzwl 0x206(%rsi), %eax", text_version
    say "movzbl 0x210(%rsi), %eax", text_loader
    say "movzbl 0x1e8(%rsi), %eax", text_entries
    say "mov 0x2d0 + 3 * 20 + 8(%rsi), %eax", text_high
    mov 0x70(%rsi), %rax
    say "mov (%rax), %eax", text_rsdp
    say "mov 0x21c(%rsi), %eax", text_initrd
    mov 0x218(%rsi), %eax
    test %eax, %eax
    jz 1f
    mov (%rax), %eax
1:  lea text_content(%rip), %rdx
    call line
    lea text_cmdline(%rip), %rdx
    call string
    mov 0x228(%rsi), %edx
    call string
    lea text_newline(%rip), %rdx
    call string
    mov $0x20, %al
    out %al, $0xf4
2:  hlt
    jmp 2b

// RDX: text; EAX: number, printed in hexadecimal behind it.
line:
    mov %eax, %ebx
    call string
    mov $8, %ecx
3:  rol $4, %ebx
    mov %ebx, %eax
    and $15, %eax
    lea digits(%rip), %rdi
    mov (%rdi,%rax), %al
    call char
    loop 3b
    mov $'\n', %al
char:
    mov %rdx, %rbp
    mov $0x3f8, %edx
    out %al, %dx
    mov %rbp, %rdx
    ret
string:
    mov (%rdx), %al
    inc %rdx
    test %al, %al
    jz 4f
    call char
    jmp string
4:  ret

digits: .ascii "0123456789abcdef"
text_interrupts: .asciz "interrupts: "
text_cs: .asciz "CS: "
text_ds: .asciz "DS: "
text_es: .asciz "ES: "
text_ss: .asciz "SS: "
text_efer: .asciz "long mode: "
text_cr0: .asciz "paging and protection: "
text_reloaded: .asciz "CS loaded again: "
text_map: .asciz "below 4 GiB: "
text_flag: .asciz "boot flag: "
text_magic: .asciz "magic: "
text_version: .asciz "protocol: "
text_loader: .asciz "loader: "
text_entries: .asciz "memory ranges: "
text_high: .asciz "bytes above 1 MiB: "
text_rsdp: .asciz "at the RSDP: "
text_initrd: .asciz "initrd bytes: "
text_content: .asciz "initrd begins with: "
text_cmdline: .asciz "command line: "
text_newline: .asciz "\n"
    .p2align 4
    .skip 256
stack_top:
    .section .note.GNU-stack, "", @progbits
