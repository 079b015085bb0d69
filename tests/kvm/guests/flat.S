// A flat binary as a boot sector: real mode at 0000:7C00. Prints to COM1, then leaves through the debug-exit port
// with what is wrong.
    .code16
    .globl _start
_start:
    cld
    xor %bx, %bx
    mov %cs, %ax
    test %ax, %ax
    jz 1f
    or $1, %bx
1:  cmp $0x80, %dl
    je 2f
    or $2, %bx
2:  smsw %ax
    test $1, %al
    jz 3f
    or $4, %bx
3:  mov $text, %si
    mov $0x3f8, %dx
4:  lodsb
    test %al, %al
    jz 5f
    outb %al, %dx
    jmp 4b
5:  mov $0x40, %al
    or %bl, %al
    mov $0xf4, %dx
    outb %al, %dx
6:  hlt
    jmp 6b
text:
    .asciz "real mode says hello\n"
    .org _start + 510
    .word 0xaa55
    .section .note.GNU-stack, "", @progbits
