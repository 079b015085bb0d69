/* Think, take one of lock_count spin locks, hold it for hold_ns, release. An operation is one such turn.
 *
 * Self-check: under each lock the owner leaves its mark and finds it unchanged at the end. */
#include "guest/runtime/locks.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/work.h"

struct guarded {
  struct lock lock;
  uint64_t owner CACHE_LINE; /* index + 1, 0: nobody */
};

static void hold(struct vcpu* self, struct guarded* guarded) {
  const uint64_t mark = self->index + 1;
  if (load_word(&guarded->owner) != 0) bump(&self->results->errors, 1);
  store_word(&guarded->owner, mark);
  work(self, self->hold_iters);
  if (load_word(&guarded->owner) != mark) bump(&self->results->errors, 1);
  store_word(&guarded->owner, 0);
}

void run(struct vcpu* self) {
  const struct kvmux_workload* params = &self->boot->workload;
  const uint64_t count = params->lock_count == 0 ? 1 : params->lock_count;
  if (params->lock_kind > KVMUX_LOCK_PV) refuse(self, "lock: unknown lock kind");
  if (params->lock_kind == KVMUX_LOCK_PV) require_xapic_ids(self);
  struct guarded* locks = heap(self, count * sizeof(struct guarded));
  if (self->index == 0) {
    for (uint64_t i = 0; i < count; ++i) lock_init(&locks[i].lock, params->lock_kind);
  }
  start_together(self);
  for (;;) {
    think(self);
    struct guarded* guarded = &locks[count == 1 ? 0 : rng_below(&self->rng, count)];
    lock_acquire(self, &guarded->lock);
    hold(self, guarded);
    lock_release(self, &guarded->lock);
    count_operation(self);
  }
}
