// A vmlinux in shape only: it has Linux' banner, is entered by the 64-bit boot protocol, prints what it finds in
// registers and boot_params, and leaves. It runs at its physical addresses: everything is relative to RIP.

    .text
banner: .asciz "Linux version 0.0 (which is none)\n"

    .code64
    .globl start
start:
    // RSI: boot_params.
    lea stack_top(%rip), %rsp
    pushfq
    pop %rax
    and $0x200, %eax
    lea text_interrupts(%rip), %rdx
    call line
    mov %cs, %eax
    lea text_cs(%rip), %rdx
    call line
    mov %ds, %eax
    lea text_ds(%rip), %rdx
    call line
    mov %es, %eax
    lea text_es(%rip), %rdx
    call line
    mov %ss, %eax
    lea text_ss(%rip), %rdx
    call line
    mov $0xc0000080, %ecx        // EFER: LME, LMA
    rdmsr
    and $0x500, %eax
    lea text_efer(%rip), %rdx
    call line
    mov %cr0, %rax
    and $0x80000001, %eax
    lea text_cr0(%rip), %rdx
    call line
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
    mov %cs, %eax
    lea text_reloaded(%rip), %rdx
    call line
    // The identity map has the last page below 4 GiB: nobody's, so it reads as ones.
    mov $0xffffff00, %eax
    mov (%rax), %eax
    lea text_map(%rip), %rdx
    call line
    movzwl 0x1fe(%rsi), %eax
    lea text_flag(%rip), %rdx
    call line
    mov 0x202(%rsi), %eax
    lea text_magic(%rip), %rdx
    call line
    movzwl 0x206(%rsi), %eax
    lea text_version(%rip), %rdx
    call line
    movzbl 0x210(%rsi), %eax
    lea text_loader(%rip), %rdx
    call line
    movzbl 0x1e8(%rsi), %eax
    lea text_entries(%rip), %rdx
    call line
    mov 0x2d0 + 3 * 20 + 8(%rsi), %eax
    lea text_high(%rip), %rdx
    call line
    mov 0x70(%rsi), %rax
    mov (%rax), %eax
    lea text_rsdp(%rip), %rdx
    call line
    mov 0x21c(%rsi), %eax
    lea text_initrd(%rip), %rdx
    call line
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
