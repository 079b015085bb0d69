// Interrupt lines from inside, with local APICs of kvmux or of KVM: the PIT's rate through the IOAPIC,
// level-triggered lines masked while they are served, messages that nobody accepts, and NMIs to a processor
// that waits for its SIPI. Two processors.
#include "guest.h"

#define LEVEL (1u << 15)
#define REMOTE_IRR (1u << 14)
#define SEND_PENDING (1u << 12)
#define MASKED (1u << 16)
#define PM_TIMER 0x608
#define PM_HZ 3579545u

static volatile uint32_t* ioapic(uint32_t offset) { return (volatile uint32_t*)(0xfec00000ul + offset); }
static uint32_t entry(uint32_t pin) {
  *ioapic(0) = 0x10 + 2 * pin;
  return *ioapic(0x10);
}
static void set_entry(uint32_t pin, uint32_t low) {
  *ioapic(0) = 0x10 + 2 * pin;
  *ioapic(0x10) = low;
}

static volatile uint32_t ticks;
static void on_tick(struct frame* f) {
  (void)f;
  ++ticks;
  apic_eoi();
}

static void pass_ms(uint32_t ms) {
  const uint32_t start = inl(PM_TIMER);
  while (((inl(PM_TIMER) - start) & 0xffffff) < PM_HZ / 1000 * ms) pause();
}

static void pit_rate(void) {
  set_handler(0xb0, on_tick);
  set_entry(2, 0xb0);
  outb(0x43, 0x34);
  outb(0x40, 1193 & 0xff);
  outb(0x40, 1193 >> 8);
  sti();
  pass_ms(500);
  cli();
  outb(0x43, 0x30);
  set_entry(2, MASKED);
  if (ticks < 450 || ticks > 520) print("# %u ticks in half a second\n", (uint64_t)ticks);
  check(ticks >= 450 && ticks <= 520, "PIT at 1 kHz through the IOAPIC: its ticks come");
}

// As Linux does for handlers that run in a thread.
static volatile uint32_t served;
static void mask_and_end(struct frame* f) {
  (void)f;
  ++served;
  set_entry(4, entry(4) | MASKED);
  apic_eoi();
}

static void masked_in_service(void) {
  set_handler(0xb4, mask_and_end);
  outb(0x3fc, 8);
  set_entry(4, LEVEL | 0xb4);
  outb(0x3f9, 2);  // the transmitter is empty: the line is high until this is taken back
  take_until(&served, 1);
  for (uint32_t i = 0; i < 5; ++i) {
    set_entry(4, entry(4) & ~MASKED);
    take_until(&served, i + 2);
    open_window();
  }
  // A KVM without hardware virtualization ends interrupts as it delivers them: now and then one comes twice.
  print("# level: %u for 6\n", (uint64_t)served);
  check(served >= 6 && served <= 12, "level: masked in service and unmasked behind it, none is lost");
  check((entry(4) & REMOTE_IRR) == 0, "level: and its remote IRR is clear");
  outb(0x3f9, 0);
  set_entry(4, MASKED);
}

static volatile uint32_t late;
static void on_late(struct frame* f) {
  (void)f;
  ++late;
  set_entry(4, entry(4) | MASKED);
  apic_eoi();
}

static void nobody_accepts(void) {
  set_handler(0xb5, on_late);
  apic_write(APIC_SVR, 0xff);
  set_entry(4, LEVEL | 0xb5);
  outb(0x3f9, 2);
  check((entry(4) & (SEND_PENDING | REMOTE_IRR)) == SEND_PENDING,
        "a level that no local APIC accepts is held");
  enable_apic();
  take_until(&late, 1);
  check_equal(late, 1, "and comes when one is enabled");
  outb(0x3f9, 0);
  set_entry(4, MASKED);
}

static volatile uint32_t nmis, started;
static void on_nmi(struct frame* f) {
  (void)f;
  __atomic_add_fetch(&nmis, 1, __ATOMIC_RELAXED);
}
static void run_second(uint32_t id) {
  (void)id;
  __atomic_add_fetch(&started, 1, __ATOMIC_RELEASE);
  for (;;) sti_hlt();
}

static void restarts(void) {
  set_handler(2, on_nmi);
  if (!start_cpus(2, run_second)) return check(0, "a second processor starts");
  wait_for(&started, 1);
  send_ipi(1, ICR_NMI | ICR_ASSERT);
  check(wait_for(&nmis, 1), "it takes an NMI");
  // Requests before its INIT are of its old life.
  send_ipi(1, ICR_FIXED | ICR_ASSERT | 0xb6);
  restart_cpu(1);
  check(wait_for(&started, 2), "it starts again");
  send_ipi(1, ICR_NMI | ICR_ASSERT);
  check(wait_for(&nmis, 2), "and takes an NMI again");
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  load_idt();
  enable_apic();
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
  calibrate();
  pit_rate();
  masked_in_service();
  nobody_accepts();
  restarts();
  check(1, "lines: the end");
  end_guest();
}
