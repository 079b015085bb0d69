// Shared by the files of the image `events`: what was sent, what has come, and the processors that do it.
//
// A line is a vector at one processor, and has one sender. It carries one interrupt at a time: its sender counts
// what it sends, the handler what comes, and nothing is sent before the last has come. So nothing may merge, and
// both counts are equal in the end. NMIs have no vector: whoever sends one takes the receiver's lock, and the
// handler lets it go.
#pragma once

#include "guest.h"

#define CPUS 4

enum {
  // Vectors, by the processor that sends them (added), in classes of different priority.
  LOW_LINE = 0x40,
  ALL_LINE = 0x50,
  SELF_LINE = 0x60,
  MIDDLE_LINE = 0x70,
  OTHERS_LINE = 0x80,
  PING_LINE = 0x90,
  HIGH_LINE = 0xa0,
  ASK_LINE = 0xb0,  // for an NMI
  PONG_LINE = 0xc0,
  TIMER_LINE = 0xe0,
  SOFTWARE_VECTOR = 0x30,  // INT n, eight of them
};

struct cpu {
  struct cpu* self;  // %gs:0
  uint32_t id;
  uint64_t random, handler_random;
  volatile uint32_t events;         // that came: interrupts, NMIs, software interrupts, faults
  volatile uint32_t task_class;     // CR8
  volatile uint32_t service_class;  // of the handler that runs
  volatile uint32_t software, faults, fault_bytes;
  volatile uint32_t halts, ports, mmio;
  const char* volatile doing;
};

extern struct cpu cpus[CPUS];
extern volatile uint32_t sent[256][CPUS], got[256][CPUS];
extern volatile uint32_t nmi_busy[CPUS], nmi_sent[CPUS], nmi_got[CPUS];
extern volatile uint32_t broken;  // something was wrong: everybody stops

static inline struct cpu* this_cpu(void) {
  struct cpu* cpu;
  __asm__ volatile("movq %%gs:0, %0" : "=r"(cpu));
  return cpu;
}
static inline uint64_t draw(uint64_t* state, uint64_t below) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return (*state >> 11) % below;
}
static inline uint32_t pick(struct cpu* cpu, uint32_t below) { return (uint32_t)draw(&cpu->random, below); }
static inline int is_free(uint32_t vector, uint32_t receiver) {
  return __atomic_load_n(&got[vector][receiver], __ATOMIC_ACQUIRE) == sent[vector][receiver];
}

void set_handlers(void);
void print_report(void);
void report(const char* what, uint64_t a, uint64_t b);  // the first is printed, in the end
void wait_for_line(uint32_t vector, uint32_t receiver);
void send(uint32_t vector, uint32_t receiver);          // waits for the line with interrupts on
void send_to_many(uint32_t vector, uint32_t shorthand);
int send_nmi(uint32_t receiver);  // 0: another is on its way
// HLT, unless `*count` has moved on from `seen`. An NMI in between steps over the HLT.
void halt_for_nmi(volatile uint32_t* count, uint32_t seen);           // interrupts as they are
void halt_for_nmi_listening(volatile uint32_t* count, uint32_t seen);  // STI; HLT

void work_once(struct cpu* cpu);  // one of everything that can be mixed
