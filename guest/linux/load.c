#include "guest/linux/load.h"

#include <stdlib.h>

#include "guest/linux/agent.h"

static uint64_t sum, when;

unsigned load_number(const char* argument) {
  if (*argument == '\0') return machine_cpus();
  char* end;
  const unsigned long number = strtoul(argument, &end, 10);
  if (*end != '\0' || number < 1 || number > 4096) give_up("a load's number cannot be '%s'", argument);
  return (unsigned)number;
}

void reported_start(void) {
  sum = 0;
  when = machine_now();
}

void reported_add(uint64_t operations) {
  sum += operations;
  when = machine_now();
}

void reported_read(uint64_t* operations, uint64_t* at) {
  *operations = sum;
  *at = when;
}
