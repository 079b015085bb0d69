/* A pipeline: items pass through `stages` stages, each with a bounded queue behind a spin lock in front of
 * it. vCPU i serves stage i % stages, or every vcpu_count-th stage from i on if there are fewer vCPUs than
 * stages. At a stage an item costs hold_ns inside the lock and think_ns outside; an operation is one item
 * through one stage. A round is `batch` items for each vCPU of the first stage; then all meet at a spin
 * barrier.
 *
 * Who finds its queue empty spins, or now and then goes to sleep in HLT until an IPI says that there is an
 * item, or that the stage has taken all items of the round. Sleeping and waking both happen under the queue's
 * lock.
 *
 * Self-check: each item has passed all stages, and after each round no item is missing and no queue filled.
 */
#include "guest/runtime/halt.h"
#include "guest/runtime/lapic.h"
#include "guest/runtime/locks.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/work.h"

#define MAX_STAGES 64u
#define CAPACITY 32u
#define BURST_TURNS 64u /* on one queue before a look at the others */
#define SLEEP_ONE_IN 8u /* of the times a queue is found empty */
#define STAGE_SHIFT 32u /* of an item: stages passed above its number */

struct queue {
  struct lock lock;
  CACHE_LINE uint64_t count; /* items in the queue: waiters poll it */
  CACHE_LINE uint64_t taken; /* items of this round that the stage has taken out */
  uint64_t head;
  uint64_t sleepers; /* index + 1 of the vCPU that went to sleep last, chained by next_sleeper */
  uint64_t sum;      /* last stage: of the numbers of this round's items */
  uint64_t items[CAPACITY];
} CACHE_LINE;

struct pipeline {
  struct queue* queues;
  uint64_t stages;
  uint64_t round; /* items in a round */
  uint64_t first; /* this vCPU's stages: first, first + step, … */
  uint64_t step;
};

static uint64_t arrived CACHE_LINE;
static uint64_t generation CACHE_LINE;

/* Wakes a chain of sleepers that has been taken off its queue. */
static void wake(struct vcpu* self, uint64_t sleeper, uint64_t limit) {
  for (; sleeper != 0 && limit != 0; --limit) {
    struct vcpu* other = vcpu_at(self->boot, sleeper - 1);
    sleeper = other->next_sleeper; /* first: once awake it may go to sleep again */
    mark(self, KVMUX_MARK_PUTS, &other->inbox);
    store_word(&other->inbox, 1);
    send_ipi(self, other->index, VECTOR_IPI);
  }
}

static void sleep_on(struct vcpu* self, struct queue* queue, uint64_t round) {
  lock_acquire(self, &queue->lock);
  const int wanted = queue->taken < round && queue->count == 0;
  if (wanted) {
    store_word(&self->inbox, 0);
    self->next_sleeper = queue->sleepers;
    queue->sleepers = self->index + 1;
  }
  lock_release(self, &queue->lock);
  if (wanted) halt_until(self, &self->inbox);
}

static void check_finished(struct vcpu* self, const struct pipeline* line, struct queue* queue,
                           uint64_t item) {
  if (item >> STAGE_SHIFT != line->stages - 1) bump(&self->results->errors, 1);
  queue->sum += item & 0xffffffffu;
}

/* Takes an item out of a stage's queue; the first stage's items come from nowhere. Returns 0 if there is
 * none. */
static int take(struct vcpu* self, const struct pipeline* line, uint64_t stage, uint64_t* item) {
  struct queue* queue = &line->queues[stage];
  if (load_word(&queue->taken) == line->round || (stage != 0 && load_word(&queue->count) == 0)) return 0;
  lock_acquire(self, &queue->lock);
  if (queue->taken == line->round || (stage != 0 && queue->count == 0)) {
    lock_release(self, &queue->lock);
    return 0;
  }
  if (stage == 0) {
    *item = queue->taken;
  } else {
    mark(self, KVMUX_MARK_TAKES, queue);
    *item = queue->items[queue->head++ % CAPACITY];
    store_word(&queue->count, queue->count - 1);
  }
  work(self, self->hold_iters);
  if (stage == line->stages - 1) check_finished(self, line, queue, *item);
  store_word(&queue->taken, queue->taken + 1);
  uint64_t sleepers = 0;
  if (queue->taken == line->round) {
    sleepers = queue->sleepers;
    queue->sleepers = 0;
  }
  lock_release(self, &queue->lock);
  wake(self, sleepers, ~(uint64_t)0);
  return 1;
}

static void spin_for_work(struct vcpu* self, const uint64_t* word, uint64_t value) {
  sync_waits(self, KVMUX_WAITS_WORK, 0, 0);
  spin_burst(self, word, value, BURST_TURNS);
  sync_wait_over(self);
}

static int serve_from(struct vcpu* self, const struct pipeline* line, uint64_t lowest);

/* Puts an item into a stage's queue. While that is full, a vCPU with stages behind it serves those: the queue
 * may be waiting for nobody else. The last stage puts nothing, so this ends. */
static void put(struct vcpu* self, const struct pipeline* line, uint64_t stage, uint64_t item) {
  struct queue* queue = &line->queues[stage];
  spin_begin(self);
  for (;;) {
    if (load_word(&queue->count) != CAPACITY) {
      lock_acquire(self, &queue->lock);
      if (queue->count != CAPACITY) break;
      lock_release(self, &queue->lock);
    }
    if (serve_from(self, line, stage)) {
      spin_begin(self);
    } else {
      spin_for_work(self, &queue->count, CAPACITY);
    }
  }
  mark(self, KVMUX_MARK_PUTS, queue);
  queue->items[(queue->head + queue->count) % CAPACITY] = item;
  store_word(&queue->count, queue->count + 1);
  const uint64_t sleeper = queue->sleepers;
  if (sleeper != 0) queue->sleepers = vcpu_at(self->boot, sleeper - 1)->next_sleeper;
  lock_release(self, &queue->lock);
  wake(self, sleeper, 1);
}

/* One item through the hindmost of our stages, not before `lowest`, that has one. Returns 0 if none has. */
static int serve_from(struct vcpu* self, const struct pipeline* line, uint64_t lowest) {
  uint64_t stage = line->first + (line->stages - 1 - line->first) / line->step * line->step;
  for (;; stage -= line->step) {
    uint64_t item;
    if (stage < lowest) return 0;
    if (take(self, line, stage, &item)) {
      think(self);
      if (stage + 1 < line->stages) put(self, line, stage + 1, item + ((uint64_t)1 << STAGE_SHIFT));
      count_operation(self);
      return 1;
    }
    if (stage == line->first) return 0;
  }
}

/* The first of our stages that has items to come in this round, or `stages`. */
static uint64_t unfinished(const struct pipeline* line) {
  uint64_t stage = line->first;
  while (stage < line->stages && load_word(&line->queues[stage].taken) == line->round) stage += line->step;
  return stage < line->stages ? stage : line->stages;
}

static void serve_round(struct vcpu* self, const struct pipeline* line) {
  int waiting = 0;
  for (;;) {
    if (serve_from(self, line, 0)) {
      waiting = 0;
      continue;
    }
    const uint64_t stage = unfinished(line);
    if (stage == line->stages) return;
    struct queue* queue = &line->queues[stage];
    const int first_time = !waiting;
    waiting = 1;
    if (first_time) spin_begin(self);
    if (first_time && line->first + line->step >= line->stages && rng_below(&self->rng, SLEEP_ONE_IN) == 0) {
      sleep_on(self, queue, line->round);
    } else {
      spin_for_work(self, &queue->count, 0);
    }
  }
}

static void finish_round(struct vcpu* self, const struct pipeline* line) {
  if (line->queues[line->stages - 1].sum != line->round * (line->round - 1) / 2)
    bump(&self->results->errors, 1);
  line->queues[line->stages - 1].sum = 0;
  for (uint64_t stage = 0; stage < line->stages; ++stage) {
    if (line->queues[stage].count != 0) bump(&self->results->errors, 1);
    line->queues[stage].taken = 0;
  }
}

static void meet(struct vcpu* self, const struct pipeline* line) {
  const uint64_t now = load_word(&generation);
  mark_wait_over(self);
  mark(self, KVMUX_MARK_ARRIVES, &generation);
  sync_waits(self, KVMUX_WAITS_BARRIER, &generation, now + 1);
  if (__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL) == self->boot->vcpu_count) {
    finish_round(self, line);
    store_word(&arrived, 0);
    sync_wait_over(self);
    store_word(&generation, now + 1);
    return;
  }
  spin_begin(self);
  spin_while_equal(self, &generation, now);
  sync_wait_over(self);
  mark_wait_over(self);
}

static void lay_out(struct vcpu* self, struct pipeline* line) {
  const struct kvmux_workload* params = &self->boot->workload;
  const uint64_t vcpus = self->boot->vcpu_count;
  const uint64_t batch = params->batch == 0 ? 1 : params->batch;
  line->stages = params->stages == 0 ? 1 : params->stages;
  if (line->stages > MAX_STAGES) refuse(self, "mixed: more than 64 stages");
  line->queues = heap(self, line->stages * sizeof(struct queue));
  line->round = batch * ((vcpus + line->stages - 1) / line->stages);
  if (line->round >> STAGE_SHIFT != 0) refuse(self, "mixed: more than 2^32 items between two barriers");
  line->first = self->index % line->stages;
  line->step = vcpus < line->stages ? vcpus : line->stages;
}

void run(struct vcpu* self) {
  struct pipeline line;
  require_xapic_ids(self);
  lay_out(self, &line);
  if (self->index == 0) {
    for (uint64_t i = 0; i < line.stages; ++i)
      lock_init(&line.queues[i].lock, self->boot->workload.lock_kind);
  }
  start_together(self);
  for (;;) {
    serve_round(self, &line);
    meet(self, &line);
  }
}
