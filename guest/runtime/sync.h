/* What a vCPU publishes of its locks and waits, and what it makes of what the host tells: guest/abi.h, struct
 * kvmux_sync. Things are named by their addresses. */
#ifndef KVMUX_GUEST_RUNTIME_SYNC_H_
#define KVMUX_GUEST_RUNTIME_SYNC_H_

#include "guest/runtime/vcpu.h"

static inline void sync_store(uint64_t* word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
static inline uint64_t sync_load(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

static inline int sync_is_told(const struct vcpu* self, uint64_t what) {
  return (sync_load(&self->results->sync.told) & what) != 0;
}

/* `place` first: it belongs to the wait. */
static inline void sync_waits(struct vcpu* self, enum kvmux_waits kind, const void* thing, uint64_t place) {
  sync_store(&self->results->sync.place, place);
  __atomic_store_n(&self->results->sync.waits, (uint64_t)kind | (uint64_t)thing << 8, __ATOMIC_RELEASE);
}

static inline void sync_wait_over(struct vcpu* self) { sync_store(&self->results->sync.waits, 0); }

static inline void sync_takes(struct vcpu* self, const void* lock) {
  struct kvmux_sync* sync = &self->results->sync;
  sync_store(&sync->holds, (uint64_t)lock);
  sync_store(&sync->critical, 1);
  sync_wait_over(self);
  if (sync_is_told(self, KVMUX_HEARS_ASKS)) sync_store(&sync->asks, 2 * self->boot->workload.hold_ns);
}

/* Before the lock is free. */
static inline void sync_releases(struct vcpu* self) {
  struct kvmux_sync* sync = &self->results->sync;
  sync_store(&sync->holds, 0);
  sync_store(&sync->critical, 0);
  sync_store(&sync->asks, 0);
}

/* Bit `receiver` of those whose acknowledgements are awaited. */
static inline void sync_await(struct vcpu* self, uint64_t receiver, int awaits) {
  uint64_t* word = &self->results->sync.acks[receiver % KVMUX_SYNC_ACKS / 64];
  const uint64_t bit = (uint64_t)1 << receiver % 64;
  sync_store(word, awaits ? sync_load(word) | bit : sync_load(word) & ~bit);
}

/* Is the owner of the lock that we wait for off its CPU, as the host tells? `owner` holds its index + 1. */
static inline int sync_owner_is_preempted(const struct vcpu* self, const uint64_t* owner) {
  const uint64_t index = sync_load(owner);
  if (index == 0 || !sync_is_told(self, KVMUX_TELLS_PREEMPTED)) return 0;
  return sync_load(&kvmux_results(self->boot, index - 1)->sync.preempted) != 0;
}

/* I-Spinlock (Ouyang et al. 2018): who would be taken off inside the critical section lets the others go first,
 * and has the rest of its turn end now. */
static inline void sync_acquire_in_time(struct vcpu* self) {
  if (!self->spin_rings || !sync_is_told(self, KVMUX_TELLS_TURN_END)) return;
  const uint64_t end = sync_load(&self->results->sync.turn_end);
  if (end == ~(uint64_t)0 || kvmux_tsc() + self->hold_ticks <= end) return;
  bump(&self->results->spin_rings, 1);
  kvmux_ring_bell(self->boot, KVMUX_BELL_SPIN, KVMUX_WAIT_UNKNOWN);
}

#endif /* KVMUX_GUEST_RUNTIME_SYNC_H_ */
