// The machine state that guest/abi.h promises at the entry point: page tables, GDT and TSS in guest memory,
// registers of every vCPU in 64-bit mode at CPL 0.
//
// Order: plan_layout() → write_tables() and store the boot info at plan.boot_info() → for every vCPU
// enter_long_mode() into its registers → run. Pure; any thread.
#pragma once

#include <linux/kvm.h>

#include "vmm/kvm/memory.h"
#include "vmm/load/layout.h"
#include "vmm/result.h"

namespace vmm {

// Page tables, and a GDT and TSS for each vCPU.
[[nodiscard]] Result<void> write_tables(const LayoutPlan& plan, const GuestMemory& memory);

// Turns reset state into the state at the entry point. What is not part of the contract (APIC base among it)
// stays as it is.
void enter_long_mode(const LayoutPlan& plan, VcpuIndex vcpu, Gpa entry, kvm_regs& regs, kvm_sregs& sregs);

}  // namespace vmm
