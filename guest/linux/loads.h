/* The loads of the agent in a Linux guest: one row a load, for the agent (how to run it: load_*.c) and for the host
 * (what an image needs: vmm/linux/loads.h). docs/linux-guests.md shows the same table.
 *
 * KVMUX_LINUX_LOAD(symbol, name, argument, programs, operation)
 *   argument   what may follow "NAME:"; "" if nothing, in brackets if it may be left out
 *   programs   files of the image, by their paths there, with spaces; their packages: vmm/linux/build_image.cc
 *   operation  what is counted
 */
KVMUX_LINUX_LOAD(idle, "idle", "", "", "none: nothing runs")
KVMUX_LINUX_LOAD(busy, "busy", "[THREADS]", "", "1,000 turns of an empty loop, in threads that never sleep")
KVMUX_LINUX_LOAD(dbench, "dbench", "[CLIENTS]", "/usr/bin/dbench /usr/share/dbench/client.txt",
                 "a line of dbench's load file done by a client, on tmpfs")
KVMUX_LINUX_LOAD(hackbench, "hackbench", "[GROUPS]", "/usr/bin/hackbench", "a message from a sender to a receiver, by a pipe")
KVMUX_LINUX_LOAD(cyclictest, "cyclictest", "[THREADS]", "/usr/bin/cyclictest", "a wake-up by timer, one a millisecond and thread")
KVMUX_LINUX_LOAD(sysbench_mutex, "sysbench-mutex", "[THREADS]", "/usr/bin/sysbench", "a mutex taken and released")
KVMUX_LINUX_LOAD(sysbench_threads, "sysbench-threads", "[THREADS]", "/usr/bin/sysbench",
                 "an event of sysbench threads: 100 yields with one of 8 mutexes held")
KVMUX_LINUX_LOAD(sysbench_cpu, "sysbench-cpu", "[THREADS]", "/usr/bin/sysbench", "an event of sysbench cpu: the primes below 2,000")
KVMUX_LINUX_LOAD(pigz, "pigz", "[THREADS]", "/usr/bin/pigz", "a KiB taken in for compression (stands for dedup)")
KVMUX_LINUX_LOAD(zstd, "zstd", "[THREADS]", "/usr/bin/zstd", "a KiB taken in for compression (stands for dedup)")
KVMUX_LINUX_LOAD(vips, "vips", "[THREADS]", "/usr/bin/vips", "a picture sharpened")
KVMUX_LINUX_LOAD(compile, "compile", "[JOBS]", "/usr/bin/tcc", "a C file of 5,200 lines compiled, JOBS at once, each by a process of its own")
KVMUX_LINUX_LOAD(stress_ng, "stress-ng", "[STRESSOR[:WORKERS]]", "/usr/bin/stress-ng", "a bogo operation of the stressor (switch)")
