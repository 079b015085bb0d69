// An instruction that nobody completes: XSAVES, which KVM's emulator does not know. A processor that runs CPL
// 0 itself may fault instead, which is fine too.
#include "guest.h"

static void on_fault(struct frame* f) {
  print("exception %u\n", f->vector);
  debug_exit(0x21);
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  static uint8_t area[4096] __attribute__((aligned(64)));
  set_handler(6, on_fault);
  set_handler(13, on_fault);
  load_idt();
  __asm__ volatile("xsaves (%0)" : : "r"(info != 0 ? area : area + 64), "a"(0), "d"(0) : "memory");
  debug_exit(0x22);
}
