/* Sleeping in HLT until another vCPU has set a word and sent an IPI, in that order.
 *
 * No wake-up is lost: the word is looked at with interrupts off, and STI takes effect only after the HLT that
 * follows it (SDM vol. 2, STI), so an IPI that arrives after the look ends the HLT. HLT is a privileged
 * instruction; at CPL 3 an UD2 asks the #UD gate (stubs.S) to do it, because INT n and SYSCALL do not
 * work on hosts that run guests without hardware virtualization.
 */
#ifndef KVMUX_GUEST_RUNTIME_HALT_H_
#define KVMUX_GUEST_RUNTIME_HALT_H_

#include "guest/runtime/marks.h"
#include "guest/runtime/vcpu.h"

static inline int halt_once(const struct vcpu* self, const uint64_t* word) {
  uint64_t result = HALT_REQUEST;
  if (self->boot->ring == 3) {
    __asm__ volatile("ud2" : "+a"(result) : "D"(word) : "memory");
  } else {
    __asm__ volatile(
        "cli\n\t"
        "cmpq $0, (%1)\n\t"
        "jne 1f\n\t"
        "xor %k0, %k0\n\t"
        "sti\n\t"
        "hlt\n"
        "1: sti"
        : "+r"(result)
        : "r"(word)
        : "memory", "cc");
  }
  return result == 0;
}

static inline void halt_until(struct vcpu* self, const uint64_t* word) {
  mark_wait_over(self);
  mark(self, KVMUX_MARK_SLEEPS, word);
  while (load_word(word) == 0) {
    if (halt_once(self, word)) bump(&self->results->wakeups, 1);
  }
  mark(self, KVMUX_MARK_TAKES, word);
}

#endif /* KVMUX_GUEST_RUNTIME_HALT_H_ */
