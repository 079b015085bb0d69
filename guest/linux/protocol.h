/* The contract between kvmux and the agent in a Linux guest: lines of text on the guest's second serial port (ttyS1, COM2).
 * Self-contained, C and C++; versioned like guest/abi.h.
 *
 * A line ends with '\n' (a '\r' before it is ignored), has at most KVMUX_LINUX_LINE_MAX bytes without it, words of printable
 * ASCII with one space between them. Numbers are decimal, below 2^63.
 *
 * Guest → host, in this order:
 *   hello VERSION LOAD            the agent runs and prepares LOAD, as kvmux.load= on the kernel's command line had it
 *   ready                         the load is prepared and waits; everything that is done once is done
 *   counters N ops=… at=… now=… tick=… steal=… [us.NAME=… …]      the answer to `count N`, at once
 *   ended                         the answer to `stop`: the load is gone; the machine powers off
 *   error TEXT                    at any time instead: nothing more comes, the machine powers off
 * Host → guest:
 *   go                            once, after `ready`: the load runs until stop
 *   count N                       after go, any number of times; answers come in the order of the questions
 *   stop                          any time after hello
 *
 * The fields of `counters`; each occurs once, the order is free, others are skipped (a later revision may add some):
 *   ops    operations that the whole load has finished since go; never falls. What one is: guest/linux/loads.h
 *   at     the guest's CLOCK_MONOTONIC in ns when `ops` was so. Programs that report now and then have their last report here;
 *          so throughput is Δops / Δat between two answers. Never falls
 *   now    CLOCK_MONOTONIC in ns when the agent answers, at which `steal` was read
 *   tick   ns of one unit of `steal` (the grain of /proc/stat)
 *   steal  of /proc/stat, in units of `tick`, one number a CPU that is online, with commas: "12,7"
 *   us.X   a percentile of the load's latencies in µs, of what finished between the last answer (or go) and this one;
 *          X is p50, p99.9, max, …: [a-z0-9.], at most KVMUX_LINUX_NAME_MAX characters; the value has at most three decimals.
 *          None of them: the load has no latencies, or none finished
 */
#ifndef KVMUX_GUEST_LINUX_PROTOCOL_H_
#define KVMUX_GUEST_LINUX_PROTOCOL_H_

#define KVMUX_LINUX_VERSION 1u  /* of what is here since the first version, and has not changed */
#define KVMUX_LINUX_REVISION 1u /* what has been added */

#define KVMUX_LINUX_PORT "ttyS1"
#define KVMUX_LINUX_PARAMETER "kvmux.load" /* on the kernel's command line: kvmux.load=dbench:8 */

#define KVMUX_LINUX_LINE_MAX 8192u
#define KVMUX_LINUX_CPUS_MAX 256u     /* numbers of `steal`; a guest with more leaves the others out */
#define KVMUX_LINUX_LATENCIES_MAX 16u /* fields us.X of one answer */
#define KVMUX_LINUX_NAME_MAX 15u
#define KVMUX_LINUX_LOAD_MAX 63u /* characters of LOAD: [A-Za-z0-9:._-] */
#define KVMUX_LINUX_TEXT_MAX 200u

#endif
