// Eight processors check each other: barriers, a contended lock, a shootdown that all must acknowledge,
// interrupts from everyone to everyone, wake-ups out of HLT, timers in parallel. The lines it prints do not
// depend on how its processors are scheduled.
#include "guest.h"

#define CPUS 8
#define ROUNDS 3
#define ALL_VECTOR 0x50
#define SHOOT_VECTOR 0x60
#define WAKE_VECTOR 0x70
#define TIMER_VECTOR 0x80

static volatile uint32_t at_barrier, barrier_round;
static volatile uint32_t lock_word, locked_total, unlocked_total;
static volatile uint32_t received[CPUS], shot[CPUS], woken[CPUS], timed[CPUS];
static volatile uint32_t page_version, seen_version[CPUS];
static volatile uint32_t finished;

// Spins with interrupts on, so that it can be shot at meanwhile.
static void barrier(void) {
  const uint32_t round = barrier_round;
  if (__atomic_add_fetch(&at_barrier, 1, __ATOMIC_ACQ_REL) == CPUS) {
    at_barrier = 0;
    __atomic_store_n(&barrier_round, round + 1, __ATOMIC_RELEASE);
    return;
  }
  sti();
  while (__atomic_load_n(&barrier_round, __ATOMIC_ACQUIRE) == round) pause();
  cli();
}

static void on_all(struct frame* f) {
  (void)f;
  __atomic_add_fetch(&received[my_apic_id()], 1, __ATOMIC_RELAXED);
  apic_eoi();
}

static void on_shot(struct frame* f) {
  (void)f;
  const uint32_t id = my_apic_id();
  seen_version[id] = page_version;
  __atomic_add_fetch(&shot[id], 1, __ATOMIC_RELEASE);
  apic_eoi();
}

static void on_wake(struct frame* f) {
  (void)f;
  __atomic_add_fetch(&woken[my_apic_id()], 1, __ATOMIC_RELEASE);
  apic_eoi();
}

static void on_timer(struct frame* f) {
  (void)f;
  __atomic_add_fetch(&timed[my_apic_id()], 1, __ATOMIC_RELEASE);
  apic_eoi();
}

static void locks(void) {
  for (int i = 0; i < 40; ++i) {
    while (__atomic_exchange_n(&lock_word, 1, __ATOMIC_ACQUIRE) != 0) pause();
    locked_total = locked_total + 1;  // not atomic: the lock must do
    __atomic_store_n(&lock_word, 0, __ATOMIC_RELEASE);
    __atomic_add_fetch(&unlocked_total, 1, __ATOMIC_RELAXED);
  }
}

// One after the other invalidates something at all others and waits until each has seen it.
static void shootdowns(uint32_t id) {
  for (uint32_t turn = 0; turn < CPUS; ++turn) {
    if (turn == id) {
      uint32_t before[CPUS];
      for (uint32_t cpu = 0; cpu < CPUS; ++cpu) before[cpu] = shot[cpu];
      page_version = page_version + 1;
      send_ipi(0, ICR_OTHERS | ICR_ASSERT | SHOOT_VECTOR);
      for (uint32_t cpu = 0; cpu < CPUS; ++cpu) {
        while (cpu != id && shot[cpu] == before[cpu]) pause();
        if (cpu != id && seen_version[cpu] != page_version)
          __atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED);
      }
    }
    barrier();
  }
}

static void everyone_to_everyone(void) {
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) {
    send_ipi(cpu, ICR_ASSERT | (ALL_VECTOR + my_apic_id()));
  }
}

// A ring: each wakes the next out of HLT, which wakes the one behind it.
static void wake_ring(uint32_t id) {
  for (uint32_t round = 1; round <= ROUNDS; ++round) {
    if (id == 0) send_ipi(1, ICR_ASSERT | WAKE_VECTOR);
    while (woken[id] < round) sti_hlt();
    if (id != 0) send_ipi((id + 1) % CPUS, ICR_ASSERT | WAKE_VECTOR);
  }
}

static void sleep(uint32_t id) {
  apic_write(APIC_DIVIDE, 0xb);
  apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
  for (uint32_t i = 1; i <= 3; ++i) {
    apic_write(APIC_INITIAL, 1000000);
    while (timed[id] < i) sti_hlt();
  }
}

static void work(uint32_t id) {
  barrier();
  for (int round = 0; round < ROUNDS; ++round) {
    locks();
    barrier();
  }
  shootdowns(id);
  everyone_to_everyone();
  barrier();
  take_until(&received[id], CPUS);
  barrier();
  wake_ring(id);
  barrier();
  sleep(id);
  barrier();
  __atomic_add_fetch(&finished, 1, __ATOMIC_RELEASE);
  if (id == 0) return;
  for (;;) sti_hlt();
}

static void verdict(volatile uint32_t* counts, uint32_t wanted, const char* name) {
  uint32_t good = 0;
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) good += counts[cpu] == wanted;
  check_equal(good, CPUS, name);
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) set_handler((uint8_t)(ALL_VECTOR + cpu), on_all);
  set_handler(SHOOT_VECTOR, on_shot);
  set_handler(WAKE_VECTOR, on_wake);
  set_handler(TIMER_VECTOR, on_timer);
  load_idt();
  enable_apic();
  calibrate();
  check_equal(cpus_in_madt(), CPUS, "eight processors in the tables");
  check(start_cpus(CPUS, work), "eight processors start");
  work(0);
  check(wait_for(&finished, CPUS), "eight processors finish");
  check_equal(locked_total, 40 * ROUNDS * CPUS, "the lock excludes");
  check_equal(unlocked_total, locked_total, "atomic adds add");
  verdict(shot, CPUS - 1, "every shootdown reached everyone once");
  check_equal(page_version, CPUS, "every shootdown was seen before it ended");
  verdict(received, CPUS, "an interrupt from everyone to everyone");
  verdict(woken, ROUNDS, "wake-ups out of HLT, none lost, none made up");
  verdict(timed, 3, "timers of all processors");
  end_guest();
}
