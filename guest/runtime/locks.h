/* The three spin locks that `--lock` chooses from. All-zero memory is a free lock of kind TTAS; lock_init()
 * makes one of another kind before anyone uses it. A vCPU may hold one lock at a time: it has one MCS node.
 *
 * TTAS: test and test-and-set (Rudolph and Segall), unfair. Ticket: FIFO, so the next owner may be preempted.
 * MCS (Mellor-Crummey and Scott): FIFO, and every waiter spins on a line of its own.
 */
#ifndef KVMUX_GUEST_RUNTIME_LOCKS_H_
#define KVMUX_GUEST_RUNTIME_LOCKS_H_

#include "guest/runtime/spin.h"
#include "guest/runtime/vcpu.h"

struct lock {
  uint64_t word;    /* TTAS: 1 while held; ticket: the next ticket to draw; MCS: address of the last node */
  uint64_t serving; /* ticket: who holds it */
  uint32_t kind;    /* enum kvmux_lock_kind */
} CACHE_LINE;

static inline void lock_init(struct lock* lock, uint32_t kind) {
  lock->word = 0;
  lock->serving = 0;
  lock->kind = kind;
}

static inline void ttas_acquire(struct vcpu* self, struct lock* lock) {
  if (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) == 0) return;
  spin_begin(self);
  do {
    spin_while_equal(self, &lock->word, 1);
  } while (__atomic_exchange_n(&lock->word, 1, __ATOMIC_ACQUIRE) != 0);
}

static inline void ticket_acquire(struct vcpu* self, struct lock* lock) {
  const uint64_t mine = __atomic_fetch_add(&lock->word, 1, __ATOMIC_RELAXED);
  uint64_t serving = load_word(&lock->serving);
  if (serving == mine) return;
  spin_begin(self);
  do {
    spin_while_equal(self, &lock->serving, serving);
    serving = load_word(&lock->serving);
  } while (serving != mine);
}

static inline void mcs_acquire(struct vcpu* self, struct lock* lock) {
  struct mcs_node* node = &self->mcs;
  node->next = 0;
  node->locked = 1;
  const uint64_t last = __atomic_exchange_n(&lock->word, (uint64_t)node, __ATOMIC_ACQ_REL);
  if (last == 0) return;
  store_word(&((struct mcs_node*)last)->next, (uint64_t)node);
  spin_begin(self);
  spin_while_equal(self, &node->locked, 1);
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
  store_word(&((struct mcs_node*)load_word(&node->next))->locked, 0);
}

static inline void lock_acquire(struct vcpu* self, struct lock* lock) {
  mark_wait_over(self);
  switch (lock->kind) {
    case KVMUX_LOCK_TICKET:
      ticket_acquire(self, lock);
      break;
    case KVMUX_LOCK_MCS:
      mcs_acquire(self, lock);
      break;
    default:
      ttas_acquire(self, lock);
  }
  mark_wait_over(self);
  mark(self, KVMUX_MARK_TAKES_LOCK, lock);
}

static inline void lock_release(struct vcpu* self, struct lock* lock) {
  mark(self, KVMUX_MARK_RELEASES_LOCK, lock);
  switch (lock->kind) {
    case KVMUX_LOCK_TICKET:
      store_word(&lock->serving, lock->serving + 1);
      break;
    case KVMUX_LOCK_MCS:
      mcs_release(self, lock);
      break;
    default:
      store_word(&lock->word, 0);
  }
}

#endif /* KVMUX_GUEST_RUNTIME_LOCKS_H_ */
