/* vCPUs 2k and 2k+1 wake each other out of HLT by IPI. The even one thinks, leaves a sequence number in the
 * odd one's inbox, wakes it and halts; the odd one sends the number back and halts. An operation is one round
 * trip, and the even one's histogram holds its time. The last of an odd number of vCPUs stays halted.
 *
 * Self-check: the numbers arrive in order, none missing, none twice. A lost wake-up shows as a pair that
 * stops.
 */
#include "guest/runtime/halt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/marks.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/work.h"

static void pass(struct vcpu* self, uint64_t peer, uint64_t number) {
  mark(self, KVMUX_MARK_PUTS, &vcpu_at(self->boot, peer)->inbox);
  store_word(&vcpu_at(self->boot, peer)->inbox, number);
  send_ipi(self, peer, VECTOR_IPI);
}

static void receive(struct vcpu* self, uint64_t expected) {
  halt_until(self, &self->inbox);
  if (load_word(&self->inbox) != expected) bump(&self->results->errors, 1);
  store_word(&self->inbox, 0); /* before the answer: the peer writes it again only then */
}

static void ping(struct vcpu* self, uint64_t number) {
  think(self);
  const uint64_t sent = kvmux_tsc();
  pass(self, self->index + 1, number);
  receive(self, number);
  uint32_t* bucket = &self->results->ack_hist[kvmux_hist_bucket(kvmux_tsc() - sent)];
  __atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
  bump(&self->results->ipis_acked, 1);
}

void run(struct vcpu* self) {
  require_xapic_ids(self);
  start_together(self);
  if (self->index % 2 == 0 && self->index + 1 == self->boot->vcpu_count) {
    for (;;) halt_until(self, &self->inbox);
  }
  for (uint64_t number = 1;; ++number) {
    if (self->index % 2 == 0) {
      ping(self, number);
    } else {
      receive(self, number);
      pass(self, self->index - 1, number);
    }
    count_operation(self);
  }
}
