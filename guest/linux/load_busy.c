/* idle: nothing. busy: threads that compute and never sleep, so that all they do not get is stolen or
 * another's. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "guest/linux/agent.h"
#include "guest/linux/load.h"

enum { kTurns = 1000 };

struct spinner {
  alignas(64) atomic_uint_fast64_t rounds; /* written by its thread alone */
};
static struct spinner* spinners;
static unsigned count;

static void* spin(void* argument) {
  struct spinner* self = argument;
  for (uint_fast64_t rounds = 1;; ++rounds) {
    for (int turn = 0; turn < kTurns; ++turn) __asm__ volatile("");
    atomic_store_explicit(&self->rounds, rounds, memory_order_relaxed);
  }
  return NULL;
}

static void prepare_busy(const char* argument) {
  count = load_number(argument);
  spinners = aligned_alloc(64, count * sizeof *spinners);
  if (spinners == NULL) give_up("busy: no memory");
  memset(spinners, 0, count * sizeof *spinners);
}

static void go_busy(void) {
  for (unsigned i = 0; i < count; ++i) {
    pthread_t thread;
    const int problem = pthread_create(&thread, NULL, spin, &spinners[i]);
    if (problem != 0) give_up("busy: a thread: %s", strerror(problem));
    pthread_detach(thread);
  }
}

static void read_busy(uint64_t* operations, uint64_t* at) {
  *operations = 0;
  for (unsigned i = 0; i < count; ++i)
    *operations += atomic_load_explicit(&spinners[i].rounds, memory_order_relaxed);
  *at = machine_now();
}

static void prepare_idle(const char* argument) {
  if (*argument != '\0') give_up("idle takes no number");
}
static void go_idle(void) {}
static void read_idle(uint64_t* operations, uint64_t* at) {
  *operations = 0;
  *at = machine_now();
}

const struct load load_busy = {prepare_busy, go_busy, read_busy};
const struct load load_idle = {prepare_idle, go_idle, read_idle};
