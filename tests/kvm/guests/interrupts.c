// What local APICs, IOAPIC and 8259s promise, checked from inside by four processors: IPIs in every mode and
// shorthand, priorities, NMI, timers, level-triggered interrupts, restart, x2APIC. Processors 1 to 3 wait in
// HLT for what the first one asks of them.
#include "interrupts.h"

volatile uint32_t got[CPUS][256];
static void (*volatile remote_work)(void);
static volatile uint32_t remote_done;

void count_interrupt(struct frame* f) {
  __atomic_add_fetch(&got[my_apic_id()][f->vector], 1, __ATOMIC_RELAXED);
  apic_eoi();
}

void count_nmi(struct frame* f) { __atomic_add_fetch(&got[my_apic_id()][f->vector], 1, __ATOMIC_RELAXED); }

static void do_remote_work(struct frame* f) {
  (void)f;
  remote_work();
  apic_eoi();
  __atomic_store_n(&remote_done, 1, __ATOMIC_RELEASE);
}

void on_cpu(uint32_t cpu, void (*work)(void)) {
  if (cpu == 0) return work();
  remote_work = work;
  remote_done = 0;
  send_ipi(cpu, ICR_FIXED | ICR_ASSERT | REMOTE_VECTOR);
  if (!wait_for(&remote_done, 1)) check(0, "a remote processor answers");
}

void on_all(void (*work)(void)) {
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) on_cpu(cpu, work);
}

void wait_in_halt(uint32_t id) {
  (void)id;
  for (;;) sti_hlt();
}

// Sends and looks which processors got the vector, each once. This processor takes interrupts meanwhile.
void expect_ipi(uint32_t destination, uint32_t low, uint8_t vector, uint32_t cpus, const char* name) {
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) got[cpu][vector] = 0;
  sti();
  send_ipi(destination, low | ICR_ASSERT | vector);
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) {
    if (cpus >> cpu & 1) wait_for(&got[cpu][vector], 1);
  }
  delay_us(300);  // for those that should not get it
  cli();
  uint32_t seen = 0;
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) seen |= (got[cpu][vector] & 0xf) << (4 * cpu);
  uint32_t wanted = 0;
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) wanted |= (cpus >> cpu & 1) << (4 * cpu);
  check_equal(seen, wanted, name);
}

static void use_flat_model(void) {
  apic_write(APIC_DFR, 0xffffffff);
  apic_write(APIC_LDR, 1u << (24 + my_apic_id()));
}

// Two clusters of two.
static void use_cluster_model(void) {
  const uint32_t id = my_apic_id();
  apic_write(APIC_DFR, 0x0fffffff);
  apic_write(APIC_LDR, (id / 2 << 4 | 1u << (id % 2)) << 24);
}

static void xapic_destinations(void) {
  expect_ipi(1, ICR_FIXED, 0x50, 1 << 1, "xapic physical 1");
  expect_ipi(3, ICR_FIXED, 0x50, 1 << 3, "xapic physical 3");
  expect_ipi(0, ICR_FIXED, 0x50, 1 << 0, "xapic physical, to itself");
  expect_ipi(9, ICR_FIXED, 0x50, 0, "xapic physical, nobody there");
  expect_ipi(0xff, ICR_FIXED, 0x51, 0xf, "xapic broadcast");
  expect_ipi(0, ICR_SELF, 0x52, 1, "shorthand self");
  expect_ipi(0, ICR_ALL, 0x53, 0xf, "shorthand all");
  expect_ipi(0, ICR_OTHERS, 0x54, 0xe, "shorthand others");
  on_all(use_flat_model);
  expect_ipi(0x05, ICR_LOGICAL, 0x55, 0x5, "logical flat, two of them");
  expect_ipi(0x08, ICR_LOGICAL, 0x56, 0x8, "logical flat, one of them");
  expect_ipi(0xff, ICR_LOGICAL, 0x57, 0xf, "logical flat, broadcast");
  on_all(use_cluster_model);
  expect_ipi(0x13, ICR_LOGICAL, 0x58, 0xc, "logical cluster, a whole cluster");
  expect_ipi(0x02, ICR_LOGICAL, 0x59, 0x2, "logical cluster, one member");
  expect_ipi(0x23, ICR_LOGICAL, 0x5a, 0x0, "logical cluster, none there");
  on_all(use_flat_model);
}

static void raise_tpr(void) { apic_write(APIC_TPR, 0xf0 - 0x10 * my_apic_id()); }
static void clear_tpr(void) { apic_write(APIC_TPR, 0); }

// One of processors 1 to 3, whichever.
void expect_one(uint32_t destination, uint32_t low, uint8_t vector, const char* name) {
  for (uint32_t cpu = 0; cpu < CPUS; ++cpu) got[cpu][vector] = 0;
  send_ipi(destination, low | ICR_ASSERT | vector);
  const uint64_t end = rdtsc() + 10000 * tsc_per_ms;
  while (got[1][vector] + got[2][vector] + got[3][vector] == 0 && rdtsc() < end) pause();
  delay_us(1000);
  check_equal(got[1][vector] + got[2][vector] + got[3][vector], 1, name);
}

// The lowest priority wins; processors with a raised one still take what is above it.
static void lowest_priority(void) {
  expect_one(0x0e, ICR_LOWEST | ICR_LOGICAL, 0x60, "lowest priority reaches exactly one");
  on_cpu(1, raise_tpr);
  on_cpu(2, raise_tpr);
  expect_ipi(0x0e, ICR_LOWEST | ICR_LOGICAL, 0x61, 1 << 3, "lowest priority prefers an idle processor");
  // The work vector's class is above theirs.
  on_cpu(1, clear_tpr);
  on_cpu(2, clear_tpr);
}

static volatile uint32_t released, remote_started;
static void disabled_until_released(void) {
  apic_write(APIC_SVR, 0xff);
  remote_started = 1;
  while (!released) pause();
  enable_apic();
}
static void deaf_until_released(void) {
  remote_started = 1;
  while (!released) pause();
}
static void halt_with_interrupts_off(void) {
  remote_started = 1;
  __asm__ volatile("cli; hlt" : : : "memory");
}

// Starts work that ends with release().
static void begin_on(uint32_t cpu, void (*work)(void)) {
  released = remote_started = remote_done = 0;
  remote_work = work;
  send_ipi(cpu, ICR_FIXED | ICR_ASSERT | REMOTE_VECTOR);
  wait_for(&remote_started, 1);
}
static void release(void) {
  released = 1;
  wait_for(&remote_done, 1);
}

static void nmis(void) {
  expect_ipi(2, ICR_NMI, 2, 1 << 2, "NMI physical");
  expect_ipi(0, ICR_NMI | ICR_OTHERS, 2, 0xe, "NMI to the others");
  expect_ipi(0x0a, ICR_NMI | ICR_LOGICAL, 2, 0xa, "NMI logical");
  got[1][2] = 0;
  begin_on(1, deaf_until_released);  // its handler runs with interrupts off
  send_ipi(1, ICR_NMI | ICR_ASSERT);
  check(wait_for(&got[1][2], 1), "NMI comes through with interrupts off");
  release();
  begin_on(1, halt_with_interrupts_off);
  const uint64_t end = rdtsc() + 10000 * tsc_per_ms;
  while (!remote_done && rdtsc() < end) {  // one that comes before its HLT wakes nobody
    send_ipi(1, ICR_NMI | ICR_ASSERT);
    delay_us(1000);
  }
  check(remote_done, "NMI wakes out of HLT with interrupts off");
}

void software_disable(void) {
  begin_on(2, disabled_until_released);
  got[2][0x50] = got[2][2] = 0;
  send_ipi(2, ICR_FIXED | ICR_ASSERT | 0x50);
  send_ipi(2, ICR_NMI | ICR_ASSERT);
  check(wait_for(&got[2][2], 1), "a software-disabled APIC takes an NMI");
  release();
  delay_us(1000);
  check_equal(got[2][0x50], 0, "but no fixed interrupt");
}

static volatile uint32_t arrived;
static void note_arrival(uint32_t id) {
  apic_write(APIC_LDR, 1u << (24 + id));
  __atomic_add_fetch(&arrived, 1, __ATOMIC_RELEASE);
  wait_in_halt(id);
}
static void note_x2apic_arrival(uint32_t id) {
  __atomic_add_fetch(&arrived, 1, __ATOMIC_RELEASE);
  wait_in_halt(id);
}

void restart_third(void (*work)(uint32_t id)) {
  const uint32_t before = cpus_arrived;
  send_ipi(3, ICR_INIT | ICR_LEVEL | ICR_ASSERT);
  send_ipi(3, ICR_INIT | ICR_LEVEL);  // the de-assert does nothing
  expect_ipi(3, ICR_FIXED, 0x50, 0, "after INIT no interrupt is taken");
  check_equal(cpus_arrived, before, "after INIT nothing runs");
  arrived = 0;
  check(start_again(3, work), "SIPI starts it again");
  check(wait_for(&arrived, 1), "it runs from the beginning");
  expect_ipi(3, ICR_FIXED, 0x50, 1 << 3, "it takes interrupts again");
}

// Wakes each other out of HLT.
static volatile uint32_t ping, pong;
static void on_ping(struct frame* f) {
  (void)f;
  apic_eoi();
  ++pong;
  send_ipi(0, ICR_FIXED | ICR_ASSERT | 0x71);
}
static void on_pong(struct frame* f) {
  (void)f;
  apic_eoi();
  ++ping;
}

static void halts(void) {
  set_handler(0x70, on_ping);
  set_handler(0x71, on_pong);
  const uint32_t rounds = 100;
  for (uint32_t i = 0; i < rounds; ++i) {
    send_ipi(2, ICR_FIXED | ICR_ASSERT | 0x70);
    while (ping <= i) sti_hlt();
  }
  check_equal(ping, rounds, "HLT wake-ups, none lost");
  check_equal(pong, rounds, "HLT wake-ups, none made up");
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  for (uint32_t v = 0x30; v < 0xf0; ++v) set_handler((uint8_t)v, count_interrupt);
  set_handler(2, count_nmi);
  set_handler(REMOTE_VECTOR, do_remote_work);
  load_idt();
  enable_apic();
  calibrate();
  if (!start_cpus(CPUS, wait_in_halt)) check(0, "all processors started");
  delay_us(500);
  xapic_destinations();
  lowest_priority();
  nmis();
  halts();
  priorities();
  timers();
  errors();
  external_interrupts();
  restart_third(note_arrival);
  x2apic(note_x2apic_arrival);
  end_guest();
}
