// Entry stubs of all 256 vectors: push vector and error code alike, call interrupt(frame).

    .section .text
    .code64
    .altmacro
    .macro stub number
    .p2align 4
    .if (\number == 8) || (\number >= 10 && \number <= 14) || (\number == 17) || (\number == 21)
    .else
    push $0
    .endif
    push $\number
    jmp common
    .endm

    .p2align 4
    .globl vector_stubs
vector_stubs:
    .set n, 0
    .rept 256
    stub %n
    .set n, n + 1
    .endr

common:
    push %rax
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, %rdi
    cld
    call interrupt
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $16, %rsp
    iretq

    .section .note.GNU-stack, "", @progbits
