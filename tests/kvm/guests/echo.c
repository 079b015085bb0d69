// Tells each byte that comes in over the serial port, by the UART's interrupt; 'q' ends it.
#include "guest.h"

#define RECEIVED_VECTOR 0xb4
#define LEVEL (1u << 15)

static volatile uint32_t typed[64], count;

static void on_received(struct frame* f) {
  (void)f;
  while (inb(0x3fd) & 1) {
    typed[count % 64] = inb(0x3f8);
    count = count + 1;
  }
  apic_eoi();
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  set_handler(RECEIVED_VECTOR, on_received);
  load_idt();
  enable_apic();
  *(volatile uint32_t*)0xfec00000ul = 0x10 + 2 * 4;
  *(volatile uint32_t*)0xfec00010ul = LEVEL | RECEIVED_VECTOR;
  outb(0x3f9, 1);
  print("type something\n");
  for (uint32_t seen = 0;;) {
    while (seen == count) sti_hlt();
    const uint32_t byte = typed[seen++ % 64];
    print("got %u\n", (uint64_t)byte);
    if (byte == 'q') end_guest();
  }
}
