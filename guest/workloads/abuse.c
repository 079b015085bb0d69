/* Every vCPU does, in a tight loop and for its own sake, what costs a host most: the word in --guest-args
 * says what (guest/abuse_kinds.h); none means the first. An operation is one such act. The innocent VM beside
 * it is whom this guest is about: docs/abuse.md.
 *
 * halt: vCPUs 2k and 2k+1 as in pingpong, without thinking. The last of an odd number stays halted.
 */
#include "guest/abuse_kinds.h"
#include "guest/runtime/halt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/marks.h"
#include "guest/runtime/runtime.h"

#define LAPIC_LVT_TIMER 0x320u /* one-shot and unmasked is all zero but for the vector */
#define LAPIC_INITIAL_COUNT 0x380u
#define LAPIC_DIVIDE 0x3e0u
#define LAPIC_DIVIDE_BY_1 0xbu
#define TIMER_TICKS 1000u /* a microsecond at the gigahertz that kvmux's LAPIC has */

#define IN_WORDS(name, word) " " word

static int same_text(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

static enum kvmux_abuse chosen(const struct vcpu* self) {
  const char* word = self->boot->args;
  if (*word == 0) return (enum kvmux_abuse)0;
#define IF_WORD(name, text) \
  if (same_text(word, text)) return KVMUX_ABUSE_##name;
  KVMUX_ABUSE_KINDS(IF_WORD)
#undef IF_WORD
  refuse(self, "abuse: --guest-args names none of" KVMUX_ABUSE_KINDS(IN_WORDS));
}

/* Each ring claims to begin another wait: that is what a scheduler that listens takes most seriously. */
static void ring(struct vcpu* self) {
  bump(&self->results->spin_rings, 1);
  kvmux_ring_bell(self->boot, KVMUX_BELL_SPIN, KVMUX_WAIT_BEGINS);
}

/* The stub writes the EOI, so that each time brings an interrupt as well. */
static void set_up_timer(const struct vcpu* self) {
  lapic_store(self, LAPIC_DIVIDE, LAPIC_DIVIDE_BY_1);
  lapic_store(self, LAPIC_LVT_TIMER, VECTOR_IPI);
}

static void wake_peer(struct vcpu* self) {
  store_word(&vcpu_at(self->boot, self->index ^ 1u)->inbox, 1);
  send_ipi(self, self->index ^ 1u, VECTOR_IPI);
}

static void sleep_until_woken(struct vcpu* self) {
  halt_until(self, &self->inbox);
  store_word(&self->inbox, 0); /* before the answer: the peer writes it again only then */
}

static void wake_and_halt(struct vcpu* self) {
  if (self->index % 2 == 0) wake_peer(self);
  sleep_until_woken(self);
  if (self->index % 2 != 0) wake_peer(self);
}

static void exit_by_cpuid(void) {
  uint32_t a = 0, b, c = 0, d;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
}

static void act(struct vcpu* self, enum kvmux_abuse kind, uint64_t next) {
  switch (kind) {
    case KVMUX_ABUSE_BELL:
      return ring(self);
    case KVMUX_ABUSE_IPI_ONE:
      return send_ipi(self, next, VECTOR_IPI);
    case KVMUX_ABUSE_IPI_ALL:
      return send_ipi_to_others(self, VECTOR_IPI);
    case KVMUX_ABUSE_TIMER:
      return lapic_store(self, LAPIC_INITIAL_COUNT, TIMER_TICKS);
    case KVMUX_ABUSE_HALT:
      return wake_and_halt(self);
    default:
      return exit_by_cpuid();
  }
}

void run(struct vcpu* self) {
  const enum kvmux_abuse kind = chosen(self);
  const uint64_t count = self->boot->vcpu_count;
  if (kvmux_abuse_needs_others(kind) && count < 2) refuse(self, "abuse: this kind needs two vCPUs");
  if (kind == KVMUX_ABUSE_IPI_ONE || kind == KVMUX_ABUSE_HALT) require_xapic_ids(self);
  if (kind == KVMUX_ABUSE_TIMER) set_up_timer(self);
  start_together(self);
  if (kind == KVMUX_ABUSE_HALT && (self->index ^ 1u) >= count) {
    for (;;) halt_until(self, &self->inbox);
  }
  const uint64_t next = self->index + 1 < count ? self->index + 1 : 0;
  for (;;) {
    act(self, kind, next);
    count_operation(self);
  }
}
