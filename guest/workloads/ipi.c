/* A TLB shootdown: think, send a Fixed IPI to `fanout` other vCPUs, spin until all of them have acknowledged.
 * An operation is one such turn. With `senders` only the first vCPUs send; the others compute, and count work
 * only.
 *
 * The acknowledgement is the receiver's own count of handled interrupts, one plain store, which any number of
 * senders may watch. A sender notes the count, sends, and waits for a higher one: the handler counts on
 * entry, so the handler that made it higher began after the note was taken, even if it served several senders
 * at once. With hold_ns the handler then works, and says in irq_done up to which count it has finished; that
 * is what senders watch then.
 */
#include "guest/runtime/lapic.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/spin.h"
#include "guest/runtime/work.h"

/* Turns on one receiver's word before the sender looks at all of them again. */
#define BURST_TURNS 64u

struct target {
  uint32_t receiver;
  uint32_t noted; /* its count before the send; differences are taken modulo 2^32 */
  uint64_t sent;  /* TSC */
};

void irq_work(struct vcpu* self) {
  /* A nested call leaves the work to the one below. It looks again after each clearing of irq_active. */
  while (!load_word(&self->irq_active) && load_word(&self->irq_done) != load_word(self->ipis_handled)) {
    store_word(&self->irq_active, 1);
    const uint64_t count = load_word(self->ipis_handled);
    mark(self, KVMUX_MARK_HANDLER_BEGINS, 0);
    work(self, self->hold_iters);
    mark(self, KVMUX_MARK_HANDLER_ENDS, 0);
    store_word(&self->irq_done, count);
    store_word(&self->irq_active, 0);
  }
}

static const uint64_t* ack_word(const struct vcpu* self, uint32_t receiver) {
  const struct vcpu* other = vcpu_at(self->boot, receiver);
  return self->hold_iters != 0 ? &other->irq_done : &kvmux_results(self->boot, receiver)->ipis_handled;
}

/* Puts `count` targets drawn at random first (Fisher and Yates, as far as needed). */
static void draw_targets(struct vcpu* self, struct target* targets, uint64_t others, uint64_t count) {
  if (count == others) return;
  for (uint64_t i = 0; i < count; ++i) {
    struct target* drawn = &targets[i + rng_below(&self->rng, others - i)];
    const uint32_t receiver = drawn->receiver;
    drawn->receiver = targets[i].receiver;
    targets[i].receiver = receiver;
  }
}

static void note(struct vcpu* self, struct target* target) {
  target->noted = (uint32_t)load_word(&kvmux_results(self->boot, target->receiver)->ipis_handled);
  target->sent = kvmux_tsc();
  sync_await(self, target->receiver, 1);
}

static void send(struct vcpu* self, struct target* targets, uint64_t others, uint64_t count) {
  const uint32_t vector = self->hold_iters != 0 ? VECTOR_IPI_WORK : VECTOR_IPI;
  if (count == others && count > 1) {
    for (uint64_t i = 0; i < count; ++i) note(self, &targets[i]);
    send_ipi_to_others(self, vector);
    return;
  }
  for (uint64_t i = 0; i < count; ++i) {
    note(self, &targets[i]);
    send_ipi(self, targets[i].receiver, vector);
  }
}

static void record_ack(struct vcpu* self, const struct target* target) {
  uint32_t* bucket = &self->results->ack_hist[kvmux_hist_bucket(kvmux_tsc() - target->sent)];
  __atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
  bump(&self->results->ipis_acked, 1);
}

/* Waiting targets are kept in front. */
static void wait_for_acks(struct vcpu* self, struct target* targets, uint64_t waiting) {
  mark(self, KVMUX_MARK_AWAITS_ACKS, 0);
  sync_waits(self, KVMUX_WAITS_ACKS, 0, 0);
  spin_begin(self);
  while (waiting != 0) {
    const uint64_t before = waiting;
    uint64_t first_seen = 0;
    for (uint64_t i = waiting; i-- > 0;) {
      first_seen = load_word(ack_word(self, targets[i].receiver));
      if ((int32_t)((uint32_t)first_seen - targets[i].noted) <= 0) continue;
      record_ack(self, &targets[i]);
      sync_await(self, targets[i].receiver, 0);
      const struct target acked = targets[i];
      targets[i] = targets[--waiting];
      targets[waiting] = acked;
    }
    if (waiting == before) spin_burst(self, ack_word(self, targets[0].receiver), first_seen, BURST_TURNS);
  }
  sync_wait_over(self);
  mark_wait_over(self);
}

static struct target* list_others(struct vcpu* self, uint64_t senders) {
  const uint64_t others = self->boot->vcpu_count - 1u;
  struct target* targets = heap(self, senders * others * sizeof(struct target));
  targets += self->index * others;
  for (uint64_t i = 0; i < others; ++i) targets[i].receiver = (uint32_t)(i < self->index ? i : i + 1);
  return targets;
}

void run(struct vcpu* self) {
  const struct kvmux_workload* params = &self->boot->workload;
  const uint64_t others = self->boot->vcpu_count - 1u;
  const uint64_t fanout = params->fanout == 0 ? 1 : params->fanout;
  const uint64_t count = fanout < others ? fanout : others;
  uint64_t senders = params->senders;
  if (senders == 0 || senders > self->boot->vcpu_count) senders = self->boot->vcpu_count;
  if (count < others || count == 1) require_xapic_ids(self);
  start_together(self);
  if (self->index >= senders) {
    for (;;) think(self);
  }
  struct target* targets = list_others(self, senders);
  for (;;) {
    think(self);
    draw_targets(self, targets, others, count);
    send(self, targets, others, count);
    wait_for_acks(self, targets, count);
    count_operation(self);
  }
}
