/* Busy-waiting. Every wait in the runtime and the workloads ends up in spin_turns(), a five-instruction PAUSE
 * loop: the host calibrates that very loop, and recognises it by its bytes when it samples RIP.
 *
 * A wait is: spin_begin(), then spin_while_equal() or spin_burst() until it is over. Time is counted in turns
 * of the loop, never by the clock: a vCPU that is preempted while it waits has not spun meanwhile. After each
 * window of turns within one wait the doorbell rings.
 */
#ifndef KVMUX_GUEST_RUNTIME_SPIN_H_
#define KVMUX_GUEST_RUNTIME_SPIN_H_

#include "guest/runtime/marks.h"
#include "guest/runtime/sync.h"
#include "guest/runtime/vcpu.h"

#ifdef __cplusplus
extern "C" {
#endif
/* PAUSE and look, until *word != value or `turns` (at least 1) are used up. Returns the turns left: 0 means
 * that the word was still equal. In stubs.S. */
uint64_t spin_turns(const uint64_t* word, uint64_t value, uint64_t turns);
#ifdef __cplusplus
}
#endif

/* Whoever could end the wait of a vCPU that is alone does not run, nor does an owner that is known to be off its
 * CPU: an eighth of the window is enough to see that the wait is not over yet. */
static inline int spin_is_in_vain(const struct vcpu* self) {
  return __atomic_load_n(&self->boot->vcpus_running, __ATOMIC_RELAXED) == 1 ||
         (self->lock_owner != 0 && sync_owner_is_preempted(self, self->lock_owner));
}

static inline void spin_start_window(struct vcpu* self) {
  const int in_vain = self->spin_rings && spin_is_in_vain(self);
  self->spin_left = in_vain ? self->spin_window / 8 + 1 : self->spin_window;
}

static inline void spin_begin(struct vcpu* self) {
  self->spin_rang = 0;
  spin_start_window(self);
}

/* Sets the window from the boot information; a window of 0 ns means no bell. Without a bell the turns are
 * still counted in portions of a millisecond, so that the host sees spin_pauses grow. */
static inline void spin_configure(struct vcpu* self) {
  const uint64_t per_ms = self->boot->pauses_per_ms;
  const uint64_t window_ns = self->boot->spin_window_ns;
  uint64_t turns =
      window_ns == 0 ? per_ms : window_ns / 1000000u * per_ms + window_ns % 1000000u * per_ms / 1000000u;
  self->spin_window = turns == 0 ? 1 : turns;
  self->spin_rings = window_ns != 0;
  spin_begin(self);
}

/* At most `turns` turns while *word == value: for a waiter that has other things to look at as well. */
static inline void spin_burst(struct vcpu* self, const uint64_t* word, uint64_t value, uint64_t turns) {
  mark_wait(self, word);
  const uint64_t budget = turns < self->spin_left ? turns : self->spin_left;
  const uint64_t left = spin_turns(word, value, budget);
  const uint64_t used = left == 0 ? budget : budget - left + 1;
  bump(&self->results->spin_pauses, used);
  self->spin_left -= used;
  if (self->spin_left != 0) return;
  if (left == 0 && self->spin_rings) {
    const uint64_t wait = self->spin_rang ? KVMUX_WAIT_GOES_ON : KVMUX_WAIT_BEGINS;
    self->spin_rang = 1;
    bump(&self->results->spin_rings, 1);
    kvmux_ring_bell(self->boot, KVMUX_BELL_SPIN, wait);
  }
  spin_start_window(self);
}

static inline void spin_while_equal(struct vcpu* self, const uint64_t* word, uint64_t value) {
  while (load_word(word) == value) spin_burst(self, word, value, ~(uint64_t)0);
}

#endif /* KVMUX_GUEST_RUNTIME_SPIN_H_ */
