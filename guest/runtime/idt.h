/* The interrupt descriptor table, one for the VM. CPL 0 only. */
#ifndef KVMUX_GUEST_RUNTIME_IDT_H_
#define KVMUX_GUEST_RUNTIME_IDT_H_

/* Fills and loads the table. Every vCPU does this for itself: they all store the same values, which costs 0.1
 * ms where CPL 0 is interpreted and needs no order among the vCPUs. */
void idt_load(void);

#endif /* KVMUX_GUEST_RUNTIME_IDT_H_ */
