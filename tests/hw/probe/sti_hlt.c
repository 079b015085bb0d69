/* Does the processor under KVM keep an interrupt off between STI and HLT? A guest that sleeps by `sti; hlt` relies on it: an
 * interrupt that is taken in between is over when the HLT comes, which then waits for another one. One vCPU stands at a HLT with
 * interrupts on and in the shadow of the STI before it (as KVM saves that state), and the host asks for an interrupt window.
 * KVM must come back with KVM_EXIT_HLT, or with the window behind the HLT; a window in front of it is the fault. No interrupt
 * is injected.
 *
 * sti_hlt ROUNDS: a line with what came how often; exit status 1 if a window opened in the shadow. */
#include "vm.h"

#define CODE 0x1000u
#define AT_HLT (CODE + 1)

/* sti; hlt; 1: jmp 1b */
static const uint8_t code[] = {0xfb, 0xf4, 0xeb, 0xfe};

static void stand_in_shadow(const struct probe* p) {
  probe_stand_at(p, AT_HLT);
  struct kvm_vcpu_events events = probe_events(p);
  events.flags = KVM_VCPUEVENT_VALID_SHADOW;
  events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
  probe_set_events(p, &events);
  must(probe_events(p).interrupt.shadow != 0, "KVM does not keep the shadow");
}

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const long rounds = atol(arguments[1]);
  const struct probe p = probe_make();
  memcpy(p.memory + CODE, code, sizeof(code));
  long halted = 0, behind = 0, in_shadow = 0, other = 0;
  for (long i = 0; i < rounds; ++i) {
    stand_in_shadow(&p);
    p.run->request_interrupt_window = 1;
    const uint64_t rip = probe_enter(&p);
    if (p.run->exit_reason == KVM_EXIT_HLT) {
      ++halted;
    } else if (p.run->exit_reason == KVM_EXIT_IRQ_WINDOW_OPEN) {
      ++*(rip == AT_HLT ? &in_shadow : &behind);
    } else {
      ++other;
    }
  }
  printf("%ld rounds: %ld halted, %ld windows behind HLT, %ld windows between STI and HLT, %ld other exits\n", rounds, halted,
         behind, in_shadow, other);
  return in_shadow != 0 || other != 0;
}
