// Console, checks, interrupts; see guest.h.
#include "guest.h"

#include <stdarg.h>

volatile uint32_t checks_failed;
static volatile uint32_t console_lock;
static handler handlers[256];

struct gate {
  uint16_t offset_low, selector;
  uint8_t ist, type;
  uint16_t offset_middle;
  uint32_t offset_high, reserved;
};
static struct gate idt[256];
extern uint8_t vector_stubs[];

static void put_char(char c) {
  if (c == '\n') outb(0x3f8, '\r');
  outb(0x3f8, (uint8_t)c);
}

static char* put_number(char* at, uint64_t value, unsigned base) {
  char digits[20];
  unsigned count = 0;
  do {
    digits[count++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  while (count > 0) *at++ = digits[--count];
  return at;
}

void print(const char* format, ...) {
  char line[256];
  char* at = line;
  char* const end = line + sizeof(line) - 32;
  va_list args;
  va_start(args, format);
  for (; *format != 0 && at < end; ++format) {
    if (*format != '%') {
      *at++ = *format;
      continue;
    }
    ++format;
    if (*format == 's') {
      for (const char* s = va_arg(args, const char*); *s != 0 && at < end; ++s) *at++ = *s;
    } else {
      at = put_number(at, va_arg(args, uint64_t), *format == 'x' ? 16 : 10);
    }
  }
  va_end(args);
  while (__atomic_exchange_n(&console_lock, 1, __ATOMIC_ACQUIRE) != 0) pause();
  for (const char* s = line; s < at; ++s) put_char(*s);
  __atomic_store_n(&console_lock, 0, __ATOMIC_RELEASE);
}

void check(int good, const char* name) {
  if (!good) __atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED);
  print(good ? "ok %s\n" : "FAILED %s\n", name);
}

void check_quietly(int good, const char* name) {
  if (!good) check(0, name);
}

void check_equal(uint64_t is, uint64_t wanted, const char* name) {
  if (is == wanted) return check(1, name);
  __atomic_add_fetch(&checks_failed, 1, __ATOMIC_RELAXED);
  print("FAILED %s: is %x, wanted %x\n", name, is, wanted);
}

void debug_exit(uint8_t code) {
  for (;;) outb(0xf4, code);
}

void end_guest(void) { debug_exit(checks_failed != 0); }

void set_handler(uint8_t vector, handler h) { handlers[vector] = h; }

// Called by vectors.S.
void interrupt(struct frame* f) {
  const handler h = handlers[f->vector];
  if (h != 0) return h(f);
  if (f->vector >= 32) return apic_eoi();
  print("FAILED exception %u, error %x, at %x\n", f->vector, f->error, f->rip);
  debug_exit(1);
}

void load_idt(void) {
  if (idt[255].type == 0) {
    for (unsigned i = 0; i < 256; ++i) {
      const uint64_t stub = (uint64_t)(vector_stubs + 16 * i);
      idt[i].selector = 0x08;
      idt[i].offset_low = (uint16_t)stub;
      idt[i].offset_middle = (uint16_t)(stub >> 16);
      idt[i].type = 0x8e;
    }
  }
  const struct __attribute__((packed)) {
    uint16_t limit;
    uint64_t base;
  } pointer = {sizeof(idt) - 1, (uint64_t)idt};
  __asm__ volatile("lidt %0" : : "m"(pointer));
}
