/* What a vCPU says of itself for traces: guest/abi.h, enum kvmux_mark. Things are named by their addresses. */
#ifndef KVMUX_GUEST_RUNTIME_MARKS_H_
#define KVMUX_GUEST_RUNTIME_MARKS_H_

#include "guest/runtime/vcpu.h"

static inline void mark(struct vcpu* self, enum kvmux_mark what, const void* thing) {
  kvmux_mark(self->marks, what, (uint64_t)thing);
}

/* The first turn of a wait on `word`, and its end. */
static inline void mark_wait(struct vcpu* self, const void* word) {
  if (self->marks == 0 || self->wait_marked) return;
  self->wait_marked = 1;
  mark(self, KVMUX_MARK_WAITS, word);
}

static inline void mark_wait_over(struct vcpu* self) {
  if (!self->wait_marked) return;
  self->wait_marked = 0;
  mark(self, KVMUX_MARK_WAIT_OVER, 0);
}

static inline void count_operation(struct vcpu* self) {
  bump(&self->results->operations, 1);
  mark(self, KVMUX_MARK_OPERATION, 0);
}

#endif /* KVMUX_GUEST_RUNTIME_MARKS_H_ */
