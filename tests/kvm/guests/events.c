// Four processors send each other everything that interrupts, in an order that a seed decides, and count: what
// was sent is what came. `events=N seed=N x2apic` on the command line.
#include "events.h"

#define GS_BASE 0xc0000101

static uint32_t wanted_events = 10000;
static uint64_t seed = 1;
static int in_x2apic;
static volatile uint32_t ready, finished, arrived, ended;

static int is_word(const char* at, const char* word) {
  while (*word != 0) {
    if (*at++ != *word++) return 0;
  }
  return 1;
}

static uint64_t number_at(const char* at) {
  uint64_t value = 0;
  for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + (uint64_t)(*at - '0');
  return value;
}

static void read_command_line(const struct multiboot_info* info) {
  if ((info->flags & 4) == 0) return;
  for (const char* at = (const char*)(uint64_t)info->cmdline; *at != 0; ++at) {
    if (is_word(at, "events=")) wanted_events = (uint32_t)number_at(at + 7);
    if (is_word(at, "seed=")) seed = number_at(at + 5);
    if (is_word(at, "x2apic")) in_x2apic = 1;
  }
}

// With interrupts on: the others may still want an answer.
static void wait_for_all(volatile uint32_t* count) {
  const uint64_t end = rdtsc() + 60000 * tsc_per_ms;
  __atomic_add_fetch(count, 1, __ATOMIC_ACQ_REL);
  while (*count < CPUS && !broken) {
    if (rdtsc() > end) report("a processor does not finish (how many have)", *count, CPUS);
    pause();
  }
}

// What is still on its way, and time for what should not come. An interrupt may have an NMI sent.
static void drain(struct cpu* cpu) {
  cpu->doing = "waits for what is on its way";
  const uint64_t end = rdtsc() + 60000 * tsc_per_ms;
  for (uint32_t vector = LOW_LINE; vector < 0xf0; ++vector) {
    while (!is_free(vector, cpu->id) && !broken) {
      if (rdtsc() > end) report("lost: an interrupt (vector, receiver)", vector, cpu->id);
      pause();
    }
  }
  wait_for_all(&arrived);
  while (nmi_got[cpu->id] != nmi_sent[cpu->id] && !broken) {
    if (rdtsc() > end) report("lost: an NMI (receiver)", cpu->id, 0);
    pause();
  }
  delay_us(2000);
}

static void work(uint32_t id) {
  struct cpu* const cpu = &cpus[id];
  cpu->self = cpu;
  cpu->id = id;
  cpu->random = (seed + id + 1) * 0x9e3779b97f4a7c15;
  cpu->handler_random = ~cpu->random;
  wrmsr(GS_BASE, (uint64_t)cpu);
  if (in_x2apic) enter_x2apic();
  apic_write(APIC_DIVIDE, 0xb);  // by 1
  cpu->doing = "begins";
  sti();
  wait_for_all(&ready);
  while (cpu->events < wanted_events / CPUS && !broken) work_once(cpu);
  cpu->doing = "has finished";
  wait_for_all(&finished);
  drain(cpu);
  wait_for_all(&ended);
  cli();
  if (id == 0) return;
  for (;;) __asm__ volatile("hlt" : : : "memory");
}

static uint64_t sum_of(volatile uint32_t (*counts)[CPUS], uint32_t line) {
  uint64_t sum = 0;
  for (uint32_t vector = line; vector < line + 0x10; ++vector) {
    for (uint32_t id = 0; id < CPUS; ++id) sum += counts[vector][id];
  }
  return sum;
}

#define SUM(field) ((uint64_t)cpus[0].field + cpus[1].field + cpus[2].field + cpus[3].field)
#define ALL_NMIS(counts) ((uint64_t)counts[0] + counts[1] + counts[2] + counts[3])

static void verdict(void) {
  static const struct {
    uint32_t line;
    const char* name;
  } lines[] = {{LOW_LINE, "IPIs, low"},   {MIDDLE_LINE, "IPIs, middle"}, {HIGH_LINE, "IPIs, high"},
               {ALL_LINE, "IPIs to all"}, {OTHERS_LINE, "IPIs to others"}, {SELF_LINE, "IPIs to self"},
               {PING_LINE, "pings"},      {PONG_LINE, "pongs"},          {ASK_LINE, "requests for NMIs"},
               {TIMER_LINE, "timers"}};
  for (uint32_t i = 0; i < sizeof(lines) / sizeof(lines[0]); ++i) {
    const uint64_t came = sum_of(got, lines[i].line);
    print("# %u %s\n", came, lines[i].name);
    check_equal(came, sum_of(sent, lines[i].line), lines[i].name);
  }
  print("# %u NMIs, %u INT n, %u faults\n", ALL_NMIS(nmi_got), SUM(software), SUM(faults));
  check_equal(ALL_NMIS(nmi_got), ALL_NMIS(nmi_sent), "NMIs");
  print("# %u HLT, %u uses of ports, %u of MMIO\n", SUM(halts), SUM(ports), SUM(mmio));
  print("# %u events, seed %u\n", SUM(events), seed);
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  read_command_line(info);
  set_handlers();
  load_idt();
  enable_apic();
  calibrate();
  if (!start_cpus(CPUS, work)) report("processors do not start", cpus_arrived, CPUS);
  work(0);
  print_report();
  if (broken) debug_exit(1);
  verdict();
  check(1, "events: the end");
  end_guest();
}
