// Stands for a Linux guest with its agent: speaks guest/linux/protocol.h on COM2 by port I/O. What it does is in its
// command line:
//   mute     is never ready                    leaves   powers off in the measured window
//   noise    sends what is no protocol         panics   prints a panic and goes on
//   silent   answers no question
#include "guest.h"
#include "guest/linux/protocol.h"

#define COM2 0x2f8
#define VECTOR 0xb3
#define LEVEL (1u << 15)
#define PM1A_CONTROL 0x604

static uint64_t operations;
static char line[256];
static uint32_t length;

// What comes behind it; 0: it is not there.
static const char* has(const char* cmdline, const char* word) {
  for (; *cmdline != 0; ++cmdline) {
    uint32_t i = 0;
    while (word[i] != 0 && cmdline[i] == word[i]) ++i;
    if (word[i] == 0) return cmdline + i;
  }
  return 0;
}

static void tell(const char* text) {
  for (; *text != 0; ++text) outb(COM2, (uint8_t)*text);
}

static void tell_number(uint64_t value) {
  char digits[24];
  uint32_t at = sizeof(digits) - 1;
  digits[at] = 0;
  do digits[--at] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  tell(&digits[at]);
}

static uint64_t now_ns(void) { return rdtsc() * 1000 / (tsc_per_ms / 1000); }

static void tell_field(const char* name, uint64_t value) {
  tell(" ");
  tell(name);
  tell("=");
  tell_number(value);
}

// Digits, or the load's word.
static void tell_word(const char* text) {
  for (; *text > ' '; ++text) outb(COM2, (uint8_t)*text);
}

static void answer(const char* number) {
  const uint64_t now = now_ns();
  tell("counters ");
  tell_word(number);
  tell_field("ops", operations);
  tell_field("at", now);
  tell_field("now", now);
  tell_field("tick", 10000000);
  tell_field("steal", 0);
  tell(" us.p99=12.5\n");
}

static void greet(const char* cmdline) {
  const char* load = has(cmdline, KVMUX_LINUX_PARAMETER "=");
  tell("hello ");
  tell_number(KVMUX_LINUX_VERSION);
  tell(" ");
  tell_word(load != 0 ? load : "none");
  tell("\n");
}

// One more byte of the host's; 1: `line` is whole.
static int take(uint8_t byte) {
  if (byte != '\n') {
    if (length < sizeof(line) - 1) line[length++] = (char)byte;
    return 0;
  }
  line[length] = 0;
  length = 0;
  return 1;
}

static volatile uint32_t interrupts;
static void on_received(struct frame* f) {
  (void)f;
  interrupts = interrupts + 1;
  outb(COM2 + 1, 0);
  apic_eoi();
}

// Until a byte has come, asleep: by COM2's interrupt.
static void await_byte(void) {
  while ((inb(COM2 + 5) & 1) == 0) {
    outb(COM2 + 1, 1);
    sti_hlt();
  }
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  const char* cmdline = (const char*)(uint64_t)info->cmdline;
  set_handler(VECTOR, on_received);
  load_idt();
  enable_apic();
  calibrate();
  *(volatile uint32_t*)0xfec00000ul = 0x10 + 2 * 3;
  *(volatile uint32_t*)0xfec00010ul = LEVEL | VECTOR;
  outb(COM2 + 2, 7);
  print("agent: %s\n", cmdline);
  if (has(cmdline, "mute")) {
    for (;;) delay_us(1000);
  }
  if (has(cmdline, "noise")) tell("\x01\x02 hello?\n");
  greet(cmdline);
  tell("ready\n");
  int runs = 0;
  uint32_t asked = 0;
  for (;;) {
    if (!runs) await_byte();
    while ((inb(COM2 + 5) & 1) != 0) {
      if (!take(inb(COM2))) continue;
      if (has(line, "go")) {
        check(interrupts > 0, "COM2's interrupt came");
        runs = 1;
        if (has(cmdline, "panics")) print("Kernel panic - not syncing: as it was told\n");
      }
      const char* number = has(line, "count ");
      if (number == 0) continue;
      if (!has(cmdline, "silent")) answer(number);
      if (++asked == 1 && has(cmdline, "leaves")) {
        print("agent: leaves\n");
        outw(PM1A_CONTROL, 5 << 10 | 1 << 13);
      }
    }
    delay_us(200);
    ++operations;
  }
}
