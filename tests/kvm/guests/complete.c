// Instructions that some hosts' KVM cannot emulate at CPL 0: int3, int n, icebp, ud0, ud1, fwait, fnstsw,
// xgetbv, rdtscp, clwb, rdssp, clac, stac, cmpxchg16b.
#include "guest.h"

#define FAULT_PAGE 0x3fe00000ull  // the last 2 MiB page of the first GiB, mapped, beyond memory's end

static volatile uint64_t trapped_at, faults, fault_error, fault_vector, fault_address, resume_at;
extern uint64_t low_directory[];

static void on_int3(struct frame* f) { trapped_at = f->rip; }

static void on_fault(struct frame* f) {
  ++faults;
  fault_vector = f->vector;
  fault_error = f->error;
  __asm__ volatile("mov %%cr2, %0" : "=r"(fault_address));
  f->rip = resume_at;
}

struct pair {
  uint64_t low, high;
} __attribute__((aligned(16)));

static int exchange(volatile void* at, struct pair* expected, struct pair desired) {
  uint8_t equal;
  __asm__ volatile(
      "lea 1f(%%rip), %%r8\n mov %%r8, %[resume]\n"
      "lock cmpxchg16b %[at]\n 1: setz %[equal]"
      : [equal] "=r"(equal), [at] "+m"(*(volatile struct pair*)at), "+a"(expected->low),
        "+d"(expected->high), [resume] "=m"(resume_at)
      : "b"(desired.low), "c"(desired.high)
      : "r8", "memory", "cc");
  return equal;
}

static void breakpoints(void) {
  uint64_t after;
  set_handler(3, on_int3);
  __asm__ volatile("lea 1f(%%rip), %0\n int3\n 1:" : "=r"(after) : : "memory");
  check_equal(trapped_at, after, "int3 traps behind itself");
}

static volatile uint64_t soft_taken, soft_flags;
static void on_soft(struct frame* f) {
  ++soft_taken;
  trapped_at = f->rip;
  soft_flags = f->rflags;
}

static void software_interrupts(void) {
  uint64_t after;
  set_handler(0x99, on_soft);
  for (int i = 0; i < 20; ++i) {
    trapped_at = 0;
    __asm__ volatile("lea 1f(%%rip), %0\n int $0x99\n 1:" : "=r"(after) : : "memory");
    check_quietly(trapped_at == after, "int n traps behind itself");
  }
  check_equal(soft_taken, 20, "int n, interrupts off");
  check((soft_flags & 0x200) == 0, "int n leaves the flags as they were");
  sti();
  __asm__ volatile("int $0x99" : : : "memory");
  cli();
  check_equal(soft_taken, 21, "int n, interrupts on");
  set_handler(1, on_int3);
  set_handler(6, on_fault);
  trapped_at = faults = 0;
  __asm__ volatile("lea 1f(%%rip), %0\n mov %0, %1\n .byte 0xf1\n 1:"
                   : "=&r"(after), "=m"(resume_at)
                   :
                   : "memory");
  // QEMU's processors, on which KVM may run, have none.
  if (faults != 0) return check(1, "icebp: this processor has none");
  check_equal(trapped_at, after, "icebp traps behind itself");
}

static void undefined(void) {
  set_handler(6, on_fault);
  faults = 0;
  __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, %0\n ud2\n 1:" : "=m"(resume_at) : : "rax", "memory");
  check_equal(faults << 8 | fault_vector, 0x106, "ud2: invalid opcode");
  __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, %0\n .byte 0x0f, 0xff, 0xc0\n 1:"
                   : "=m"(resume_at)
                   :
                   : "rax", "memory");
  check_equal(faults << 8 | fault_vector, 0x206, "ud0: invalid opcode");
  __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, %0\n .byte 0x0f, 0xb9, 0xc0\n 1:"
                   : "=m"(resume_at)
                   :
                   : "rax", "memory");
  check_equal(faults << 8 | fault_vector, 0x306, "ud1: invalid opcode");
}

static uint64_t read_xcr0(void) {
  uint32_t low = 0, high = 0;
  __asm__ volatile("lea 1f(%%rip), %%r8\n mov %%r8, %2\n xgetbv\n 1:"
                   : "+a"(low), "+d"(high), "=m"(resume_at)
                   : "c"(0)
                   : "r8", "memory");
  return (uint64_t)high << 32 | low;
}

static void register_reads(void) {
  uint32_t a, b, c, d;
  uint64_t cr4;
  cpuid(1, 0, &a, &b, &c, &d);
  if (c >> 26 & 1) {
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    set_handler(6, on_fault);
    faults = 0;
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 & ~(1ull << 18)));
    read_xcr0();
    check_equal(faults, 1, "xgetbv without OSXSAVE: invalid opcode");
    __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | 1ull << 18));
    __asm__ volatile("xsetbv" : : "c"(0), "a"(3), "d"(0));
    check_equal(read_xcr0(), 3, "xgetbv reads what xsetbv wrote");
  }
  cpuid(0x80000001, 0, &a, &b, &c, &d);
  if (d >> 27 & 1) {
    wrmsr(0xc0000103, 0x1234);
    const uint64_t before = rdtsc();
    uint32_t low, high, aux;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(aux));
    const uint64_t counter = (uint64_t)high << 32 | low;
    check(counter >= before && counter <= rdtsc(), "rdtscp reads the counter");
    check_equal(aux, 0x1234, "rdtscp reads IA32_TSC_AUX");
  }
  uint16_t status = 1;
  __asm__ volatile("fninit; fnstsw %0" : "=a"(status));
  check_equal(status, 0, "fnstsw after fninit");
}

static void cache_lines(void) {
  uint32_t a, b, c, d;
  static char line[128];
  cpuid(7, 0, &a, &b, &c, &d);
  line[3] = 5;
  if (b >> 24 & 1) __asm__ volatile(".byte 0x66, 0x0f, 0xae, 0x30" : : "a"(line) : "memory");  // clwb (%rax)
  if (b >> 23 & 1) __asm__ volatile("clflushopt (%0)" : : "r"(line) : "memory");
  __asm__ volatile("clflush (%0)" : : "r"(line) : "memory");
  check_equal(((volatile char*)line)[3], 5, "clwb, clflushopt, clflush");
}

static void waits(void) {
  __asm__ volatile("fwait" : : : "memory");
  check(1, "fwait goes on");
  uint64_t cr0;
  __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
  set_handler(7, on_fault);
  faults = 0;
  __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | 2 | 8));  // MP and TS
  __asm__ volatile("lea 1f(%%rip), %%rax\n mov %%rax, %0\n fwait\n 1:" : "=m"(resume_at) : : "rax", "memory");
  __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
  check_equal(faults, 1, "fwait with MP and TS set faults");
}

static void shadow_stacks(void) {
  uint64_t value = 5;
  __asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(value));  // rdsspq %rax
  check_equal(value, 5, "rdssp does nothing without shadow stacks");
}

static uint64_t flags(void) {
  uint64_t value;
  __asm__ volatile("pushf; pop %0" : "=r"(value));
  return value;
}

static void access_flag(void) {
  uint32_t a, b, c, d;
  cpuid(7, 0, &a, &b, &c, &d);
  if ((b >> 20 & 1) == 0) return check(1, "clac and stac: this processor has none");
  __asm__ volatile("stac" : : : "memory");
  const int set = (flags() >> 18 & 1) != 0;
  __asm__ volatile("clac" : : : "memory");
  check(set && (flags() >> 18 & 1) == 0, "stac and clac change the flag");
}

static void exchanges(void) {
  static struct pair word = {1, 2};
  struct pair expected = {1, 2};
  check(exchange(&word, &expected, (struct pair){3, 4}), "cmpxchg16b of equal values");
  check(word.low == 3 && word.high == 4, "stores");
  expected = (struct pair){1, 2};
  check(!exchange(&word, &expected, (struct pair){5, 6}), "cmpxchg16b of different values");
  check(word.low == 3 && word.high == 4, "does not store");
  check(expected.low == 3 && expected.high == 4, "and gives back what is there");
}

static void access_rights(void) {
  struct pair expected = {0, 0};
  set_handler(13, on_fault);
  set_handler(14, on_fault);
  static struct pair words[2];
  faults = 0;
  exchange((char*)words + 8, &expected, expected);
  check_equal(faults << 8 | fault_vector, 0x10d, "unaligned: general protection");
  faults = 0;
  exchange((void*)0x8000000000000000ull, &expected, expected);
  check_equal(faults << 8 | fault_vector, 0x10d, "not canonical: general protection");
  const uint64_t index = FAULT_PAGE >> 21;
  const uint64_t entry = low_directory[index];
  low_directory[index] = 0;
  __asm__ volatile("invlpg (%0)" : : "r"(FAULT_PAGE) : "memory");
  faults = 0;
  exchange((void*)(FAULT_PAGE + 0x40), &expected, expected);
  check_equal(faults << 8 | fault_vector, 0x10e, "not mapped: page fault");
  check_equal(fault_error, 2, "its error code says write, not present");
  check_equal(fault_address, FAULT_PAGE + 0x40, "CR2 has the address");
  low_directory[index] = (entry & ~2ull);
  __asm__ volatile("invlpg (%0)" : : "r"(FAULT_PAGE) : "memory");
  exchange((void*)(FAULT_PAGE + 0x40), &expected, expected);
  check_equal(fault_error, 3, "read-only: its error code says write, present");
  low_directory[index] = entry;
}

// Two processors count up two words at once; an exchange that is not atomic loses counts or tears the pair.
#define TURNS 300
static struct pair shared;
static volatile uint32_t torn, done;
static void count_up(uint32_t id) {
  (void)id;
  for (int i = 0; i < TURNS;) {
    struct pair expected = {*(volatile uint64_t*)&shared.low, *(volatile uint64_t*)&shared.high};
    const struct pair next = {expected.low + 1, expected.high + 2};
    if (exchange(&shared, &expected, next)) {
      ++i;
    } else if (expected.high != 2 * expected.low) {
      torn = 1;
    }
  }
  __atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
}

void guest_main(uint32_t magic, struct multiboot_info* info) {
  (void)magic;
  (void)info;
  load_idt();
  enable_apic();
  calibrate();
  breakpoints();
  software_interrupts();
  undefined();
  register_reads();
  cache_lines();
  waits();
  shadow_stacks();
  access_flag();
  exchanges();
  access_rights();
  check(start_cpus(2, count_up), "a second processor starts");
  count_up(0);
  check(wait_for(&done, 2), "both have counted");
  check_equal(shared.low, 2 * TURNS, "cmpxchg16b is atomic: no count was lost");
  check_equal(shared.high, 4 * TURNS, "in neither half");
  check_equal(torn, 0, "and no pair was torn");
  end_guest();
}
