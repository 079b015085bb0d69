/* pigz, zstd: a compressor with many threads reads generated data from a pipe without end. What it has taken
 * from the pipe is counted, so the count is never ahead by more than the pipe and the program's own buffers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/linux/agent.h"
#include "guest/linux/load.h"
#include "guest/linux/program.h"

enum { kBlock = 64 << 10, kData = 4 << 20, kPhrases = 512, kPhrase = 48 };

static char* data;
static atomic_uint_fast64_t kibibytes;
static char threads[16];
static const char* const pigz_argv[] = {"/usr/bin/pigz", "-c", "-p", threads, NULL};
static const char* const zstd_argv[] = {"/usr/bin/zstd", "-q", "-c", threads, NULL};
static const struct program pigz = {.argv = pigz_argv, .quiet = 1, .input = 1};
static const struct program zstd = {.argv = zstd_argv, .quiet = 1, .input = 1};

/* Phrases of random letters in random order, the same in each run: compresses to a fifth or so. */
static void generate(void) {
  uint64_t state = 88172645463325252u;
  data = malloc(kData);
  char* phrases = malloc((size_t)kPhrases * kPhrase);
  if (data == NULL || phrases == NULL) give_up("no memory for the data");
  for (size_t i = 0; i < (size_t)kPhrases * kPhrase; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    phrases[i] = (char)('a' + (state >> 59) % 26);
  }
  for (size_t i = 0; i < kData;) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const size_t length = 4 + (size_t)(state >> 40) % (kPhrase - 4);
    const char* phrase = phrases + (size_t)(state >> 54) % kPhrases * kPhrase;
    for (size_t k = 0; k < length && i < kData; ++k) data[i++] = phrase[k];
  }
  free(phrases);
}

static void* feed(void* unused) {
  (void)unused;
  const int pipe = program_stdin();
  for (size_t at = 0;; at = (at + kBlock) % kData) {
    for (size_t done = 0; done < kBlock;) {
      const ssize_t written = write(pipe, data + at + done, kBlock - done);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return NULL; /* it has ended: its status says why */
      done += (size_t)written;
    }
    atomic_fetch_add_explicit(&kibibytes, kBlock >> 10, memory_order_relaxed);
  }
}

static void go(const struct program* program) {
  program_start(program);
  pthread_t thread;
  const int problem = pthread_create(&thread, NULL, feed, NULL);
  if (problem != 0) give_up("a thread: %s", strerror(problem));
  pthread_detach(thread);
}

static void prepare_pigz(const char* argument) {
  program_check(pigz_argv[0]);
  snprintf(threads, sizeof threads, "%u", load_number(argument));
  generate();
}
static void prepare_zstd(const char* argument) {
  program_check(zstd_argv[0]);
  snprintf(threads, sizeof threads, "-T%u", load_number(argument));
  generate();
}
static void go_pigz(void) { go(&pigz); }
static void go_zstd(void) { go(&zstd); }
static void read_stream(uint64_t* operations, uint64_t* at) {
  *operations = atomic_load_explicit(&kibibytes, memory_order_relaxed);
  *at = machine_now();
}

const struct load load_pigz = {prepare_pigz, go_pigz, read_stream};
const struct load load_zstd = {prepare_zstd, go_zstd, read_stream};
