/* Percentiles of latencies: counts in buckets of 1/64 relative width, as exact as a percentile of a few
 * seconds is. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest/linux/agent.h"

enum { kSteps = 64, kDoublings = 30 };

static uint64_t counts[kSteps * (kDoublings + 1)];
static uint64_t total, largest;

/* 0 … 63 µs are their own buckets; each doubling beyond has 64. */
static size_t bucket_of(uint64_t us) {
  unsigned shift = 0;
  while ((us >> shift) >= 2 * kSteps) ++shift;
  if (us < kSteps) return (size_t)us;
  const size_t bucket = (size_t)shift * kSteps + (size_t)(us >> shift);
  const size_t last = sizeof counts / sizeof counts[0] - 1;
  return bucket < last ? bucket : last;
}

/* The largest latency of a bucket. */
static uint64_t top_of(size_t bucket) {
  if (bucket < 2 * kSteps) return bucket;
  const unsigned shift = (unsigned)(bucket / kSteps) - 1;
  return ((((uint64_t)bucket - (uint64_t)shift * kSteps) + 1) << shift) - 1;
}

void latency_add(uint64_t us) {
  ++counts[bucket_of(us)];
  ++total;
  if (us > largest) largest = us;
}

static uint64_t percentile(unsigned per_mille) {
  uint64_t wanted = (total * per_mille + 999) / 1000;
  for (size_t bucket = 0; bucket < sizeof counts / sizeof counts[0]; ++bucket) {
    if (counts[bucket] >= wanted) return top_of(bucket) < largest ? top_of(bucket) : largest;
    wanted -= counts[bucket];
  }
  return largest;
}

size_t latency_take(char* text, size_t size) {
  text[0] = '\0';
  if (total == 0) return 0;
  const int length = snprintf(text, size,
                              " us.p50=%" PRIu64 " us.p90=%" PRIu64 " us.p99=%" PRIu64 " us.p99.9=%" PRIu64
                              " us.max=%" PRIu64,
                              percentile(500), percentile(900), percentile(990), percentile(999), largest);
  memset(counts, 0, sizeof counts);
  total = largest = 0;
  return length < 0 || (size_t)length >= size ? 0 : (size_t)length;
}
