#include "guest/runtime/idt.h"

#include "guest/runtime/lapic.h"

#define GATE_INTERRUPT 0x8e00u /* present, DPL 0, 64-bit interrupt gate (SDM vol. 3, "64-Bit Mode IDT") */
#define VECTOR_INVALID_OPCODE 6u
#define EXCEPTIONS 32u

struct gate {
  uint16_t offset_low;
  uint16_t selector;
  uint16_t type_and_ist;
  uint16_t offset_mid;
  uint32_t offset_high;
  uint32_t reserved;
};

struct idt_register {
  uint16_t limit;
  uint64_t base;
} __attribute__((packed));

extern const char fault_entries[];
void gate_invalid_opcode(void);
void irq_count(void);
void irq_count_and_work(void);
void irq_spurious(void);

static struct gate idt[256] __attribute__((aligned(4096)));

static void set_gate(uint32_t vector, const void* entry, uint32_t ist) {
  const uint64_t offset = (uint64_t)entry;
  idt[vector].offset_low = (uint16_t)offset;
  idt[vector].selector = KVMUX_SEL_KERNEL_CODE;
  idt[vector].type_and_ist = (uint16_t)(GATE_INTERRUPT | ist);
  idt[vector].offset_mid = (uint16_t)(offset >> 16);
  idt[vector].offset_high = (uint32_t)(offset >> 32);
}

void idt_load(void) {
  /* Faults get IST1: they must be reported even when the fault is the stack. Interrupts and UD2 use RSP0, or
   * the stack they interrupt: an interrupt that ends a HLT nests on the frame of the UD2. */
  for (uint32_t vector = 0; vector < EXCEPTIONS; ++vector) {
    if (vector == VECTOR_INVALID_OPCODE) continue;
    set_gate(vector, fault_entries + (uint64_t)vector * FAULT_ENTRY_BYTES, 1);
  }
  set_gate(VECTOR_INVALID_OPCODE, (const void*)gate_invalid_opcode, 0);
  set_gate(VECTOR_IPI, (const void*)irq_count, 0);
  set_gate(VECTOR_IPI_WORK, (const void*)irq_count_and_work, 0);
  set_gate(VECTOR_SPURIOUS, (const void*)irq_spurious, 0);
  const struct idt_register idtr = {sizeof(idt) - 1, (uint64_t)idt};
  __asm__ volatile("lidt %0" : : "m"(idtr));
}
