/* Every vCPU arms its one-shot LAPIC timer COUNT times, counts those that do not come, and stops.
 * --guest-args "MODE COUNT MIN_US MAX_US LIMIT_MS": timers of MIN to MAX, uniformly; MODE 0 waits busily and
 * without an exit, 1 in HLT. MODE 2 is a neighbour: it computes for COUNT milliseconds of its own time.
 *
 * operations: timers that came. errors: those that did not, in LIMIT of the vCPU's own time where it waits
 * busily, in LIMIT by the clock where it halts: that must be longer than others keep the CPU. A halted vCPU
 * whose timer is lost for good never stops. ack_hist: how late they came, TSC ticks.
 */
#include "guest/runtime/halt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/rng.h"
#include "guest/runtime/runtime.h"

#define LAPIC_LVT_TIMER 0x320u
#define LAPIC_INITIAL_COUNT 0x380u
#define LAPIC_CURRENT_COUNT 0x390u
#define LAPIC_DIVIDE 0x3e0u
#define DIVIDE_BY_1 0xbu

static uint64_t number(const char** text) {
  while (**text == ' ') ++*text;
  uint64_t value = 0;
  for (; **text >= '0' && **text <= '9'; ++*text) value = value * 10 + (uint64_t)(**text - '0');
  return value;
}

/* Of the timer, in 1,024 microseconds. */
static uint64_t ticks_per_1024_us(struct vcpu* self) {
  const uint64_t tsc_per_us = self->boot->tsc_khz / 1000u;
  const uint64_t begin = kvmux_tsc();
  lapic_store(self, LAPIC_INITIAL_COUNT, 0xffffffffu);
  while (kvmux_tsc() - begin < 10000u * tsc_per_us) {
  }
  const uint32_t left = *(volatile uint32_t*)(self->boot->lapic + LAPIC_CURRENT_COUNT);
  const uint64_t us = (kvmux_tsc() - begin) / tsc_per_us;
  lapic_store(self, LAPIC_INITIAL_COUNT, 0);
  return (0xffffffffu - left) * (uint64_t)1024u / us;
}

/* In time of its own, without an exit. */
static void wait_busily(struct vcpu* self, const uint64_t* word, uint64_t us) {
  const uint64_t iters_per_us = self->boot->delay_iters_per_ms / 1000u + 1;
  for (; us > 0 && load_word(word) == 0; --us) kvmux_delay(iters_per_us);
}

static void note(struct vcpu* self, uint64_t late, int lost) {
  uint32_t* bucket = &self->results->ack_hist[kvmux_hist_bucket(late)];
  __atomic_store_n(bucket, *bucket + 1, __ATOMIC_RELAXED);
  bump(lost ? &self->results->errors : &self->results->operations, 1);
}

static void compute(struct vcpu* self, uint64_t ms) {
  for (; ms > 0; --ms) {
    kvmux_delay(self->boot->delay_iters_per_ms);
    bump(&self->results->operations, 1);
  }
}

void run(struct vcpu* self) {
  const char* text = self->boot->args;
  const uint64_t mode = number(&text), count = number(&text);
  if (mode == 2) return compute(self, count);
  const uint64_t least = number(&text), most = number(&text), limit_ms = number(&text);
  if (least == 0 || most < least || limit_ms == 0) refuse(self, "args: MODE COUNT MIN_US MAX_US LIMIT_MS");
  const uint64_t tsc_per_ms = self->boot->tsc_khz;
  /* The stub counts here. Set back to 0 while no timer is armed, it is the word that halt_once() looks at
   * with interrupts off: one that comes before the HLT is not slept through. */
  uint64_t* const came = self->ipis_handled;
  lapic_store(self, LAPIC_DIVIDE, DIVIDE_BY_1);
  lapic_store(self, LAPIC_LVT_TIMER, VECTOR_IPI);
  const uint64_t per_1024_us = ticks_per_1024_us(self);
  for (uint64_t n = 0; n < count; ++n) {
    const uint64_t ns = least * 1000u + rng_below(&self->rng, (most - least) * 1000u + 1);
    const uint64_t ticks = ns * per_1024_us / 1024000u;
    store_word(came, 0);
    const uint64_t due = kvmux_tsc() + ns * tsc_per_ms / 1000000u;
    lapic_store(self, LAPIC_INITIAL_COUNT, ticks == 0 ? 1 : (uint32_t)ticks);
    if (mode == 1) {
      while (load_word(came) == 0) (void)halt_once(self, came);
    } else {
      wait_busily(self, came, limit_ms * 1000u);
    }
    const uint64_t now = kvmux_tsc();
    const uint64_t late = now > due ? now - due : 0;
    const int is_here = load_word(came) != 0;
    note(self, late, !is_here || (mode == 1 && late > limit_ms * tsc_per_ms));
    if (!is_here) lapic_store(self, LAPIC_INITIAL_COUNT, 0);
  }
}
