/* How fast this host runs the two loops that guests count time in, and what an exit costs: user[0] becomes
 * kvmux_delay() iterations per millisecond, user[1] turns of the spin loop per millisecond, user[2] the TSC
 * ticks that one ring of the doorbell takes. All vCPUs do so at once, for about 20 ms, then they stop.
 *
 * Each loop is timed by the TSC in many short rounds; the fastest is taken, the others were disturbed.
 */
#include "guest/runtime/runtime.h"
#include "guest/runtime/spin.h"

#define ROUNDS 40u
#define ROUNDS_PER_MS 8u /* a round lasts 1/8 ms, or up to twice as long */
#define TRIES 3u
#define FIRST_COUNT 64u
#define BELLS 32u

static const uint64_t never_changes = 0;

static void delay_loop(uint64_t count) { kvmux_delay(count); }
static void spin_loop(uint64_t count) { spin_turns(&never_changes, 0, count); }

static uint64_t fastest(void (*loop)(uint64_t), uint64_t count, uint32_t rounds) {
  uint64_t best = ~(uint64_t)0;
  for (uint32_t i = 0; i < rounds; ++i) {
    const uint64_t start = kvmux_tsc();
    loop(count);
    const uint64_t ticks = kvmux_tsc() - start;
    if (ticks < best) best = ticks;
  }
  return best == 0 ? 1 : best;
}

static uint64_t per_ms(const struct kvmux_boot_info* boot, void (*loop)(uint64_t)) {
  uint64_t count = FIRST_COUNT;
  while (fastest(loop, count, TRIES) < boot->tsc_khz / ROUNDS_PER_MS) count *= 2;
  const uint64_t rate = count * boot->tsc_khz / fastest(loop, count, ROUNDS);
  return rate == 0 ? 1 : rate;
}

/* Half of the rings are cheaper and half dearer than the figure: unlike a loop, an exit has no fastest form
 * that all others are disturbed versions of. */
static uint64_t bell_ticks(const struct kvmux_boot_info* boot) {
  uint64_t took[BELLS];
  for (uint32_t i = 0; i < BELLS; ++i) {
    const uint64_t start = kvmux_tsc();
    kvmux_ring_bell(boot, KVMUX_BELL_SPIN, KVMUX_WAIT_UNKNOWN);
    const uint64_t ticks = kvmux_tsc() - start;
    uint32_t at = i;
    for (; at > 0 && took[at - 1] > ticks; --at) took[at] = took[at - 1];
    took[at] = ticks;
  }
  return took[BELLS / 2];
}

void run(struct vcpu* self) {
  start_together(self);
  self->results->user[0] = per_ms(self->boot, delay_loop);
  self->results->user[1] = per_ms(self->boot, spin_loop);
  self->results->user[2] = bell_ticks(self->boot);
}
