// What comes from outside: 8259s, IOAPIC, PIT, RTC, UART.
#include "interrupts.h"

static volatile uint32_t* ioapic(uint32_t offset) { return (volatile uint32_t*)(0xfec00000ul + offset); }

static uint32_t ioapic_read(uint32_t index) {
  *ioapic(0) = index;
  return *ioapic(0x10);
}
static void ioapic_write(uint32_t index, uint32_t value) {
  *ioapic(0) = index;
  *ioapic(0x10) = value;
}
static void route(uint32_t pin, uint32_t cpu, uint32_t low) {
  ioapic_write(0x11 + 2 * pin, cpu << 24);
  ioapic_write(0x10 + 2 * pin, low);
}
#define LEVEL (1u << 15)
#define REMOTE_IRR (1u << 14)
#define ENTRY_MASKED (1u << 16)

// ---- The 8259s at LINT0

static volatile uint32_t ticks;
static void on_pic_tick(struct frame* f) {
  (void)f;
  ++ticks;
  outb(0x20, 0x20);
}

static volatile uint32_t clock_ticks;
static void on_pic_clock(struct frame* f) {
  (void)f;
  outb(0x70, 0x0c);
  if (inb(0x71) & 0x40) ++clock_ticks;
  outb(0xa0, 0x20);
  outb(0x20, 0x20);
}

static void start_pit(uint32_t count) {
  outb(0x43, 0x34);
  outb(0x40, (uint8_t)count);
  outb(0x40, (uint8_t)(count >> 8));
}
static void stop_pit(void) { outb(0x43, 0x30); }

static void init_pics(void) {
  outb(0x20, 0x11);
  outb(0xa0, 0x11);
  outb(0x21, 0xa0);
  outb(0xa1, 0xa8);
  outb(0x21, 4);
  outb(0xa1, 2);
  outb(0x21, 1);
  outb(0xa1, 1);
  outb(0x21, 0xff);
  outb(0xa1, 0xff);
}

static void write_cmos(uint8_t index, uint8_t value) {
  outb(0x70, index);
  outb(0x71, value);
}
static uint8_t read_cmos(uint8_t index) {
  outb(0x70, index);
  return inb(0x71);
}

// A request that is gone when it is acknowledged gives IRQ 7's vector, with nothing in service.
static volatile uint32_t vanished, serial_in_service;
static void on_pic_spurious(struct frame* f) {
  (void)f;
  ++vanished;
  outb(0x20, 0x0b);  // the next read is of the ISR
  serial_in_service |= inb(0x20);
}

static void vanishing_request(void) {
  set_handler(0xa4, count_interrupt);
  set_handler(0xa7, on_pic_spurious);
  got[0][0xa4] = 0;
  outb(0x21, 0xef);
  for (int i = 0; i < 20; ++i) {
    outb(0x3f9, 2);
    outb(0x3f9, 0);
    sti();
    inb(0x80);
    cli();
  }
  check_equal(got[0][0xa4], 0, "8259: a request that is gone is not served");
  check(vanished <= 20 && serial_in_service == 0, "8259: at most a spurious IRQ 7, not in service");
}

static void pics(void) {
  init_pics();
  set_handler(0xa0, on_pic_tick);
  set_handler(0xa8, on_pic_clock);
  apic_write(APIC_LVT_LINT0, 0x700);
  outb(0x21, 0xfe);
  const uint64_t start = rdtsc();
  start_pit(2386);  // 2 ms
  while (ticks < 5) sti_hlt();
  check(rdtsc() - start >= 9 * tsc_per_ms, "PIT through 8259 and LINT0: five ticks in time");
  outb(0x21, 0xff);
  open_window();
  const uint32_t before = ticks;
  sti();
  delay_us(5000);
  cli();
  check_equal(ticks, before, "PIT: masked in the 8259");
  outb(0x21, 0xfb);
  outb(0xa1, 0xfe);
  write_cmos(0x0a, 0x28);  // 256 Hz
  write_cmos(0x0b, 0x42);
  read_cmos(0x0c);
  while (clock_ticks < 3) sti_hlt();
  write_cmos(0x0b, 0x02);
  read_cmos(0x0c);
  check(1, "RTC through the second 8259: periodic interrupts");
  outb(0xa1, 0xff);
  vanishing_request();
  outb(0x21, 0xff);
  apic_write(APIC_LVT_LINT0, 0x10700);
}

// ---- IOAPIC

static void edges(void) {
  check_equal(ioapic_read(1) >> 16 & 0xff, 23, "IOAPIC has 24 entries");
  set_handler(0xb0, count_interrupt);
  got[1][0xb0] = 0;
  route(2, 1, 0xb0);
  start_pit(2386);
  check(wait_for(&got[1][0xb0], 5), "PIT through IOAPIC pin 2 reaches another processor");
  stop_pit();
  route(2, 0, ENTRY_MASKED);
}

// The UART asks for service as long as its transmitter is empty and that interrupt is enabled.
static volatile uint32_t services;
static volatile uint32_t remote_irr_seen, trigger_seen;
static void on_uart(struct frame* f) {
  ++services;
  if (services == 1) {
    remote_irr_seen = (ioapic_read(0x10 + 2 * 4) & REMOTE_IRR) != 0;
    trigger_seen = (uint32_t)apic_bit(APIC_TMR, (uint8_t)f->vector);
  }
  if (services == 3) outb(0x3f9, 0);  // the line falls
  apic_eoi();
}

static void levels(void) {
  set_handler(0xb4, on_uart);
  route(4, 0, LEVEL | 0xb4);
  outb(0x3f9, 2);
  sti();
  check(wait_for(&services, 3), "level: asserted still at its EOI, it comes again");
  delay_us(1000);
  cli();
  check_equal(services, 3, "level: silent once the line has fallen");
  check(remote_irr_seen, "level: remote IRR is set until the EOI");
  check((ioapic_read(0x10 + 2 * 4) & REMOTE_IRR) == 0, "level: and clear after it");
  check(trigger_seen, "level: TMR says so");
  outb(0x3f9, 2);
  route(4, 0, ENTRY_MASKED | LEVEL | 0xb4);
  outb(0x3f9, 0);
  services = 0;
  route(4, 0, LEVEL | 0xb4);
  sti();
  delay_us(500);
  cli();
  // It may have been accepted before the mask came.
  check(services <= 1, "level: a line that has fallen while masked is forgotten");
  route(4, 0, ENTRY_MASKED);
}

void external_interrupts(void) {
  pics();
  edges();
  levels();
}
