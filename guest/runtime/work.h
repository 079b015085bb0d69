/* Counted work. Durations are loop iterations of kvmux_delay(), so that time spent preempted is not work. */
#ifndef KVMUX_GUEST_RUNTIME_WORK_H_
#define KVMUX_GUEST_RUNTIME_WORK_H_

#include "guest/runtime/rng.h"
#include "guest/runtime/vcpu.h"

/* At least one iteration for any time but 0, so that a host that sent no calibration still sees progress. */
static inline uint64_t iters_of_ns(const struct kvmux_boot_info* boot, uint64_t ns) {
  const uint64_t per_ms = boot->delay_iters_per_ms;
  const uint64_t iters = ns / 1000000u * per_ms + ns % 1000000u * per_ms / 1000000u;
  return iters == 0 && ns != 0 ? 1 : iters;
}

static inline void work_configure(struct vcpu* self) {
  self->rng = rng_seed(self->boot->seed, self->index);
  self->think_iters = iters_of_ns(self->boot, self->boot->workload.think_ns);
  self->hold_iters = iters_of_ns(self->boot, self->boot->workload.hold_ns);
  self->hold_ticks = self->boot->workload.hold_ns / 1000u * self->boot->tsc_khz / 1000u;
}

static inline void work(struct vcpu* self, uint64_t iters) {
  kvmux_delay(iters);
  bump(&self->results->work_iters, iters);
}

/* The mean ±25 %, uniformly: without it vCPUs fall into step. */
static inline uint64_t draw_think(struct vcpu* self) {
  const uint64_t mean = self->think_iters;
  return mean - mean / 4 + rng_below(&self->rng, mean / 2 + 1);
}

static inline void think(struct vcpu* self) { work(self, draw_think(self)); }

#endif /* KVMUX_GUEST_RUNTIME_WORK_H_ */
