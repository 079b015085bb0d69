// Local APIC in either mode, time, other processors, platform tables; see guest.h.
#include "guest.h"

#define APIC_BASE_MSR 0x1b
#define X2APIC_ENABLED (1u << 10)
#define TRAMPOLINE 0x8000

uint64_t tsc_per_ms;
static void (*volatile cpu_work)(uint32_t id);
extern uint8_t trampoline[], trampoline_end[];

static int in_x2apic(void) { return (rdmsr(APIC_BASE_MSR) & X2APIC_ENABLED) != 0; }
static volatile uint32_t* mmio(uint32_t reg) { return (volatile uint32_t*)(0xfee00000ul + reg); }

uint32_t apic_read(uint32_t reg) { return in_x2apic() ? (uint32_t)rdmsr(0x800 + reg / 16) : *mmio(reg); }

void apic_write(uint32_t reg, uint32_t value) {
  if (in_x2apic()) {
    wrmsr(0x800 + reg / 16, value);
  } else {
    *mmio(reg) = value;
  }
}

void apic_eoi(void) { apic_write(APIC_EOI, 0); }

void send_ipi(uint32_t destination, uint32_t low) {
  if (in_x2apic()) {
    wrmsr(0x830, (uint64_t)destination << 32 | low);
    return;
  }
  *mmio(APIC_ICR_HIGH) = destination << 24;
  *mmio(APIC_ICR) = low;
  while (*mmio(APIC_ICR) & ICR_PENDING) pause();
}

void enable_apic(void) { apic_write(APIC_SVR, 0x1ff); }

int apic_bit(uint32_t first, uint8_t vector) {
  return (apic_read(first + vector / 32 * 16u) >> (vector % 32) & 1) != 0;
}

uint32_t my_apic_id(void) { return in_x2apic() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24; }

void enter_x2apic(void) { wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | X2APIC_ENABLED); }

struct reading read_beside_tsc(uint32_t (*counter)(void)) {
  struct reading best = {0, 0};
  uint64_t tightest = ~0ull;
  for (int i = 0; i < 10; ++i) {
    const uint64_t before = rdtsc();
    const uint32_t count = counter();
    const uint64_t after = rdtsc();
    if (after - before >= tightest) continue;
    tightest = after - before;
    best.tsc = before + tightest / 2;
    best.count = count;
  }
  return best;
}

static uint32_t pit_count(void) {
  outb(0x43, 0x80);  // latch
  const uint32_t low = inb(0x42);
  return low | (uint32_t)inb(0x42) << 8;
}

// Counts down from 65536, 55 ms; measures again if it got to the end, which its output shows in port 61H.
void calibrate(void) {
  const uint64_t pit_hz = 1193182;
  do {
    outb(0x61, (uint8_t)((inb(0x61) & ~2u) | 1));
    outb(0x43, 0xb0);
    outb(0x42, 0);
    outb(0x42, 0);
    const struct reading first = read_beside_tsc(pit_count);
    while (pit_count() > first.count - 12000) pause();
    const struct reading last = read_beside_tsc(pit_count);
    tsc_per_ms = (last.tsc - first.tsc) * pit_hz / (first.count - last.count) / 1000;
  } while ((inb(0x61) & 0x20) != 0);
}

void open_window(void) {
  sti();
  delay_us(3000);
  cli();
}

void take_until(volatile uint32_t* count, uint32_t wanted) {
  sti();
  wait_for(count, wanted);
  cli();
}

void delay_us(uint64_t us) {
  const uint64_t end = rdtsc() + us * tsc_per_ms / 1000;
  while (rdtsc() < end) pause();
}

int wait_for(volatile uint32_t* word, uint32_t wanted) {
  const uint64_t end = rdtsc() + 60000 * (tsc_per_ms != 0 ? tsc_per_ms : 3000000);
  while (*word < wanted) {
    if (rdtsc() > end) return 0;
    pause();
  }
  return 1;
}

// Called by start.S.
void ap_main(uint32_t index) {
  (void)index;
  load_idt();
  enable_apic();
  cpu_work(my_apic_id());
}

void restart_cpu(uint32_t id) {
  send_ipi(id, ICR_INIT | ICR_LEVEL | ICR_ASSERT);
  send_ipi(id, ICR_INIT | ICR_LEVEL);
  delay_us(200);
  send_ipi(id, ICR_SIPI | TRAMPOLINE >> 12);
}

int start_again(uint32_t id, void (*work)(uint32_t id)) {
  cpu_work = work;
  const uint32_t before = cpus_arrived;
  send_ipi(id, ICR_SIPI | TRAMPOLINE >> 12);
  return wait_for(&cpus_arrived, before + 1);
}

int start_cpus(uint32_t count, void (*work)(uint32_t id)) {
  cpu_work = work;
  const uint64_t bytes = (uint64_t)(trampoline_end - trampoline);
  for (uint64_t i = 0; i < bytes; ++i) ((volatile uint8_t*)TRAMPOLINE)[i] = trampoline[i];
  for (uint32_t id = 1; id < count; ++id) {
    restart_cpu(id);
    delay_us(200);
    send_ipi(id, ICR_SIPI | TRAMPOLINE >> 12);
    if (!wait_for(&cpus_arrived, id + 1)) return 0;
  }
  return 1;
}

// ---- Platform tables

static int same(const uint8_t* at, const char* text) {
  while (*text != 0) {
    if (*at++ != (uint8_t)*text++) return 0;
  }
  return 1;
}

static int sums_to_zero(const uint8_t* at, uint32_t bytes) {
  uint8_t sum = 0;
  for (uint32_t i = 0; i < bytes; ++i) sum = (uint8_t)(sum + at[i]);
  return sum == 0;
}

static uint32_t read32(const uint8_t* at) { return *(const volatile uint32_t*)at; }

// The 16-byte aligned structure with this signature in the BIOS area.
static const uint8_t* find(uint64_t from, uint64_t to, const char* signature) {
  for (uint64_t at = from; at < to; at += 16) {
    if (*(volatile uint8_t*)at == (uint8_t)signature[0] && same((const uint8_t*)at, signature))
      return (const uint8_t*)at;
  }
  return 0;
}

uint32_t cpus_in_madt(void) {
  const uint8_t* rsdp = find(0xe0000, 0x100000, "RSD PTR ");
  if (rsdp == 0 || !sums_to_zero(rsdp, 20) || !sums_to_zero(rsdp, 36)) return 0;
  const uint8_t* xsdt = (const uint8_t*)*(const volatile uint64_t*)(rsdp + 24);
  const uint32_t bytes = read32(xsdt + 4);
  if (!same(xsdt, "XSDT") || !sums_to_zero(xsdt, bytes)) return 0;
  uint32_t cpus = 0;
  for (uint32_t i = 36; i < bytes; i += 8) {
    const uint8_t* table = (const uint8_t*)*(const volatile uint64_t*)(xsdt + i);
    const uint32_t length = read32(table + 4);
    if (!sums_to_zero(table, length)) return 0;
    if (!same(table, "APIC")) continue;
    for (uint32_t at = 44; at < length; at += table[at + 1]) {
      if (table[at] == 0 && (read32(table + at + 4) & 1)) ++cpus;
      if (table[at] == 9 && (read32(table + at + 8) & 1)) ++cpus;
    }
  }
  return cpus;
}

uint32_t cpus_in_mp_table(void) {
  const uint8_t* pointer = find(0xf0000, 0x100000, "_MP_");
  if (pointer == 0 || !sums_to_zero(pointer, 16)) return 0;
  const uint8_t* table = (const uint8_t*)(uint64_t)read32(pointer + 4);
  const uint32_t bytes = read32(table + 4) & 0xffff;
  if (!same(table, "PCMP") || !sums_to_zero(table, bytes)) return 0;
  uint32_t cpus = 0;
  for (uint32_t at = 44; at < bytes; at += table[at] == 0 ? 20 : 8) {
    if (table[at] == 0 && (table[at + 3] & 1)) ++cpus;
  }
  return cpus;
}
