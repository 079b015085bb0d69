/* An exception that nobody asked for: say where, and stop this vCPU. Runs at CPL 0 on IST1. */
#include "guest/runtime/runtime.h"

/* As the CPU and fault_entries push it. */
struct fault_frame {
  uint64_t vector;
  uint64_t error;
  uint64_t rip;
  uint64_t cs;
  uint64_t rflags;
  uint64_t rsp;
  uint64_t ss;
};

static char* append(char* at, const char* text) {
  while (*text != '\0') *at++ = *text++;
  return at;
}

static char* append_hex(char* at, const char* name, uint64_t value) {
  at = append(at, name);
  uint32_t shift = 60;
  while (shift != 0 && value >> shift == 0) shift -= 4;
  for (;; shift -= 4) {
    *at++ = "0123456789abcdef"[value >> shift & 15u];
    if (shift == 0) return at;
  }
}

void fault_report(const struct fault_frame* frame) {
  const struct vcpu* self;
  uint64_t cr2;
  __asm__ volatile("movq %%gs:0, %0" : "=r"(self));
  __asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
  char message[160];
  char* at = append_hex(message, "guest exception vector 0x", frame->vector);
  at = append_hex(at, ", error code 0x", frame->error);
  at = append_hex(at, ", RIP 0x", frame->rip);
  at = append_hex(at, ", CPL ", frame->cs & 3u);
  at = append_hex(at, ", RSP 0x", frame->rsp);
  at = append_hex(at, ", CR2 0x", cr2);
  *at = '\0';
  kvmux_ring_bell(self->boot, KVMUX_BELL_LOG, (uint64_t)message);
  stop(self->boot, STOP_FAULT + frame->vector);
}
