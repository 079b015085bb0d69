/* The contract between kvmux and a tiny guest: one self-contained C/C++ header, nothing else needed.
 *
 * Start: every vCPU enters the ELF entry point in 64-bit long mode at CPL 0, interrupts off, with
 *   RDI = struct kvmux_boot_info *    RSI = index of this vCPU (0 … vcpu_count-1)    RSP = its own stack
 * so that (built with -mno-red-zone -mgeneral-regs-only) `void _start(const struct kvmux_boot_info *boot,
 * uint64_t vcpu)` is a complete guest. RAM is mapped one to one and user-accessible (the first 4 KiB are not
 * mapped: null pointers fault), and so are the doorbell and local APIC pages. RAM outside the image and the
 * boot information is zero. The GDT, a TSS (RSP0 and IST1 on stacks of their own) and the page tables are in
 * place; the IDT is the guest's business. The start stack has at least KVMUX_STACK_MIN bytes, the RSP0 and
 * IST1 stacks half of that. The local APIC id of a vCPU is its index. A guest that wants native speed on
 * every host drops to CPL 3 with kvmux_enter_user(): hosts without hardware virtualization interpret CPL 0
 * code.
 *
 * No exits are needed to report progress: a vCPU stores into its own struct kvmux_vcpu_results.
 * Everything here is versioned by KVMUX_ABI_VERSION; a guest must check magic and version before use.
 */
#ifndef KVMUX_GUEST_ABI_H_
#define KVMUX_GUEST_ABI_H_

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
#else
#include <stddef.h>
#include <stdint.h>
#endif

#define KVMUX_ABI_MAGIC 0x3176586d764b4bedULL
#define KVMUX_ABI_VERSION 1u  /* of what is here since the first version, and has not changed */
#define KVMUX_ABI_REVISION 2u /* what has been added: 2: struct kvmux_sync */

/* Segment selectors of the GDT that a vCPU starts with (SYSRET order). */
#define KVMUX_SEL_KERNEL_CODE 0x08u
#define KVMUX_SEL_KERNEL_DATA 0x10u
#define KVMUX_SEL_USER_DATA 0x1bu
#define KVMUX_SEL_USER_CODE 0x23u
#define KVMUX_SEL_TSS 0x28u

#define KVMUX_STACK_MIN 8192u

/* I/O ports, CPL 0 only: a 16550 serial console and QEMU's isa-debug-exit (status `(code << 1) | 1`). */
#define KVMUX_PORT_SERIAL 0x3f8u
#define KVMUX_PORT_DEBUG_EXIT 0xf4u

/* The doorbell: 64-bit stores to boot->doorbell + offset. Each one is an exit to the hypervisor. */
#define KVMUX_BELL_SPIN 0x00u   /* I am busy-waiting; value: enum kvmux_wait */
#define KVMUX_BELL_LOG 0x08u    /* value: address of a NUL-terminated string, at most KVMUX_LOG_MAX bytes */
#define KVMUX_BELL_RESULT 0x10u /* value: address of a struct kvmux_check */
#define KVMUX_BELL_STOP 0x18u   /* this vCPU is done; value: exit code, 0 is success; never returns */
#define KVMUX_BELL_SIZE 0x1000u
#define KVMUX_LOG_MAX 1024u

/* What a spinning vCPU says of its wait. Policies must work with KVMUX_WAIT_UNKNOWN. */
enum kvmux_wait {
  KVMUX_WAIT_UNKNOWN = 0,
  KVMUX_WAIT_BEGINS = 1, /* the first ring of this wait */
  KVMUX_WAIT_GOES_ON = 2 /* it has rung in this wait before */
};

enum kvmux_lock_kind { KVMUX_LOCK_TTAS = 0, KVMUX_LOCK_TICKET = 1, KVMUX_LOCK_MCS = 2, KVMUX_LOCK_PV = 3 };

#define KVMUX_FANOUT_ALL 0xffffffffu

/* Parameters of the built-in workloads; a guest of your own may use or ignore them. Times are in nanoseconds
 * of uninterrupted execution: turn them into loop counts with delay_iters_per_ms. */
struct kvmux_workload {
  uint64_t think_ns; /* work outside the critical section, mean; each turn draws from ±25 % */
  uint64_t hold_ns; /* lock: work inside the critical section; ipi: work in the interrupt handler; mixed: work
                       inside a stage's queue lock, per item */
  uint32_t lock_kind;  /* enum kvmux_lock_kind */
  uint32_t lock_count; /* lock: number of locks, ≥ 1 */
  uint32_t fanout;     /* ipi: receivers per send, 1 … vcpu_count-1, or KVMUX_FANOUT_ALL (all but self) */
  uint32_t senders;    /* ipi: vCPUs 0 … senders-1 send, the others compute; 0 means all send */
  uint32_t stages;     /* mixed: pipeline stages */
  uint32_t batch;      /* mixed: items a vCPU handles between two barriers */
};

/* Boot flag: the local APIC takes a 64-bit store to 0x300 as ICR high, then ICR low: one exit instead of two.
 * Without it only 32-bit stores are understood, as the SDM says. */
#define KVMUX_BOOT_ICR64 1u

struct kvmux_boot_info {
  uint64_t magic;   /* KVMUX_ABI_MAGIC */
  uint32_t version; /* KVMUX_ABI_VERSION */
  uint32_t size;    /* sizeof(struct kvmux_boot_info) */
  uint32_t vm_id;
  uint32_t vcpu_count;
  uint32_t ring;         /* 3: run the workload at CPL 3; 0: stay at CPL 0 */
  uint32_t flags;        /* KVMUX_BOOT_* */
  uint64_t memory_bytes; /* RAM from address 0 */
  uint64_t free_start;   /* RAM from here … */
  uint64_t free_end;     /* … to here belongs to the guest (page aligned) */
  uint64_t doorbell;     /* address of the doorbell page */
  uint64_t lapic;        /* address of the local APIC page (xAPIC mode at start) */
  uint64_t results;      /* address of vcpu_count struct kvmux_vcpu_results, one after the other */
  uint64_t seed;         /* of this VM; mix in the vCPU index */
  uint64_t tsc_khz;
  uint64_t delay_iters_per_ms; /* kvmux_delay() iterations in one millisecond of uninterrupted execution */
  uint64_t pauses_per_ms;      /* spin-loop turns (PAUSE, load, compare) in one millisecond */
  uint64_t spin_window_ns;     /* ring KVMUX_BELL_SPIN after this much time in PAUSE; 0: never */
  struct kvmux_workload workload;
  char args[256];  /* --guest-args, NUL-terminated */
  uint8_t pad[96]; /* what follows is written during the run: it has a line of its own */
  /* How many of this VM's vCPUs are on a CPU right now, the reader included. 0: the host does not tell. Who
   * is alone waits in vain: whoever could end the wait does not run. */
  uint64_t vcpus_running;
  uint64_t marks; /* address of vcpu_count mark rings; 0: nobody reads them */
  uint64_t revision; /* KVMUX_ABI_REVISION of the host; 0: it is older than that word */
};

/* Marks: what a vCPU does, written into a ring in memory without an exit, for traces (docs/trace.md). value:
 * the thing meant (a lock, a queue, an inbox), by an address or a number below 2^56 that is the same for the
 * whole VM. */
enum kvmux_mark {
  KVMUX_MARK_WAITS = 0,         /* begins to busy-wait */
  KVMUX_MARK_WAIT_OVER = 1,     /* sees that the wait is over */
  KVMUX_MARK_TAKES_LOCK = 2,    /* owns the lock from here on */
  KVMUX_MARK_RELEASES_LOCK = 3, /* … until here */
  KVMUX_MARK_OPERATION = 4,     /* has finished a unit of work */
  KVMUX_MARK_PUTS = 5,          /* leaves something that another may take: an item, a reason to wake up */
  KVMUX_MARK_TAKES = 6,         /* takes one such thing, for which it has waited if there was none */
  KVMUX_MARK_SLEEPS = 7,        /* goes to sleep until there is such a thing */
  KVMUX_MARK_ARRIVES = 8,       /* at a barrier: goes on when all vCPUs of the VM have arrived */
  KVMUX_MARK_AWAITS_ACKS = 9,   /* goes on when all its IPIs have been acknowledged */
  KVMUX_MARK_HANDLER_BEGINS = 10, /* work in an interrupt's handler, outside its stub */
  KVMUX_MARK_HANDLER_ENDS = 11
};
#define KVMUX_MARK_SLOTS 4096u
#define KVMUX_MARK_RING_BYTES 0x11000u /* from one vCPU's ring to the next */

struct kvmux_mark_entry {
  uint64_t tsc;  /* written last; the host clears it when it has read the entry */
  uint64_t what; /* enum kvmux_mark, and the value << 8 */
};
/* Written by its vCPU; the host reads when the vCPU is outside of the guest. */
struct kvmux_mark_ring {
  uint64_t count; /* entries begun so far: the next one is entries[count % KVMUX_MARK_SLOTS] */
  uint64_t pad[7];
  struct kvmux_mark_entry entries[KVMUX_MARK_SLOTS];
};

enum kvmux_vcpu_state { KVMUX_VCPU_NOT_STARTED = 0, KVMUX_VCPU_RUNNING = 1, KVMUX_VCPU_DONE = 2 };

/* Log-linear histogram of TSC ticks: 8 buckets an octave. Bucket of v: v itself below 8, else
 * 8 * (o - 2) + the three bits below the leading one, where o = index of the leading one. */
#define KVMUX_HIST_BUCKETS 512u

/* What a vCPU waits for, busily. */
enum kvmux_waits {
  KVMUX_WAITS_NOT = 0,
  KVMUX_WAITS_LOCK = 1,    /* its owner; where nobody owns it, who is first in line */
  KVMUX_WAITS_BARRIER = 2, /* all that have not arrived in this generation */
  KVMUX_WAITS_ACKS = 3,    /* those in `acks` */
  KVMUX_WAITS_WORK = 4     /* whoever works: an item, or room for one */
};

/* What the host tells, in kvmux_sync.told. */
#define KVMUX_TELLS_PREEMPTED 1u
#define KVMUX_TELLS_TURN_END 2u
#define KVMUX_HEARS_ASKS 4u

#define KVMUX_SYNC_VERSION 2u
#define KVMUX_SYNC_ACKS 1024u

/* Revision 2: what a vCPU publishes for the host's scheduler, and what it is told. All of it may be left alone:
 * no policy for use depends on it. Written with plain 64-bit stores. */
struct kvmux_sync {
  uint64_t version;  /* KVMUX_SYNC_VERSION: the vCPU keeps the words that follow */
  uint64_t critical; /* critical sections that it is inside of */
  uint64_t holds;    /* the lock that it owns, by an address or a number below 2^56; 0: none. Whoever hands a lock
                        over by name may store it for the next owner */
  uint64_t waits;    /* enum kvmux_waits, and the lock or barrier << 8 */
  uint64_t place;    /* lock: its ticket, from 1 on, or 0: any order; barrier: the generation */
  uint64_t asks;     /* please do not preempt me for so many nanoseconds; 0: no matter. It has its price */
  uint64_t unused[2];
  /* By the host. */
  uint64_t told;      /* KVMUX_TELLS_*, KVMUX_HEARS_* */
  uint64_t preempted; /* 1: this vCPU is runnable and has no CPU */
  uint64_t turn_end;  /* when its turn is over, by its TSC, as far as known at the last entry; all ones: never */
  uint64_t unused_told[5];
  /* By the vCPU. */
  uint64_t acks[KVMUX_SYNC_ACKS / 64]; /* bit i: it waits for an acknowledgement of vCPU i */
};

/* One per vCPU, written by that vCPU only (plain stores), read by the host at any time. All counters only
 * grow. */
struct kvmux_vcpu_results {
  uint64_t state;                        /* enum kvmux_vcpu_state */
  uint64_t operations;                   /* finished units of work: the throughput that is reported */
  uint64_t work_iters;                   /* kvmux_delay() iterations done as counted work (think + hold) */
  uint64_t spin_pauses;                  /* spin-loop turns spent waiting */
  uint64_t spin_rings;                   /* KVMUX_BELL_SPIN stores */
  uint64_t ipis_sent;                    /* receivers counted one by one */
  uint64_t ipis_acked;                   /* acknowledged to this vCPU as the sender */
  uint64_t ipis_handled;                 /* interrupts this vCPU handled */
  uint64_t wakeups;                      /* times this vCPU came back from HLT */
  uint64_t errors;                       /* broken expectations that a self-checking workload saw */
  uint64_t user[54];                     /* free for a guest of your own */
  uint32_t ack_hist[KVMUX_HIST_BUCKETS]; /* send → acknowledge, TSC ticks */
  struct kvmux_sync sync;                /* revision 2 */
  uint8_t pad[4096 - 64 * 8 - KVMUX_HIST_BUCKETS * 4 - 256];
};

/* A named check of a self-checking guest, printed and kept in the JSON. */
struct kvmux_check {
  char name[48];
  uint64_t value;
  uint32_t ok; /* 0: failed */
  uint32_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(kvmux_vcpu_results) == 4096, "one page a vCPU");
static_assert(sizeof(kvmux_check) == 64, "part of the contract");
static_assert(sizeof(kvmux_sync) == 256, "part of the contract");
static_assert(offsetof(kvmux_vcpu_results, sync) == 2560, "part of the contract");
static_assert(offsetof(kvmux_boot_info, workload) == 120, "part of the contract");
static_assert(offsetof(kvmux_boot_info, vcpus_running) == 512, "part of the contract");
static_assert(offsetof(kvmux_boot_info, marks) == 520, "part of the contract");
static_assert(sizeof(kvmux_mark_ring) <= KVMUX_MARK_RING_BYTES, "part of the contract");
#else
_Static_assert(sizeof(struct kvmux_vcpu_results) == 4096, "one page a vCPU");
_Static_assert(sizeof(struct kvmux_check) == 64, "part of the contract");
_Static_assert(sizeof(struct kvmux_sync) == 256, "part of the contract");
_Static_assert(offsetof(struct kvmux_vcpu_results, sync) == 2560, "part of the contract");
_Static_assert(offsetof(struct kvmux_boot_info, workload) == 120, "part of the contract");
_Static_assert(offsetof(struct kvmux_boot_info, vcpus_running) == 512, "part of the contract");
_Static_assert(offsetof(struct kvmux_boot_info, marks) == 520, "part of the contract");
_Static_assert(sizeof(struct kvmux_mark_ring) <= KVMUX_MARK_RING_BYTES, "part of the contract");
#endif

/* Bucket of a TSC difference; the host uses the same function to read the histogram. */
static inline uint32_t kvmux_hist_bucket(uint64_t ticks) {
  if (ticks < 8) return (uint32_t)ticks;
  uint32_t octave = 63u - (uint32_t)__builtin_clzll(ticks);
  return 8u * (octave - 2u) + (uint32_t)((ticks >> (octave - 3u)) & 7u);
}

#ifdef KVMUX_GUEST /* helpers for guest code only */

/* What the value points to must be in memory by then: the compiler sees nobody read it. */
static inline void kvmux_ring_bell(const struct kvmux_boot_info* boot, uint32_t offset, uint64_t value) {
  __asm__ volatile("" : : : "memory");
  *(volatile uint64_t*)(boot->doorbell + offset) = value;
}

static inline struct kvmux_vcpu_results* kvmux_results(const struct kvmux_boot_info* boot, uint64_t vcpu) {
  return (struct kvmux_vcpu_results*)boot->results + vcpu;
}

static inline uint64_t kvmux_tsc(void) {
  uint32_t lo, hi;
  __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
  return ((uint64_t)hi << 32) | lo;
}

/* Null where nobody reads marks. */
static inline struct kvmux_mark_ring* kvmux_marks(const struct kvmux_boot_info* boot, uint64_t vcpu) {
  return boot->marks == 0 ? 0 : (struct kvmux_mark_ring*)(boot->marks + vcpu * KVMUX_MARK_RING_BYTES);
}

/* An interrupt handler may mark as well: the place in the ring is taken by one instruction. */
static inline void kvmux_mark(struct kvmux_mark_ring* ring, enum kvmux_mark what, uint64_t value) {
  if (ring == 0) return;
  uint64_t at = 1;
  __asm__ volatile("xaddq %0, %1" : "+r"(at), "+m"(ring->count) : : "cc", "memory");
  struct kvmux_mark_entry* entry = &ring->entries[at % KVMUX_MARK_SLOTS];
  __atomic_store_n(&entry->what, (uint64_t)what | value << 8, __ATOMIC_RELAXED);
  __atomic_store_n(&entry->tsc, kvmux_tsc(), __ATOMIC_RELEASE);
}

/* The unit of counted work: a loop whose speed does not depend on where the linker puts it. */
static inline void kvmux_delay(uint64_t iterations) {
  if (iterations == 0) return;
  __asm__ volatile(".p2align 6\n1: dec %0\n\tjnz 1b" : "+r"(iterations) : : "cc");
}

/* CPL 0 → CPL 3 on the same stack; returns there. Interrupts are on afterwards if `interrupts` is not 0,
 * so load an IDT first. */
static inline void kvmux_enter_user(int interrupts) {
  uint64_t flags = interrupts ? 0x202u : 0x2u;
  __asm__ volatile(
      "mov %%rsp, %%rax\n\t"
      "push %0\n\t"
      "push %%rax\n\t"
      "push %1\n\t"
      "push %2\n\t"
      "lea 1f(%%rip), %%rax\n\t"
      "push %%rax\n\t"
      "iretq\n"
      "1:"
      :
      : "i"(KVMUX_SEL_USER_DATA), "r"(flags), "i"(KVMUX_SEL_USER_CODE)
      : "rax", "memory");
}

#endif /* KVMUX_GUEST */
#endif /* KVMUX_GUEST_ABI_H_ */
