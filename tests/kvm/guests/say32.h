// Assembly, 32-bit: prints on the first serial port. AT(x) is defined before: where label x lies when it runs.

// EDX: text; EAX: number, printed in hexadecimal behind it.
line:
    push %eax
    call string
    pop %ebx
    mov $8, %ecx
3:  rol $4, %ebx
    mov %ebx, %eax
    and $15, %eax
    mov AT(digits)(%eax), %al
    call char
    loop 3b
    mov $'\n', %al
char:
    push %edx
    mov $0x3f8, %edx
    out %al, %dx
    pop %edx
    ret
string:
    mov (%edx), %al
    inc %edx
    test %al, %al
    jz 4f
    call char
    jmp string
4:  ret

digits: .ascii "0123456789abcdef"
