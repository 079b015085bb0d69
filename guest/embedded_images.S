/* The built-in guests' ELF images as data: guest_images.inc, made by CMake, has one KVMUX_IMAGE a guest. */
    .macro KVMUX_IMAGE name, path
    .globl kvmux_\name\()_start
    .globl kvmux_\name\()_end
    .p2align 6
kvmux_\name\()_start:
    .incbin "\path"
kvmux_\name\()_end:
    .byte 0 /* so that the end is an address of its own */
    .endm

    .section .rodata
#include "guest_images.inc"

    .section .note.GNU-stack, "", @progbits
