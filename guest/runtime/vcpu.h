/* What the runtime keeps of one vCPU. An array of these lies at boot->free_start, one entry a vCPU.
 *
 * Written by its own vCPU, interrupt stubs included, except for the three lines at the end, which other vCPUs
 * write or poll and which therefore have a cache line each. The stubs reach the first fields through GS: the
 * offsets are repeated in stubs.S and asserted here.
 */
#ifndef KVMUX_GUEST_RUNTIME_VCPU_H_
#define KVMUX_GUEST_RUNTIME_VCPU_H_

#ifndef KVMUX_GUEST
#define KVMUX_GUEST
#endif
#include "guest/abi.h"
#include "guest/runtime/stubs.h"

#define CACHE_LINE __attribute__((aligned(64)))

/* The word that a waiter of an MCS lock spins on; `next` is the address of the successor's node. */
struct mcs_node {
  uint64_t locked;
  uint64_t next;
  uint64_t awake; /* PV: ends its sleep */
};

struct vcpu {
  struct vcpu* self;
  uint64_t* ipis_handled; /* in the results page */
  uint32_t* lapic_eoi;
  const struct kvmux_boot_info* boot;
  struct kvmux_vcpu_results* results;
  uint64_t index;
  uint64_t rng;
  uint64_t think_iters; /* mean of a turn's work */
  uint64_t hold_iters;
  uint64_t spin_window; /* spin-loop turns between two looks at the bell */
  uint64_t spin_left;   /* of the current window */
  uint64_t spin_rings;  /* 0: never ring */
  uint64_t spin_rang;   /* in the current wait */
  uint64_t irq_active;  /* irq_work() is running below us */
  uint64_t next_sleeper;
  struct kvmux_mark_ring* marks; /* null: nobody reads them */
  uint64_t wait_marked;          /* the wait that goes on has been marked */
  uint64_t hold_ticks;           /* of the TSC, in hold_ns */
  const uint64_t* lock_owner;    /* while it waits for a lock: where its owner's index + 1 is; null: for none */

  CACHE_LINE struct mcs_node mcs;
  CACHE_LINE uint64_t inbox;    /* what other vCPUs leave here before they wake this one */
  CACHE_LINE uint64_t irq_done; /* irq_work() has finished for all interrupts up to this count */
} CACHE_LINE;

#ifdef __cplusplus
#define RUNTIME_ASSERT static_assert
#else
#define RUNTIME_ASSERT _Static_assert
#endif
RUNTIME_ASSERT(offsetof(struct vcpu, ipis_handled) == VCPU_IPIS_HANDLED, "stubs.h");
RUNTIME_ASSERT(offsetof(struct vcpu, lapic_eoi) == VCPU_LAPIC_EOI, "stubs.h");
RUNTIME_ASSERT(sizeof(struct vcpu) % 64 == 0, "an array of them keeps lines apart");

static inline struct vcpu* vcpu_at(const struct kvmux_boot_info* boot, uint64_t index) {
  return (struct vcpu*)((boot->free_start + 63u) & ~(uint64_t)63u) + index;
}

/* A counter in the results page or in struct vcpu: one instruction, so that an interrupt handler and the code
 * it interrupts may both add, and one store, so that the host never reads half of it. */
static inline void bump(uint64_t* counter, uint64_t by) {
  __asm__ volatile("addq %1, %0" : "+m"(*counter) : "er"(by) : "cc");
}

static inline uint64_t load_word(const uint64_t* word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void store_word(uint64_t* word, uint64_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

#endif /* KVMUX_GUEST_RUNTIME_VCPU_H_ */
