/* How a load is run. One is chosen; all functions are called by the agent's loop. */
#ifndef KVMUX_GUEST_LINUX_LOAD_H_
#define KVMUX_GUEST_LINUX_LOAD_H_

#include <stdint.h>

struct load {
  void (*prepare)(const char* argument); /* what is behind the colon, or ""; give_up() if it cannot be */
  void (*go)(void);
  void (*read)(uint64_t* operations, uint64_t* at); /* since go, and when that was so */
};

#define KVMUX_LINUX_LOAD(symbol, name, argument, programs, operation) extern const struct load load_##symbol;
#include "guest/linux/loads.h"
#undef KVMUX_LINUX_LOAD

/* The number that the argument is, or one a CPU. */
unsigned load_number(const char* argument);

/* For loads that learn of finished work now and then: the sum, and when it was so. */
void reported_start(void); /* at go: nothing yet, now */
void reported_add(uint64_t operations);
void reported_read(uint64_t* operations, uint64_t* at);

#endif
