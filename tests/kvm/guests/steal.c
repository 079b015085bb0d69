// Two busy processors on one CPU: what steal time and `preempted` say of each, and KVM's clock beside the TSC.
#include "guest.h"

#define LEAF_SIGNATURE 0x40000000
#define LEAF_FEATURES 0x40000001
#define FEATURE_CLOCK 3
#define FEATURE_STEAL 5
#define MSR_CLOCK 0x4b564d01
#define MSR_STEAL 0x4b564d03
#define CPUS 2
#define SECONDS 1

struct steal_time {
  uint64_t steal;
  uint32_t version, flags;
  uint8_t preempted, padding[47];
} __attribute__((aligned(64)));

struct clock {
  uint32_t version, padding;
  uint64_t tsc, ns;
  uint32_t multiplier;
  int8_t shift;
  uint8_t flags, more[2];
} __attribute__((aligned(32)));

static volatile struct steal_time steals[CPUS];
static volatile struct clock the_clock;
static volatile uint32_t ready, finished, seen_off[CPUS], off_itself[CPUS];

static uint64_t stolen(uint32_t id) {
  for (;;) {
    const uint32_t version = __atomic_load_n(&steals[id].version, __ATOMIC_ACQUIRE);
    const uint64_t steal = __atomic_load_n(&steals[id].steal, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((version & 1) == 0 && steals[id].version == version) return steal;
  }
}

static uint64_t clock_ns(void) {
  for (;;) {
    const uint32_t version = __atomic_load_n(&the_clock.version, __ATOMIC_ACQUIRE);
    uint64_t ticks = rdtsc() - the_clock.tsc;
    ticks = the_clock.shift >= 0 ? ticks << the_clock.shift : ticks >> -the_clock.shift;
    const uint64_t ns = the_clock.ns + (uint64_t)(((unsigned __int128)ticks * the_clock.multiplier) >> 32);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    if ((version & 1) == 0 && the_clock.version == version) return ns;
  }
}

static void work(uint32_t id) {
  wrmsr(MSR_STEAL, (uint64_t)&steals[id] | 1);
  __atomic_add_fetch(&ready, 1, __ATOMIC_RELEASE);
  wait_for(&ready, CPUS);
  const uint64_t from = rdtsc(), off_from = stolen(id);
  while (rdtsc() - from < SECONDS * 1000 * tsc_per_ms) {
    if (steals[1 - id].preempted) seen_off[id] = 1;
    if (steals[id].preempted) off_itself[id] = 1;
  }
  const uint64_t off = stolen(id) - off_from;
  const uint64_t took_us = (rdtsc() - from) * 1000 / tsc_per_ms;
  print("cpu %u off %u of %u us\n", id, (uint32_t)(off / 1000), (uint32_t)took_us);
  check(seen_off[id] != 0, id == 0 ? "cpu 0 saw the other off" : "cpu 1 saw the other off");
  check(off_itself[id] == 0, "whoever runs is not off");
  __atomic_add_fetch(&finished, 1, __ATOMIC_RELEASE);
  if (id == 0) return;
  for (;;) sti_hlt();
}

static void clock_runs(void) {
  wrmsr(MSR_CLOCK, (uint64_t)&the_clock | 1);
  const uint64_t from = rdtsc(), ns_from = clock_ns();
  while (rdtsc() - from < 100 * tsc_per_ms) pause();
  const uint64_t tsc_us = (rdtsc() - from) * 1000 / tsc_per_ms, clock_us = (clock_ns() - ns_from) / 1000;
  check(clock_us >= tsc_us * 9 / 10 && clock_us <= tsc_us * 11 / 10, "KVM's clock goes like the TSC");
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  load_idt();
  enable_apic();
  calibrate();
  uint32_t last, b, c, d, features;
  cpuid(LEAF_SIGNATURE, 0, &last, &b, &c, &d);
  check(last == LEAF_FEATURES && b == 0x4b4d564b && c == 0x564b4d56 && d == 0x4d, "the hypervisor is KVM");
  cpuid(LEAF_FEATURES, 0, &features, &b, &c, &d);
  check((features >> FEATURE_STEAL & 1) != 0, "steal time is offered");
  if ((features >> FEATURE_CLOCK & 1) != 0) clock_runs();
  check(start_cpus(CPUS, work), "two processors start");
  check_equal(rdmsr(MSR_STEAL), 0, "steal time is off at first");
  work(0);
  check(wait_for(&finished, CPUS), "two processors finish");
  check_equal(rdmsr(MSR_STEAL), (uint64_t)&steals[0] | 1, "the MSR reads as it was written");
  end_guest();
}
