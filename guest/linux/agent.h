/* What the agent's parts share. One thread, but for those of loads; any error ends the agent by give_up(). */
#ifndef KVMUX_GUEST_LINUX_AGENT_H_
#define KVMUX_GUEST_LINUX_AGENT_H_

#include <stddef.h>
#include <stdint.h>

/* machine.c */
void machine_start(void);                         /* mounts, if this is init */
void machine_end(void) __attribute__((noreturn)); /* powers off, if this is init; else exits */
int command_line_value(const char* key, char* value, size_t size); /* 0: it is there and fits */
unsigned machine_cpus(void);                                       /* online */
uint64_t machine_now(void);                                        /* CLOCK_MONOTONIC, ns */
uint64_t machine_tick(void);                                       /* ns of a unit of steal */
size_t machine_steal(uint64_t* ticks, size_t most); /* how many CPUs; 0: /proc/stat cannot be read */
void machine_prefer_agent(void);                    /* this thread before all others; not what it starts */
void give_up(const char* format, ...)
    __attribute__((format(printf, 1, 2), noreturn)); /* `error` to the host, end */

/* port.c */
void port_open(const char* path);
int port_fd(void);
void port_say(const char* line);        /* without newline */
int port_line(char* line, size_t size); /* 1: a whole line came; 0: none now. Longer ones are an error */

/* latency.c: whole µs */
void latency_add(uint64_t us);
size_t latency_take(char* text, size_t size); /* " us.p50=1 us.max=2", and forgets; "" if none came */

#endif
