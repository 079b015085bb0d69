// Sending, and the handlers that count.
#include "events.h"

struct cpu cpus[CPUS];
volatile uint32_t sent[256][CPUS], got[256][CPUS];
volatile uint32_t nmi_busy[CPUS], nmi_sent[CPUS], nmi_got[CPUS];
volatile uint32_t broken;

static const char* volatile broken_what;
static volatile uint64_t broken_a, broken_b;

// Any context, NMI included: prints nothing.
void report(const char* what, uint64_t a, uint64_t b) {
  if (__atomic_exchange_n(&broken, 1, __ATOMIC_ACQ_REL) != 0) return;
  broken_a = a;
  broken_b = b;
  broken_what = what;
}

void print_report(void) {
  if (!broken) return;
  while (broken_what == 0) pause();
  print("FAILED events: %s (%x, %x)\n", broken_what, broken_a, broken_b);
  for (uint32_t id = 0; id < CPUS; ++id) {
    print("# processor %u: %s, %u events, class %x, in service %x\n", (uint64_t)id, cpus[id].doing,
          (uint64_t)cpus[id].events, (uint64_t)cpus[id].task_class, (uint64_t)cpus[id].service_class);
  }
}

// ---- Sending

// Two writes in xAPIC mode, which no handler may come between.
static void send_undisturbed(uint32_t destination, uint32_t low) {
  uint64_t flags;
  __asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
  send_ipi(destination, low | ICR_ASSERT);
  if (flags & 0x200) __asm__ volatile("sti" : : : "memory");
}

void wait_for_line(uint32_t vector, uint32_t receiver) {
  const uint64_t end = rdtsc() + 60000 * tsc_per_ms;
  while (!is_free(vector, receiver) && !broken) {
    if (rdtsc() > end) report("lost: an interrupt (vector, receiver)", vector, receiver);
    pause();
  }
}

static void count_sent(uint32_t vector, uint32_t receiver) {
  __atomic_add_fetch(&sent[vector][receiver], 1, __ATOMIC_RELEASE);
}

void send(uint32_t vector, uint32_t receiver) {
  wait_for_line(vector, receiver);
  if (broken) return;
  count_sent(vector, receiver);
  send_undisturbed(receiver, ICR_FIXED | vector);
}

void send_to_many(uint32_t vector, uint32_t shorthand) {
  const uint32_t id = this_cpu()->id;
  uint32_t meant = 0;
  for (uint32_t to = 0; to < CPUS; ++to) {
    if (shorthand == ICR_ALL || (shorthand == ICR_SELF) == (to == id)) meant |= 1u << to;
    if (meant >> to & 1) wait_for_line(vector, to);
  }
  if (broken) return;
  for (uint32_t to = 0; to < CPUS; ++to) {
    if (meant >> to & 1) count_sent(vector, to);
  }
  send_undisturbed(0, shorthand | vector);
}

int send_nmi(uint32_t receiver) {
  uint32_t idle = 0;
  if (!__atomic_compare_exchange_n(&nmi_busy[receiver], &idle, 1, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) return 0;
  __atomic_add_fetch(&nmi_sent[receiver], 1, __ATOMIC_RELEASE);
  send_undisturbed(receiver, ICR_NMI);
  return 1;
}

// ---- Receiving

__asm__(
    ".pushsection .text\n"
    ".globl halt_for_nmi, halt_for_nmi_listening\n"
    "nmi_halts:\n"
    "halt_for_nmi: cmp %esi, (%rdi)\n jne nmi_halted\n hlt\n jmp nmi_halted\n"
    "halt_for_nmi_listening: cmp %esi, (%rdi)\n jne nmi_halted\n sti\n hlt\n"
    "nmi_halted: ret\n"
    ".popsection\n");
extern uint8_t nmi_halts[], nmi_halted[];

// One instruction, so that an NMI in between does not count in vain.
static void count_event(struct cpu* cpu) { __asm__ volatile("incl %0" : "+m"(cpu->events)); }

static void on_nmi(struct frame* f) {
  struct cpu* const cpu = this_cpu();
  const uint32_t id = cpu->id;
  if (nmi_got[id] == __atomic_load_n(&nmi_sent[id], __ATOMIC_ACQUIRE)) report("made up: an NMI", id, f->rip);
  count_event(cpu);
  __atomic_add_fetch(&nmi_got[id], 1, __ATOMIC_RELEASE);
  __atomic_store_n(&nmi_busy[id], 0, __ATOMIC_RELEASE);
  if (f->rip >= (uint64_t)nmi_halts && f->rip < (uint64_t)nmi_halted) f->rip = (uint64_t)nmi_halted;
}

static void answer(uint32_t vector) {
  const uint32_t line = vector & 0xf0u, sender = vector & 0xfu;
  if (line == PING_LINE) send(PONG_LINE + this_cpu()->id, sender);
  if (line == ASK_LINE) send_nmi(sender);  // or another's is on its way, which is as good
}

// A handler's own interrupts: those of a higher class may come before its EOI, and no others.
static void let_others_in(struct cpu* cpu) {
  if (draw(&cpu->handler_random, 4) != 0) return;
  __asm__ volatile("sti; nop; pause; nop; cli" : : : "memory");
}

static void on_line(struct frame* f) {
  struct cpu* const cpu = this_cpu();
  const uint32_t vector = (uint32_t)f->vector, class = vector >> 4, before = cpu->service_class;
  if (got[vector][cpu->id] == __atomic_load_n(&sent[vector][cpu->id], __ATOMIC_ACQUIRE))
    report("made up or doubled: an interrupt (vector, receiver)", vector, cpu->id);
  if (class <= cpu->task_class) report("came below the task priority (vector, class)", vector, cpu->task_class);
  if (class <= before) report("came into a handler of its priority (vector, class)", vector, before);
  cpu->service_class = class;
  count_event(cpu);
  answer(vector);
  let_others_in(cpu);
  const int early = draw(&cpu->handler_random, 2) == 0;  // the next may be requested while this is in service
  if (early) __atomic_add_fetch(&got[vector][cpu->id], 1, __ATOMIC_RELEASE);
  cpu->service_class = before;
  apic_eoi();
  if (!early) __atomic_add_fetch(&got[vector][cpu->id], 1, __ATOMIC_RELEASE);
}

static void on_software(struct frame* f) {
  struct cpu* const cpu = this_cpu();
  (void)f;
  count_event(cpu);
  ++cpu->software;
}

static void on_fault(struct frame* f) {
  struct cpu* const cpu = this_cpu();
  if (cpu->fault_bytes == 0) report("made up: a fault (vector, RIP)", f->vector, f->rip);
  f->rip += cpu->fault_bytes;
  cpu->fault_bytes = 0;
  count_event(cpu);
  ++cpu->faults;
}

void set_handlers(void) {
  for (uint32_t vector = LOW_LINE; vector < 0xf0; ++vector) set_handler((uint8_t)vector, on_line);
  for (uint32_t vector = SOFTWARE_VECTOR; vector < SOFTWARE_VECTOR + 8; ++vector)
    set_handler((uint8_t)vector, on_software);
  set_handler(0, on_fault);
  set_handler(2, on_nmi);
  set_handler(13, on_fault);
}
