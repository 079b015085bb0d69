// x2APIC mode, entered by all processors.
#include "interrupts.h"

static volatile uint32_t faults;
// Skips the instruction that faulted: WRMSR and RDMSR have two bytes.
static void skip_msr(struct frame* f) {
  ++faults;
  f->rip += 2;
}

static int write_faults(uint32_t msr, uint64_t value) {
  faults = 0;
  wrmsr(msr, value);
  return faults == 1;
}

static void transitions(void) {
  check(write_faults(0x1b, rdmsr(0x1b) & ~0x400ull), "x2APIC to xAPIC directly is refused");
  check(write_faults(0x1b, (rdmsr(0x1b) & ~0xc00ull) | 0x400), "x2APIC without enable is refused");
  check(write_faults(0x802, 1), "the id is read-only");
  check(write_faults(0x80e, 0), "DFR does not exist");
  check(write_faults(0x808, 0x100), "reserved bits of TPR fault");
  check(write_faults(0x80b, 1), "EOI takes 0 only");
  check(write_faults(0x831, 0), "the upper ICR does not exist");
}

static int has_apic(void) {
  uint32_t a, b, c, d;
  cpuid(1, 0, &a, &b, &c, &d);
  return (d >> 9 & 1) != 0;
}

static int has_x2apic(void) {
  uint32_t a, b, c, d;
  cpuid(1, 0, &a, &b, &c, &d);
  return (c >> 21 & 1) != 0;
}

// The only way back to xAPIC mode.
static void off_and_on_again(void) {
  const uint64_t base = rdmsr(0x1b);
  wrmsr(0x1b, base & ~0xc00ull);
  check(!has_apic(), "disabled: CPUID has no APIC");
  check(write_faults(0x80b, 0), "disabled: no x2APIC registers");
  check(write_faults(0x1b, base), "disabled: not to x2APIC directly");
  wrmsr(0x1b, (base & ~0x400ull) | 0x800);
  check(has_apic(), "enabled again: CPUID has an APIC");
  enable_apic();
  got[0][0x56] = 0;
  send_ipi(0, ICR_SELF | 0x56);
  take_until(&got[0][0x56], 1);
  check_equal(got[0][0x56], 1, "enabled again: the xAPIC works");
  wrmsr(0x1b, base);
  check_equal(apic_read(APIC_LDR), 1, "and x2APIC mode again");
}

void x2apic(void (*arrival)(uint32_t id)) {
  check(has_x2apic(), "CPUID offers x2APIC");
  check(has_apic(), "CPUID has an APIC");
  for (uint32_t cpu = CPUS; cpu-- > 0;) on_cpu(cpu, enter_x2apic);
  set_handler(13, skip_msr);
  check_equal(apic_read(APIC_ID), 0, "x2APIC id");
  check_equal(apic_read(APIC_LDR), 1, "x2APIC logical id");
  expect_ipi(2, ICR_FIXED, 0x50, 1 << 2, "x2APIC physical");
  expect_ipi(0x20, ICR_FIXED, 0x50, 0, "x2APIC physical, nobody there");
  expect_ipi(0xffffffff, ICR_FIXED, 0x51, 0xf, "x2APIC broadcast");
  expect_ipi(0x0000000a, ICR_LOGICAL, 0x52, 0xa, "x2APIC logical, two of a cluster");
  expect_ipi(0x0001000a, ICR_LOGICAL, 0x52, 0, "x2APIC logical, another cluster");
  expect_ipi(0, ICR_SELF, 0x53, 0x1, "x2APIC shorthand self");
  expect_ipi(0, ICR_OTHERS, 0x53, 0xe, "x2APIC shorthand others");
  expect_ipi(0, ICR_ALL, 0x54, 0xf, "x2APIC shorthand all");
  expect_one(0x0000000e, ICR_LOWEST | ICR_LOGICAL, 0x55, "x2APIC lowest priority reaches exactly one");
  expect_ipi(1, ICR_NMI, 2, 1 << 1, "x2APIC NMI");
  expect_ipi(0, ICR_NMI | ICR_OTHERS, 2, 0xe, "x2APIC NMI to the others");
  got[0][0x55] = 0;
  wrmsr(0x83f, 0x55);
  sti();
  check(wait_for(&got[0][0x55], 1), "x2APIC self IPI register");
  cli();
  transitions();
  restart_third(arrival);
  off_and_on_again();
}
