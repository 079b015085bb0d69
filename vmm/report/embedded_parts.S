/* The report's page as data: report_images.inc, made by CMake, has one KVMUX_IMAGE a file. */
    .macro KVMUX_IMAGE number, path
    .globl kvmux_report_part_\number\()_start
    .globl kvmux_report_part_\number\()_end
kvmux_report_part_\number\()_start:
    .incbin "\path"
kvmux_report_part_\number\()_end:
    .byte 0 /* so that the end is an address of its own */
    .endm

    .section .rodata
#include "report_images.inc"

    .section .note.GNU-stack, "", @progbits
