// Start-up code of the test guests: a Multiboot 1 image (ELF64), or with MULTIBOOT2 defined a Multiboot 2 image, that enters long mode at CPL 0 on the bootstrap
// processor and, through a real-mode trampoline at 0x8000, on every application processor that is sent INIT and SIPI.
//
// Calls guest_main(magic, info) on the bootstrap processor and ap_main(index) on the others, each on its own stack.
// The order of APs' indices is the order in which they arrive; 0 is the bootstrap processor.

#define STACK_BYTES 8192
#define MAX_CPUS 16
#define TRAMPOLINE 0x8000

    .section .multiboot, "a"
    .p2align 3
#ifdef MULTIBOOT2
header:
    .long 0xe85250d6, 0, header_end - header, -(0xe85250d6 + header_end - header)
    .word 1, 0                   // information request
    .long 8 + 8 * 4
    .long 1, 2, 3, 4, 6, 9, 14, 15
    .word 3, 0                   // entry address
    .long 12, multiboot2_start, 0
    .word 6, 0                   // module alignment
    .long 8
    .word 7, 1                   // EFI boot services, optional
    .long 8
    .word 0, 0
    .long 8
header_end:
#else
    .long 0x1badb002
    .long 0x00000003
    .long -(0x1badb002 + 0x00000003)
#endif

    .section .text
    .code32
    .globl _start
#ifdef MULTIBOOT2
_start:                          // not the entry that the header asks for
    cli
    hlt
    jmp _start
multiboot2_start:
#else
_start:
#endif
    cli
    mov %eax, boot_magic
    mov %ebx, boot_info
    lgdt gdt_pointer
    mov $start64, %edi
    jmp enter_long

// EDI: where to go on in 64-bit mode. Any processor, protected mode, paging off.
enter_long:
    mov $0x20, %eax              // PAE
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $0xc0000080, %ecx        // EFER: LME
    rdmsr
    or $0x100, %eax
    wrmsr
    mov $0x80010011, %eax        // PG, WP, ET, PE
    mov %eax, %cr0
    mov %edi, far_target
    ljmp $0x08, $long_common

    .code64
long_common:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    jmp *%rdi

start64:
    mov $stacks + STACK_BYTES, %rsp
    xor %ebp, %ebp
    mov boot_magic, %edi
    mov boot_info, %esi
    call guest_main
    jmp halt_for_good

ap_start64:
    mov $1, %eax
    lock xadd %eax, cpus_arrived
    mov %eax, %edi
    inc %eax
    imul $STACK_BYTES, %eax, %eax
    lea stacks(%rax), %rsp
    xor %ebp, %ebp
    call ap_main
    .globl halt_for_good
halt_for_good:
    cli
    hlt
    jmp halt_for_good

    .code32
ap_start32:
    mov $0x18, %eax
    mov %eax, %ds
    mov %eax, %ss
    mov $ap_start64, %edi
    jmp enter_long

// Copied to TRAMPOLINE. Real mode, CS:IP = 0800:0000.
    .code16
    .globl trampoline
trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl trampoline_gdt - trampoline
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $0x20, $ap_start32
    .p2align 2
trampoline_gdt:
    .word gdt_end - gdt - 1
    .long gdt
    .globl trampoline_end
trampoline_end:

    .section .data
    .p2align 3
gdt:
    .quad 0
    .quad 0x00af9b000000ffff     // 08: 64-bit code
    .quad 0x00cf93000000ffff     // 10: data
    .quad 0x00cf93000000ffff     // 18: data
    .quad 0x00cf9b000000ffff     // 20: 32-bit code
    .globl user_code
user_code:
    .quad 0x00affb000000ffff     // 28: 64-bit user code
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
boot_magic: .long 0
boot_info:  .long 0
far_target: .long 0
    .globl cpus_arrived
cpus_arrived: .long 1

// Identity map: the first GiB and the one with the devices, in 2 MiB pages.
    .p2align 12
    .globl pml4
pml4:
    .quad pdpt + 0x23
    .fill 511, 8, 0
pdpt:
    .quad low_directory + 0x23
    .quad 0, 0
    .quad device_directory + 0x23
    .fill 508, 8, 0
    .globl low_directory
low_directory:
    .set at, 0
    .rept 512
    .quad at + 0xe3
    .set at, at + 0x200000
    .endr
device_directory:
    .set at, 0xc0000000
    .rept 512
    .quad at + 0xfb
    .set at, at + 0x200000
    .endr

    .section .bss
    .p2align 12
stacks:
    .skip STACK_BYTES * MAX_CPUS

    .section .note.GNU-stack, "", @progbits
