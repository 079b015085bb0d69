/* The runtime's face to a workload: one file in workloads/ that defines run(). Every vCPU of the VM calls it
 * once, at the CPL that --ring asks for, with interrupts on, the local APIC enabled and all of struct vcpu
 * set up. It normally never returns: the host stops the VM. If it does return, the vCPU stops with exit code
 * 0.
 *
 * Memory shared between vCPUs is either static (.bss is zero) or, where its size depends on vcpu_count, taken
 * by heap(). All-zero memory must be a valid start, or vCPU 0 sets it up before start_together().
 */
#ifndef KVMUX_GUEST_RUNTIME_RUNTIME_H_
#define KVMUX_GUEST_RUNTIME_RUNTIME_H_

#include "guest/runtime/vcpu.h"

/* Exit codes of the runtime itself. */
#define STOP_REFUSED 2u /* the workload cannot run with these parameters; the reason has been logged */
#define STOP_FAULT 128u /* + vector */

void run(struct vcpu* self);

/* Called for each VECTOR_IPI_WORK; defined by the workload that sends it, does nothing otherwise. May nest at
 * CPL 3. */
void irq_work(struct vcpu* self);

/* Returns when all vCPUs have called it. IPIs may be sent afterwards: every local APIC is enabled. */
void start_together(struct vcpu* self);

/* The same `bytes` of free memory, zeroed and aligned to a cache line, for every vCPU that asks. A workload
 * calls it for one size only. Does not return if there is not as much. */
void* heap(struct vcpu* self, uint64_t bytes);

/* Logs why and stops this vCPU with STOP_REFUSED. */
void refuse(const struct vcpu* self, const char* why) __attribute__((noreturn));

/* Refuses unless every vCPU can be the destination of an IPI in xAPIC mode. */
void require_xapic_ids(const struct vcpu* self);

void stop(const struct kvmux_boot_info* boot, uint64_t code) __attribute__((noreturn));

#endif /* KVMUX_GUEST_RUNTIME_RUNTIME_H_ */
