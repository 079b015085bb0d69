/* The local APIC in xAPIC mode (SDM vol. 3, "Advanced Programmable Interrupt Controller"), as far as
 * workloads need it: switch on, send Fixed IPIs. EOI is written by the stubs. */
#ifndef KVMUX_GUEST_RUNTIME_LAPIC_H_
#define KVMUX_GUEST_RUNTIME_LAPIC_H_

#include "guest/runtime/vcpu.h"

#define VECTOR_IPI 0x40u      /* the stub counts it; waking from HLT is all it is for */
#define VECTOR_IPI_WORK 0x50u /* the stub counts it and has irq_work() called */
#define VECTOR_SPURIOUS 0xffu

#define LAPIC_EOI 0x0b0u
#define LAPIC_SVR 0x0f0u
#define LAPIC_SVR_ENABLE 0x100u
#define LAPIC_ICR_LOW 0x300u
#define LAPIC_ICR_HIGH 0x310u
#define LAPIC_ICR_ASSERT 0x4000u
#define LAPIC_ICR_ALL_BUT_SELF 0xc0000u

/* xAPIC destinations have 8 bits, and 255 is everyone. */
#define XAPIC_MAX_VCPUS 255u

static inline void lapic_store(const struct vcpu* self, uint64_t offset, uint32_t value) {
  *(volatile uint32_t*)(self->boot->lapic + offset) = value;
}

static inline void lapic_enable(const struct vcpu* self) {
  lapic_store(self, LAPIC_SVR, LAPIC_SVR_ENABLE | VECTOR_SPURIOUS);
}

/* `receiver` is below XAPIC_MAX_VCPUS. The delivery-status bit is not polled: neither our LAPIC nor KVM's
 * ever shows a send as pending. */
static inline void send_ipi(struct vcpu* self, uint64_t receiver, uint32_t vector) {
  const uint32_t low = LAPIC_ICR_ASSERT | vector;
  bump(&self->results->ipis_sent, 1);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  if (self->boot->flags & KVMUX_BOOT_ICR64) {
    *(volatile uint64_t*)(self->boot->lapic + LAPIC_ICR_LOW) = receiver << 56 | low;
    return;
  }
  lapic_store(self, LAPIC_ICR_HIGH, (uint32_t)receiver << 24);
  lapic_store(self, LAPIC_ICR_LOW, low);
}

static inline void send_ipi_to_others(struct vcpu* self, uint32_t vector) {
  bump(&self->results->ipis_sent, self->boot->vcpu_count - 1u);
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  lapic_store(self, LAPIC_ICR_LOW, LAPIC_ICR_ALL_BUT_SELF | LAPIC_ICR_ASSERT | vector);
}

#endif /* KVMUX_GUEST_RUNTIME_LAPIC_H_ */
