/* Random numbers for workloads: xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled"), seeded through a splitmix64 step so that neighbouring seeds and vCPUs do not run
 * in parallel. */
#ifndef KVMUX_GUEST_RUNTIME_RNG_H_
#define KVMUX_GUEST_RUNTIME_RNG_H_

#ifdef __cplusplus
#include <cstdint>
#else
#include <stdint.h>
#endif

static inline uint64_t rng_seed(uint64_t seed, uint64_t stream) {
  uint64_t z = seed + (stream + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  z ^= z >> 31;
  return z == 0 ? 1 : z; /* the one state that xorshift cannot leave */
}

static inline uint64_t rng_next(uint64_t* state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 0x2545f4914f6cdd1du;
}

/* 0 … bound-1; bound is at least 1. The bias of the remainder is below 2^-32 for every bound used here. */
static inline uint64_t rng_below(uint64_t* state, uint64_t bound) { return (rng_next(state) >> 1) % bound; }

#endif /* KVMUX_GUEST_RUNTIME_RNG_H_ */
