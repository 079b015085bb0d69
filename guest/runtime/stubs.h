/* What stubs.S and C agree on. Included from both. */
#ifndef KVMUX_GUEST_RUNTIME_STUBS_H_
#define KVMUX_GUEST_RUNTIME_STUBS_H_

/* Offsets into struct vcpu, which GS points to; asserted in vcpu.h. */
#define VCPU_IPIS_HANDLED 8
#define VCPU_LAPIC_EOI 16

/* In RAX at a UD2: halt, and not a bug. RDI is the address of the word to wait for; RAX is 0 afterwards if
 * the vCPU halted. */
#define HALT_REQUEST 0x6b766d68

/* Bytes between the entries of fault_entries. */
#define FAULT_ENTRY_BYTES 16

#endif /* KVMUX_GUEST_RUNTIME_STUBS_H_ */
