// Priorities, timers and errors of one processor's local APIC.
#include "interrupts.h"

static volatile uint8_t order[8];
static volatile uint32_t taken;

static void note_order(struct frame* f) {
  if (taken < sizeof(order)) order[taken] = (uint8_t)f->vector;
  ++taken;
  apic_eoi();
}

// Interrupted by what has a higher class only.
static void nested(struct frame* f) {
  check(apic_bit(APIC_ISR, 0x65), "in service while its handler runs");
  check_equal(apic_read(APIC_PPR), 0x60, "PPR is the class in service");
  send_ipi(0, ICR_SELF | 0x45);
  send_ipi(0, ICR_SELF | 0x67);
  send_ipi(0, ICR_SELF | 0x75);
  take_until(&taken, 1);
  open_window();
  check_equal(taken, 1, "a handler is interrupted by a higher class only");
  check_equal(order[0], 0x75, "namely by this one");
  note_order(f);
}

static void self(uint8_t vector) { send_ipi(0, ICR_SELF | vector); }

static void order_of_service(void) {
  taken = 0;
  self(0x51);
  self(0x71);
  self(0x61);
  check(apic_bit(APIC_IRR, 0x61), "requested while interrupts are off");
  take_until(&taken, 3);
  check_equal(taken, 3, "three were waiting");
  check_equal(order[0] << 16 | order[1] << 8 | order[2], 0x716151, "the highest vector first");
  taken = 0;
  self(0x65);
  take_until(&taken, 4);
  check_equal(order[1] << 16 | order[2] << 8 | order[3], 0x656745,
              "then the one itself, then the lower ones");
}

static void task_priority(void) {
  taken = 0;
  apic_write(APIC_TPR, 0x50);
  self(0x5f);
  self(0x61);
  take_until(&taken, 1);
  open_window();
  check_equal(taken, 1, "TPR holds back its class and those below");
  check_equal(order[0], 0x61, "TPR lets higher classes through");
  apic_write(APIC_TPR, 0);
  take_until(&taken, 2);
  check_equal(taken, 2, "lowered, the rest comes");
  taken = 0;
  write_cr8(6);
  check_equal(apic_read(APIC_TPR), 0x60, "CR8 is the TPR's class");
  self(0x61);
  open_window();
  check_equal(taken, 0, "CR8 holds back");
  write_cr8(0);
  inb(0x80);  // where CPL 0 is emulated, KVM does not tell that CR8 fell, only the next exit does
  take_until(&taken, 1);
  check_equal(taken, 1, "CR8 lowered lets through");
  apic_write(APIC_TPR, 0x20);
  check_equal(read_cr8(), 2, "CR8 shows the TPR");
  apic_write(APIC_TPR, 0);
}

void priorities(void) {
  for (uint32_t v = 0x40; v < 0x80; ++v) set_handler((uint8_t)v, note_order);
  set_handler(0x65, nested);
  order_of_service();
  task_priority();
  for (uint32_t v = 0x40; v < 0x80; ++v) set_handler((uint8_t)v, count_interrupt);
}

// ---- Timer

#define TIMER_VECTOR 0x80
#define PERIODIC (1u << 17)
#define TSC_DEADLINE (2u << 17)
#define MASKED (1u << 16)

static volatile uint64_t fired_at;
static void on_timer(struct frame* f) {
  fired_at = rdtsc();
  count_interrupt(f);
}

static uint32_t current_count(void) { return apic_read(APIC_CURRENT); }

static uint32_t count_per_ms(void) {
  apic_write(APIC_LVT_TIMER, MASKED);
  apic_write(APIC_DIVIDE, 0xb);  // by 1
  apic_write(APIC_INITIAL, 0xffffffff);
  const struct reading first = read_beside_tsc(current_count);
  delay_us(5000);
  const struct reading last = read_beside_tsc(current_count);
  apic_write(APIC_INITIAL, 0);
  return (uint32_t)((first.count - last.count) * tsc_per_ms / (last.tsc - first.tsc));
}

static void sleep_until_fired(uint32_t times) {
  while (got[0][TIMER_VECTOR] < times) sti_hlt();
}

static void one_shot(uint32_t per_ms) {
  got[0][TIMER_VECTOR] = 0;
  apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
  const uint64_t start = rdtsc();
  apic_write(APIC_INITIAL, 2 * per_ms);
  sleep_until_fired(1);
  check(fired_at - start >= 2 * tsc_per_ms * 9 / 10, "one-shot timer: not early");
  check_equal(apic_read(APIC_CURRENT), 0, "one-shot timer: stops at zero");
  apic_write(APIC_DIVIDE, 0x3);  // by 16
  const uint64_t divided = rdtsc();
  apic_write(APIC_INITIAL, per_ms / 8);
  sleep_until_fired(2);
  check(fired_at - divided >= 2 * tsc_per_ms * 9 / 10, "one-shot timer: divided by 16");
  sti();
  delay_us(3000);
  cli();
  check_equal(got[0][TIMER_VECTOR], 2, "one-shot timer: once each");
  apic_write(APIC_DIVIDE, 0xb);
}

static void periodic(uint32_t per_ms) {
  got[0][TIMER_VECTOR] = 0;
  apic_write(APIC_LVT_TIMER, PERIODIC | TIMER_VECTOR);
  const uint64_t start = rdtsc();
  apic_write(APIC_INITIAL, 2 * per_ms);
  sleep_until_fired(5);
  check(rdtsc() - start >= 8 * tsc_per_ms, "periodic timer: goes on, not too fast");
  check(apic_read(APIC_CURRENT) <= 2 * per_ms, "periodic timer: counts from the initial count");
  apic_write(APIC_LVT_TIMER, MASKED | PERIODIC | TIMER_VECTOR);
  open_window();
  const uint32_t before = got[0][TIMER_VECTOR];
  sti();
  delay_us(5000);
  cli();
  check_equal(got[0][TIMER_VECTOR], before, "periodic timer: silent while masked");
  apic_write(APIC_INITIAL, 0);
}

// Sets a deadline and takes it back before it comes, which takes another try if the host was elsewhere
// meanwhile.
static void disarm_in_time(void) {
  uint64_t at;
  do {
    open_window();  // for what the last try may have left
    at = rdtsc() + 5 * tsc_per_ms;
    wrmsr(0x6e0, at);
    wrmsr(0x6e0, 0);
  } while (rdtsc() >= at);
}

static void deadline(void) {
  got[0][TIMER_VECTOR] = 0;
  apic_write(APIC_LVT_TIMER, TSC_DEADLINE | TIMER_VECTOR);
  const uint64_t far = rdtsc() + 1000000 * tsc_per_ms;
  wrmsr(0x6e0, far);
  check_equal(rdmsr(0x6e0), far, "TSC deadline: reads back");
  const uint64_t at = rdtsc() + 2 * tsc_per_ms;
  wrmsr(0x6e0, at);
  sleep_until_fired(1);
  check(fired_at >= at, "TSC deadline: not early");
  check_equal(rdmsr(0x6e0), 0, "TSC deadline: disarmed once fired");
  wrmsr(0x6e0, 1);
  sti();
  check(wait_for(&got[0][TIMER_VECTOR], 2), "TSC deadline: in the past fires at once");
  cli();
  disarm_in_time();
  const uint32_t before = got[0][TIMER_VECTOR];
  sti();
  delay_us(8000);
  cli();
  check_equal(got[0][TIMER_VECTOR], before, "TSC deadline: zero disarms");
  apic_write(APIC_LVT_TIMER, MASKED);
}

void timers(void) {
  set_handler(TIMER_VECTOR, on_timer);
  const uint32_t per_ms = count_per_ms();
  check(per_ms > 1000, "the timer counts");
  one_shot(per_ms);
  periodic(per_ms);
  deadline();
}

// ---- Errors and software disable

static uint32_t error_status(void) {
  apic_write(APIC_ESR, 0);
  return apic_read(APIC_ESR);
}

static void disable_apic(void) { apic_write(APIC_SVR, 0xff); }

// A request that a raised TPR takes back from the processor may leave it with the spurious vector: not in
// service, and without EOI. An interrupt that happens to have the same vector is like any other.
static volatile uint32_t spurious, spurious_in_service;
static void on_spurious(struct frame* f) {
  ++spurious;
  spurious_in_service += (uint32_t)apic_bit(APIC_ISR, (uint8_t)f->vector);
}
static void on_ordinary(struct frame* f) {
  on_spurious(f);
  apic_eoi();
}

static void spurious_vector(void) {
  set_handler(0x41, count_interrupt);
  set_handler(0xee, on_spurious);
  apic_write(APIC_SVR, 0x1ee);
  check_equal(apic_read(APIC_SVR), 0x1ee, "the spurious vector reads back");
  got[0][0x41] = 0;
  for (int i = 0; i < 20; ++i) {
    self(0x41);
    apic_write(APIC_TPR, 0x40);
    sti();
    inb(0x80);
    cli();
    check_quietly(got[0][0x41] == (uint32_t)i, "spurious: TPR takes a request back");
    apic_write(APIC_TPR, 0);
    take_until(&got[0][0x41], (uint32_t)i + 1);
  }
  check_equal(got[0][0x41], 20, "spurious: requests that TPR took back come when it falls");
  check(spurious <= 20 && spurious_in_service == 0, "spurious: at most one each, none in service");
  set_handler(0xee, on_ordinary);
  spurious = 0;
  self(0xee);
  take_until(&spurious, 1);
  check_equal(spurious_in_service, 1, "spurious: an interrupt of this vector is in service like any other");
  check(!apic_bit(APIC_ISR, 0xee), "spurious: and ends with its EOI");
  set_handler(0xee, count_interrupt);
  enable_apic();
}

void errors(void) {
  set_handler(0x90, count_interrupt);
  got[0][0x90] = 0;
  apic_write(APIC_LVT_ERROR, 0x90);
  error_status();
  send_ipi(0, ICR_SELF | 0x05);
  check((error_status() & 0x20) != 0, "ESR: a vector below 16 was sent");
  sti();
  check(wait_for(&got[0][0x90], 1), "ESR: the error interrupt came");
  cli();
  check_equal(error_status(), 0, "ESR: rearmed by writing");
  apic_write(APIC_LVT_ERROR, MASKED);
  software_disable();
  apic_write(APIC_LVT_TIMER, 0x80);
  disable_apic();
  check((apic_read(APIC_LVT_TIMER) & MASKED) != 0, "software disable masks the LVT");
  apic_write(APIC_LVT_TIMER, 0x80);
  check((apic_read(APIC_LVT_TIMER) & MASKED) != 0, "and keeps it masked");
  enable_apic();
  spurious_vector();
}
