/* The spin locks that `--lock` chooses from. All-zero memory is a free lock of kind TTAS; lock_init()
 * makes one of another kind before anyone uses it. A vCPU may hold one lock at a time: it has one MCS node.
 *
 * TTAS: test and test-and-set (Rudolph and Segall), unfair. Ticket: FIFO, so the next owner may be preempted.
 * MCS (Mellor-Crummey and Scott): FIFO, and every waiter spins on a line of its own. PV: an MCS lock whose waiters
 * halt after a window and are woken by an IPI of whoever hands them the lock, as Linux' paravirtual spin locks do;
 * nobody halts earlier than that for a preempted predecessor.
 */
#ifndef KVMUX_GUEST_RUNTIME_LOCKS_H_
#define KVMUX_GUEST_RUNTIME_LOCKS_H_

#include "guest/runtime/halt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/spin.h"
#include "guest/runtime/vcpu.h"

struct lock {
  uint64_t word;    /* TTAS: 1 while held; ticket: the next ticket to draw; MCS: address of the last node */
  uint64_t serving; /* ticket: who holds it */
  uint64_t owner;   /* its index + 1; 0: nobody's, or about to change hands */
  uint32_t kind;    /* enum kvmux_lock_kind */
} CACHE_LINE;

static inline void lock_init(struct lock* lock, uint32_t kind) {
  lock->word = 0;
  lock->serving = 0;
  lock->owner = 0;
  lock->kind = kind;
}

/* What a waiter's word says. */
#define MCS_OWNS 0u
#define MCS_WAITS 1u
#define MCS_SLEEPS 2u

/* A wait begins. `place`: see kvmux_sync. */
static inline void lock_waits(struct vcpu* self, const struct lock* lock, uint64_t place) {
  sync_waits(self, KVMUX_WAITS_LOCK, lock, place);
  self->lock_owner = &lock->owner;
  spin_begin(self);
}

static inline void ttas_acquire(struct vcpu* self, struct lock* lock) {
  if (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0) return;
  lock_waits(self, lock, 0);
  do {
    spin_while_equal(self, &lock->word, 1);
  } while (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) != 0);
}

static inline void ticket_acquire(struct vcpu* self, struct lock* lock) {
  const uint64_t mine = __atomic_fetch_add(&lock->word, 1, __ATOMIC_RELAXED);
  uint64_t serving = load_word(&lock->serving);
  if (serving == mine) return;
  lock_waits(self, lock, mine + 1);
  do {
    spin_while_equal(self, &lock->serving, serving);
    serving = load_word(&lock->serving);
  } while (serving != mine);
}

/* False: the lock is ours. True: its last waiter knows us now. */
static inline int mcs_join(struct vcpu* self, struct lock* lock) {
  struct mcs_node* node = &self->mcs;
  node->next = 0;
  node->locked = MCS_WAITS;
  node->awake = 0;
  const uint64_t last = __atomic_exchange_n(&lock->word, (uint64_t)node, __ATOMIC_ACQ_REL);
  if (last == 0) return 0;
  store_word(&((struct mcs_node*)last)->next, (uint64_t)node);
  lock_waits(self, lock, 0);
  return 1;
}

static inline void mcs_acquire(struct vcpu* self, struct lock* lock) {
  if (mcs_join(self, lock)) spin_while_equal(self, &self->mcs.locked, MCS_WAITS);
}

/* A window, then asleep, unless the lock is handed over in between. */
static inline void pv_acquire(struct vcpu* self, struct lock* lock) {
  struct mcs_node* node = &self->mcs;
  if (!mcs_join(self, lock)) return;
  mark_wait(self, &node->locked);
  const uint64_t left = spin_turns(&node->locked, MCS_WAITS, self->spin_window);
  bump(&self->results->spin_pauses, left == 0 ? self->spin_window : self->spin_window - left + 1);
  uint64_t expected = MCS_WAITS;
  if (!__atomic_compare_exchange_n(&node->locked, &expected, MCS_SLEEPS, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return;
  halt_until(self, &node->awake);
}

static inline void mcs_release(struct vcpu* self, struct lock* lock) {
  struct mcs_node* node = &self->mcs;
  if (load_word(&node->next) == 0) {
    uint64_t expected = (uint64_t)node;
    if (__atomic_compare_exchange_n(&lock->word, &expected, 0, 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)) return;
    /* A successor has put itself behind us and is about to say where its node is. */
    spin_begin(self);
    spin_while_equal(self, &node->next, 0);
    mark_wait_over(self);
  }
  struct mcs_node* next = (struct mcs_node*)load_word(&node->next);
  struct vcpu* owner = (struct vcpu*)((char*)next - offsetof(struct vcpu, mcs));
  sync_store(&owner->results->sync.holds, (uint64_t)lock); /* it owns the lock from now on, seen or not */
  sync_store(&owner->results->sync.critical, 1);
  if (__atomic_exchange_n(&next->locked, MCS_OWNS, __ATOMIC_ACQ_REL) != MCS_SLEEPS) return;
  store_word(&next->awake, 1);
  send_ipi(self, owner->index, VECTOR_IPI);
}

static inline void lock_acquire(struct vcpu* self, struct lock* lock) {
  mark_wait_over(self);
  sync_acquire_in_time(self);
  switch (lock->kind) {
    case KVMUX_LOCK_TICKET:
      ticket_acquire(self, lock);
      break;
    case KVMUX_LOCK_MCS:
      mcs_acquire(self, lock);
      break;
    case KVMUX_LOCK_PV:
      pv_acquire(self, lock);
      break;
    default:
      ttas_acquire(self, lock);
  }
  mark_wait_over(self);
  self->lock_owner = 0;
  sync_store(&lock->owner, self->index + 1);
  sync_takes(self, lock);
  mark(self, KVMUX_MARK_TAKES_LOCK, lock);
}

static inline void lock_release(struct vcpu* self, struct lock* lock) {
  mark(self, KVMUX_MARK_RELEASES_LOCK, lock);
  sync_store(&lock->owner, 0);
  sync_releases(self);
  switch (lock->kind) {
    case KVMUX_LOCK_TICKET:
      store_word(&lock->serving, lock->serving + 1);
      break;
    case KVMUX_LOCK_MCS:
    case KVMUX_LOCK_PV:
      mcs_release(self, lock);
      break;
    default:
      store_word(&lock->word, 0);
  }
}

#endif /* KVMUX_GUEST_RUNTIME_LOCKS_H_ */
