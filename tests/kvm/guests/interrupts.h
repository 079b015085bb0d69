// Shared by the files of the image `interrupts`.
#pragma once

#include "guest.h"

#define CPUS 4
#define REMOTE_VECTOR 0xf1

extern volatile uint32_t got[CPUS][256];  // interrupts by APIC id and vector
void count_interrupt(struct frame* f);
void on_cpu(uint32_t cpu, void (*work)(void));  // and wait
void on_all(void (*work)(void));
void software_disable(void);  // of processor 2, for a while
void wait_in_halt(uint32_t id);
void restart_third(void (*work)(uint32_t id));  // processor 3, by INIT and SIPI, to run this
void expect_one(uint32_t destination, uint32_t low, uint8_t vector, const char* name);
void expect_ipi(uint32_t destination, uint32_t low, uint8_t vector, uint32_t cpus, const char* name);

// The parts that this processor does alone.
void priorities(void);
void timers(void);
void errors(void);
void external_interrupts(void);
void x2apic(void (*arrival)(uint32_t id));  // what processor 3 does when started anew
