/* How the guest `abuse` misuses its host, by the word that --guest-args names it with. One list for the
 * guest, the command line and the simulator. Self-contained, C and C++. */
#ifndef KVMUX_GUEST_ABUSE_KINDS_H_
#define KVMUX_GUEST_ABUSE_KINDS_H_

#define KVMUX_ABUSE_KINDS(KIND)                                                       \
  KIND(BELL, "bell")       /* rings the spin bell without waiting */                  \
  KIND(IPI_ONE, "ipi-one") /* IPIs to the next vCPU, acknowledged or not */           \
  KIND(IPI_ALL, "ipi-all") /* IPIs to all others, acknowledged or not */              \
  KIND(TIMER, "timer")     /* arms its LAPIC timer for the next instant */            \
  KIND(HALT, "halt")       /* pairs wake each other out of HLT, doing nothing else */ \
  KIND(CPUID, "cpuid")     /* exits that KVM handles by itself */

enum kvmux_abuse {
#define KVMUX_ABUSE_NAME(name, word) KVMUX_ABUSE_##name,
  KVMUX_ABUSE_KINDS(KVMUX_ABUSE_NAME)
#undef KVMUX_ABUSE_NAME
      KVMUX_ABUSE_COUNT
};

/* Who sends needs somebody to send to. */
static inline int kvmux_abuse_needs_others(enum kvmux_abuse kind) {
  return kind == KVMUX_ABUSE_IPI_ONE || kind == KVMUX_ABUSE_IPI_ALL || kind == KVMUX_ABUSE_HALT;
}

#endif /* KVMUX_GUEST_ABUSE_KINDS_H_ */
