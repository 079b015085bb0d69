/* Everything that must be assembly: interrupt stubs, the #UD gate, exception entries and the PAUSE loop.
 *
 * Hosts without hardware virtualization interpret CPL 0 code at some 270 ns an instruction, so stubs
 * are counted in instructions. Interrupt gates leave interrupts off until IRETQ. GS points to struct vcpu. */
#include "guest/runtime/stubs.h"

    .text

/* spin_turns(rdi word, rsi value, rdx turns) -> turns left. One cache line, so that its speed is one figure. */
    .p2align 6
    .globl spin_turns
    .type spin_turns, @function
spin_turns:
1:  pause
    cmpq %rsi, (%rdi)
    jne 2f
    decq %rdx
    jnz 1b
2:  movq %rdx, %rax
    ret
    .size spin_turns, . - spin_turns

    .globl irq_spurious
irq_spurious: /* no EOI: a spurious interrupt sets no ISR bit */
    iretq

    .globl irq_count
irq_count:
    pushq %rax
    movq %gs:VCPU_IPIS_HANDLED, %rax
    incq (%rax)
    movq %gs:VCPU_LAPIC_EOI, %rax
    movl $0, (%rax)
    popq %rax
    iretq

/* As irq_count, and then irq_work(): at CPL 3 if the interrupt came from there, like a signal handler, since its
 * work would be interpreted here. The interrupted RIP and RFLAGS go to the user stack (no red zone), and IRETQ leads
 * to irq_upcall. With a frame from CPL 0 that stack is the one we are on, so irq_work() is called from here. */
    .globl irq_count_and_work
irq_count_and_work:
    pushq %rax
    movq %gs:VCPU_IPIS_HANDLED, %rax
    incq (%rax)
    movq %gs:VCPU_LAPIC_EOI, %rax
    movl $0, (%rax)
    testb $3, 16(%rsp)
    jz 1f
    movq 32(%rsp), %rax
    pushq 8(%rsp)
    popq -8(%rax)
    pushq 24(%rsp)
    popq -16(%rax)
    subq $16, 32(%rsp)
    movq $irq_upcall, 8(%rsp)
    popq %rax
    iretq
1:  popq %rax
    call irq_save_and_work
    iretq

irq_upcall:
    call irq_save_and_work
    popfq
    ret

irq_save_and_work:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    cld
    movq %gs:0, %rdi
    call irq_work
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    ret

/* UD2 at CPL 3: see halt.h. The frame returns behind the UD2 (two bytes). An interrupt that ends the HLT nests on this
 * stack and comes back to the IRETQ. */
    .globl gate_invalid_opcode
gate_invalid_opcode:
    cmpl $HALT_REQUEST, %eax
    jne 2f
    addq $2, (%rsp)
    cmpq $0, (%rdi)
    jne 1f
    xorl %eax, %eax
    sti
    hlt
1:  iretq
2:  pushq $0
    pushq $6
    jmp fault_common

/* Exceptions 0-31: push an error code where the CPU has not (SDM vol. 3, "Error Code"), then the vector. */
    .p2align 4
    .globl fault_entries
fault_entries:
    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .p2align 4 /* FAULT_ENTRY_BYTES */
    .if (\vector != 8) && (\vector < 10 || \vector > 14) && (\vector != 17) && (\vector != 21)
    pushq $0
    .endif
    pushq $\vector
    jmp fault_common
    .endr

fault_common:
    movq %rsp, %rdi
    call fault_report

    .section .note.GNU-stack, "", @progbits
