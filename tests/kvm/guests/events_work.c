// What a processor of the image `events` does, one thing at a time, each begun and ended with interrupts on.
#include "events.h"

#define TSC_DEADLINE (2u << 17)
#define NOBODYS_PORT 0x3e0       // reads as ones
#define NOBODYS_PAGE 0xfea00000  // …
#define ZERO_REGISTER 0xfec00000  // the IOAPIC's index: nobody writes it

static volatile uint32_t nmi_sleeper;  // one at a time, or all might wait for each other

static void spin(struct cpu* cpu) {
  for (uint32_t i = pick(cpu, 200); i > 0; --i) pause();
}

static void send_fixed(struct cpu* cpu) {
  const uint32_t lines[] = {LOW_LINE, MIDDLE_LINE, HIGH_LINE};
  send(lines[pick(cpu, 3)] + cpu->id, pick(cpu, CPUS));
}

static void send_shorthand(struct cpu* cpu) {
  switch (pick(cpu, 4)) {
    case 0:
      return send_to_many(ALL_LINE + cpu->id, ICR_ALL);
    case 1:
      return send_to_many(OTHERS_LINE + cpu->id, ICR_OTHERS);
    default:
      return send_to_many(SELF_LINE + cpu->id, ICR_SELF);
  }
}

// Sleeps until the line has carried what was sent.
static void halt_until(struct cpu* cpu, uint32_t vector, uint32_t wanted) {
  cli();
  while (got[vector][cpu->id] != wanted && !broken) {
    ++cpu->halts;
    sti_hlt();
  }
  sti();
}

static void ping(struct cpu* cpu) {
  const uint32_t other = (cpu->id + 1 + pick(cpu, CPUS - 1)) % CPUS;
  const uint32_t wanted = got[PONG_LINE + other][cpu->id] + 1;
  send(PING_LINE + cpu->id, other);
  halt_until(cpu, PONG_LINE + other, wanted);
}

static int has_deadlines(void) {
  uint32_t a, b, c, d;
  cpuid(1, 0, &a, &b, &c, &d);
  return (c >> 24 & 1) != 0;
}

// A few to some hundred microseconds from now, or at once.
static void arm_timer(struct cpu* cpu) {
  const uint32_t vector = TIMER_LINE + cpu->id;
  if (!is_free(vector, cpu->id)) return;
  const uint32_t us = pick(cpu, 4) == 0 ? 0 : pick(cpu, 300);
  const int deadline = pick(cpu, 2) == 0 && has_deadlines();
  apic_write(APIC_LVT_TIMER, vector | (deadline ? TSC_DEADLINE : 0));
  __atomic_add_fetch(&sent[vector][cpu->id], 1, __ATOMIC_RELEASE);
  if (deadline) {
    wrmsr(0x6e0, rdtsc() + us * tsc_per_ms / 1000);
  } else {
    apic_write(APIC_INITIAL, 1 + us * 1000);
  }
}

static void sleep_for_timer(struct cpu* cpu) {
  arm_timer(cpu);
  const uint32_t vector = TIMER_LINE + cpu->id;
  halt_until(cpu, vector, sent[vector][cpu->id]);
}

static void sleep_for_nmi(struct cpu* cpu) {
  if (__atomic_exchange_n(&nmi_sleeper, 1, __ATOMIC_ACQUIRE) != 0) return;
  volatile uint32_t* const count = &nmi_got[cpu->id];
  const uint32_t seen = *count;
  const int deaf = pick(cpu, 2) == 0;
  send(ASK_LINE + cpu->id, (cpu->id + 1 + pick(cpu, CPUS - 1)) % CPUS);
  cli();
  while (*count == seen && !broken) {
    ++cpu->halts;
    deaf ? halt_for_nmi(count, seen) : halt_for_nmi_listening(count, seen);
    cli();
  }
  sti();
  __atomic_store_n(&nmi_sleeper, 0, __ATOMIC_RELEASE);
}

static void use_ports(struct cpu* cpu) {
  uint8_t bytes[16];
  ++cpu->ports;
  if (pick(cpu, 2) == 0) {
    outb(0x80, 0);
    if (inb(NOBODYS_PORT) != 0xff) report("a port reads wrong", 0, 0);
    return;
  }
  uint8_t* to = bytes;
  uint64_t left = sizeof(bytes);
  for (uint32_t i = 0; i < sizeof(bytes); ++i) bytes[i] = 0;
  __asm__ volatile("rep insb" : "+D"(to), "+c"(left) : "d"((uint16_t)NOBODYS_PORT) : "memory");
  for (uint32_t i = 0; i < sizeof(bytes); ++i) {
    if (bytes[i] != 0xff) report("a string of a port reads wrong (byte, value)", i, bytes[i]);
  }
}

static void use_mmio(struct cpu* cpu) {
  volatile uint64_t* const nobody = (volatile uint64_t*)(uint64_t)NOBODYS_PAGE;
  uint64_t value;
  ++cpu->mmio;
  switch (pick(cpu, 3)) {
    case 0:
      *nobody = 1;
      value = *nobody;
      break;
    case 1:
      __asm__ volatile("pushq (%1); popq %0" : "=r"(value) : "r"(nobody) : "memory");
      break;
    default:
      if (apic_read(APIC_VERSION) == 0) report("the APIC's version reads as 0", 0, 0);
      return;
  }
  if (value != ~0ull) report("an address of nobody's reads wrong", value, 0);
}

// An instruction that an exit interrupts and that faults when it is gone on with: a divisor read from a device,
// a value that an MSR does not take.
static void fault(struct cpu* cpu) {
  const uint32_t before = cpu->faults;
  cpu->fault_bytes = 2;
  if (pick(cpu, 2) == 0) {
    __asm__ volatile("divl (%0)" : : "b"((uint64_t)ZERO_REGISTER), "a"(1), "d"(0) : "memory", "cc");
  } else {
    wrmsr(0x1b, rdmsr(0x1b) | 1);
  }
  if (cpu->faults != before + 1) report("lost: a fault", cpu->faults, before);
}

#define SOFTWARE(n) __asm__ volatile("int %0" : : "i"(SOFTWARE_VECTOR + n) : "memory")
static void software(struct cpu* cpu) {
  const uint32_t before = cpu->software;
  switch (pick(cpu, 4)) {
    case 0:
      SOFTWARE(0);
      break;
    case 1:
      cli();
      SOFTWARE(3);
      sti();
      break;
    case 2:
      SOFTWARE(5);
      break;
    default:
      SOFTWARE(7);
      break;
  }
  if (cpu->software != before + 1) report("lost or doubled: INT n", cpu->software, before);
}

// What is sent meanwhile waits if its class is not above.
static void raise_priority(struct cpu* cpu) {
  const uint32_t class = 1 + pick(cpu, 14);
  wait_for_line(SELF_LINE + cpu->id, cpu->id);  // once CR8 is up, the last may not come
  write_cr8(class);
  cpu->task_class = class;
  send_to_many(SELF_LINE + cpu->id, ICR_SELF);
  spin(cpu);
  cpu->task_class = 0;
  write_cr8(0);
  inb(0x80);  // where CPL 0 is emulated, KVM does not tell that CR8 fell, only the next exit does
}

static void stay_closed(struct cpu* cpu) {
  cli();
  if (pick(cpu, 2) == 0) use_ports(cpu);
  spin(cpu);
  sti();
}

void work_once(struct cpu* cpu) {
  static const struct {
    void (*work)(struct cpu*);
    const char* name;
  } kinds[] = {{send_fixed, "sends"},
               {send_fixed, "sends"},
               {send_shorthand, "sends by shorthand"},
               {ping, "sleeps for a pong"},
               {ping, "sleeps for a pong"},
               {arm_timer, "arms its timer"},
               {sleep_for_timer, "sleeps for its timer"},
               {sleep_for_nmi, "sleeps for an NMI"},
               {use_ports, "uses ports"},
               {use_mmio, "uses MMIO"},
               {fault, "faults"},
               {software, "INT n"},
               {raise_priority, "raises CR8"},
               {stay_closed, "keeps interrupts off"},
               {spin, "spins"}};
  const uint32_t count = sizeof(kinds) / sizeof(kinds[0]);
  const uint32_t kind = pick(cpu, count + 2);
  if (kind >= count) {
    cpu->doing = "sends an NMI";
    send_nmi(pick(cpu, CPUS));
    return;
  }
  cpu->doing = kinds[kind].name;
  kinds[kind].work(cpu);
}
