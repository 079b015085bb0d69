// A bzImage in shape only: boot sector with setup header, and a protected-mode part that prints what it finds in
// boot_params and leaves. Linked at 0, laid out as the file; the kernel part runs at 1 MiB.
#define KERNEL_AT 0x100000
#define SETUP_BYTES 1024

    .code16
    .globl _start
_start:
    .org 0x1f1
    .byte 1                      // setup_sects
    .word 0
    .long (kernel_end - kernel) / 16
    .word 0
    .word 0xffff
    .word 0
    .word 0xaa55
    .byte 0xeb, header_end - 1f  // jump over the header
1:  .ascii "HdrS"
    .word 0x020f                 // protocol 2.15
    .long 0
    .word 0x1000
    .word 0
    .byte 0
    .byte 1                      // LOADED_HIGH
    .word 0
    .long KERNEL_AT
    .long 0, 0, 0                // ramdisk address and size, bootsect_kludge
    .word 0
    .byte 0, 0
    .long 0                      // cmd_line_ptr
    .long 0x37ffffff             // initrd_addr_max
    .long 0x200000
    .byte 0, 21
    .word 0
    .long 255                    // cmdline_size
    .long 0
    .quad 0
    .long 0, 0
    .quad 0
    .quad KERNEL_AT              // pref_address
    .long 0x100000               // init_size
    .long 0
header_end:
    .org SETUP_BYTES

    .code32
kernel:
    // ESI: boot_params. EBX, EBP, EDI must be 0.
    mov $KERNEL_AT + stack_top - kernel, %esp
    or %ebp, %ebx
    or %edi, %ebx
    setz %al
    movzbl %al, %eax
    lea KERNEL_AT + text_registers - kernel, %edx
    call line
    mov %cs, %eax
    lea KERNEL_AT + text_cs - kernel, %edx
    call line
    movzwl 0x206(%esi), %eax
    lea KERNEL_AT + text_version - kernel, %edx
    call line
    movzbl 0x210(%esi), %eax
    lea KERNEL_AT + text_loader - kernel, %edx
    call line
    movzbl 0x1e8(%esi), %eax
    lea KERNEL_AT + text_entries - kernel, %edx
    call line
    mov 0x2d0 + 3 * 20 + 8(%esi), %eax
    lea KERNEL_AT + text_high - kernel, %edx
    call line
    mov 0x70(%esi), %eax
    mov (%eax), %eax
    lea KERNEL_AT + text_rsdp - kernel, %edx
    call line
    mov 0x21c(%esi), %eax
    lea KERNEL_AT + text_initrd - kernel, %edx
    call line
    mov 0x218(%esi), %eax
    test %eax, %eax
    jz 1f
    mov (%eax), %eax
1:  lea KERNEL_AT + text_content - kernel, %edx
    call line
    lea KERNEL_AT + text_cmdline - kernel, %edx
    call string
    mov 0x228(%esi), %edx
    call string
    lea KERNEL_AT + text_newline - kernel, %edx
    call string
    mov $0x20, %al
    out %al, $0xf4
2:  hlt
    jmp 2b

#define AT(x) KERNEL_AT + x - kernel
#include "say32.h"
text_registers: .asciz "registers are clear: "
text_cs: .asciz "code segment: "
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
kernel_end:
    .section .note.GNU-stack, "", @progbits
