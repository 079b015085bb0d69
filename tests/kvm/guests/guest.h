// What the test guests share: console, checks, processors, local APIC, interrupts. Freestanding C for long
// mode at CPL 0, built without SSE. Every check prints one line, "ok NAME" or "FAILED NAME: …", and the image
// ends through the debug-exit port with 0, or 1 if a check failed.
#pragma once

#include <stdint.h>

// ---- Processor
static inline void outb(uint16_t port, uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint8_t inb(uint16_t port) {
  uint8_t value;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline uint32_t inl(uint16_t port) {
  uint32_t value;
  __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
static inline void outw(uint16_t port, uint16_t value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}
static inline uint64_t rdmsr(uint32_t msr) {
  uint32_t low, high;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
  return (uint64_t)high << 32 | low;
}
static inline void wrmsr(uint32_t msr, uint64_t value) {
  __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}
static inline uint64_t rdtsc(void) {
  uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (uint64_t)high << 32 | low;
}
static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t* a, uint32_t* b, uint32_t* c, uint32_t* d) {
  __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}
static inline void pause(void) { __asm__ volatile("pause" : : : "memory"); }
static inline void cli(void) { __asm__ volatile("cli" : : : "memory"); }
static inline void sti(void) { __asm__ volatile("sti; nop" : : : "memory"); }
// Lets what is pending come. Longer than an instruction: KVM on some hosts looks for an open window only now
// and then.
void open_window(void);
void take_until(volatile uint32_t* count, uint32_t wanted);  // at most a minute
static inline void sti_hlt(void) { __asm__ volatile("sti; hlt; cli" : : : "memory"); }
static inline void write_cr8(uint64_t value) { __asm__ volatile("mov %0, %%cr8" : : "r"(value) : "memory"); }
static inline uint64_t read_cr8(void) {
  uint64_t value;
  __asm__ volatile("mov %%cr8, %0" : "=r"(value));
  return value;
}

// ---- Console and checks
// A line at a time, whichever processors print. Understands %s, %u, %x.
void print(const char* format, ...);
void check(int good, const char* name);
void check_equal(uint64_t is, uint64_t wanted, const char* name);
void check_quietly(int good, const char* name);  // prints a failure only, for loops
extern volatile uint32_t checks_failed;
__attribute__((noreturn)) void end_guest(void);  // 0 if every check held
__attribute__((noreturn)) void debug_exit(uint8_t code);

// ---- Interrupts
struct frame {
  uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
  uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
typedef void (*handler)(struct frame* frame);
void set_handler(uint8_t vector, handler handler);  // without one: 0 to 31 end the guest, the rest are EOIed
void load_idt(void);                                // on every processor

// ---- Local APIC
enum {
  APIC_ID = 0x20,
  APIC_VERSION = 0x30,
  APIC_TPR = 0x80,
  APIC_PPR = 0xa0,
  APIC_EOI = 0xb0,
  APIC_LDR = 0xd0,
  APIC_DFR = 0xe0,
  APIC_SVR = 0xf0,
  APIC_ISR = 0x100,
  APIC_TMR = 0x180,
  APIC_IRR = 0x200,
  APIC_ESR = 0x280,
  APIC_ICR = 0x300,
  APIC_ICR_HIGH = 0x310,
  APIC_LVT_TIMER = 0x320,
  APIC_LVT_LINT0 = 0x350,
  APIC_LVT_LINT1 = 0x360,
  APIC_LVT_ERROR = 0x370,
  APIC_INITIAL = 0x380,
  APIC_CURRENT = 0x390,
  APIC_DIVIDE = 0x3e0,
  APIC_SELF_IPI = 0x3f0,
};
enum {
  ICR_FIXED = 0,
  ICR_LOWEST = 1 << 8,
  ICR_NMI = 4 << 8,
  ICR_INIT = 5 << 8,
  ICR_SIPI = 6 << 8,
  ICR_LOGICAL = 1 << 11,
  ICR_PENDING = 1 << 12,
  ICR_ASSERT = 1 << 14,
  ICR_LEVEL = 1 << 15,
  ICR_SELF = 1 << 18,
  ICR_ALL = 2 << 18,
  ICR_OTHERS = 3 << 18,
};
uint32_t apic_read(uint32_t reg);  // in whichever mode this processor's APIC is
void apic_write(uint32_t reg, uint32_t value);
void apic_eoi(void);
void send_ipi(uint32_t destination, uint32_t low);  // destination: as ICR high has it in this mode, unshifted
void enable_apic(void);                             // software enable, spurious vector 0xff
int apic_bit(uint32_t first_register, uint8_t vector);
uint32_t my_apic_id(void);
void enter_x2apic(void);

// ---- Time and processors
extern uint64_t tsc_per_ms;  // measured against the PIT by calibrate()
void calibrate(void);
// A counter and the TSC at one moment: the tightest of a few readings, since this processor may be taken off
// in the middle of one.
struct reading {
  uint64_t tsc;
  uint32_t count;
};
struct reading read_beside_tsc(uint32_t (*counter)(void));
void delay_us(uint64_t us);
// Spins until `*word` is at least `wanted`; 0: not within a minute.
int wait_for(volatile uint32_t* word, uint32_t wanted);
// Starts the processors with APIC ids 1 to count-1 by INIT, SIPI, SIPI; waits until all have arrived. They
// run `work(apic id)` with APIC enabled and IDT loaded.
int start_cpus(uint32_t count, void (*work)(uint32_t id));
void restart_cpu(uint32_t id);                            // INIT, SIPI
int start_again(uint32_t id, void (*work)(uint32_t id));  // SIPI to one that waits for it
uint32_t cpus_in_madt(void);  // enabled processors by the ACPI tables; 0: no valid tables
uint32_t cpus_in_mp_table(void);

extern volatile uint32_t cpus_arrived;  // the bootstrap processor included

// ---- Multiboot
struct multiboot_info {
  uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4], mmap_length,
      mmap_addr;
  uint32_t drives[2], config, loader_name;
};
struct multiboot_module {
  uint32_t start, end, text, reserved;
};
void guest_main(uint32_t magic, struct multiboot_info* info);  // each image's own
