// Where everything lies in the memory of a guest started by guest/abi.h. Pure, any thread.
//
//   0x0000 …               first 4 KiB: not mapped, null pointers fault
//   0x1000                 struct kvmux_boot_info
//   0x2000 …               page tables
//   0x10000 …              GDT and TSS of each vCPU, 256 bytes each
//   1 MiB … image end      the guest's image
//   … guest_end            free for the guest
//   guest_end …            per vCPU: start stack, RSP0 stack, IST1 stack
//   …                      mark rings, if they are wanted, one for each vCPU
//   … memory end           results, a page for each vCPU
//   4 GiB - 20 MiB …       unbacked, every access exits: IOAPIC, doorbell, local APIC
#pragma once

#include <cstdint>
#include <optional>

#include "guest/abi.h"
#include "vmm/ids.h"
#include "vmm/kvm/memory.h"
#include "vmm/load/elf.h"
#include "vmm/result.h"

namespace vmm {

inline constexpr uint32_t kMaxVcpus = 1024;
// RAM starts at 0 and is contiguous: it must end below the MMIO hole of the last GiB.
inline constexpr uint64_t kMaxMemoryBytes = uint64_t{3} << 30;
inline constexpr Gpa kIoapicPage{0xfec00000};
inline constexpr Gpa kDoorbellPage{0xfed80000};
inline constexpr Gpa kLapicPage{0xfee00000};

struct LayoutPlan {
  uint32_t vcpu_count = 0;
  uint64_t memory_bytes = 0;  // a multiple of 2 MiB
  bool has_marks = false;     // there are mark rings
  Gpa guest_end;              // the guest's image and free memory end here, the VMM's stacks begin

  [[nodiscard]] Gpa boot_info() const;
  [[nodiscard]] Gpa page_tables() const;  // the PML4 comes first
  [[nodiscard]] Gpa gdt(VcpuIndex vcpu) const;
  [[nodiscard]] Gpa tss(VcpuIndex vcpu) const;
  // Stacks grow down from these.
  [[nodiscard]] Gpa start_stack_top(VcpuIndex vcpu) const;
  [[nodiscard]] Gpa rsp0_top(VcpuIndex vcpu) const;
  [[nodiscard]] Gpa ist1_top(VcpuIndex vcpu) const;
  [[nodiscard]] Gpa results(VcpuIndex vcpu) const;  // struct kvmux_vcpu_results
  [[nodiscard]] Gpa marks(VcpuIndex vcpu) const;    // struct kvmux_mark_ring
};

struct LayoutRequest {
  uint32_t vcpu_count = 1;
  uint64_t memory_bytes = 0;  // 0: what image and vCPUs need, and some more for the guest to use
  Gpa image_end = kImageStart;
  bool marks = false;  // left out where the memory that was asked for has no room for them
};

// Usage errors: no or too many vCPUs, memory too small (says how many MiB are needed) or too large.
[[nodiscard]] Result<LayoutPlan> plan_layout(const LayoutRequest& request);

// Sets the fields that follow from the layout: magic, version, size, vcpu_count, the memory and page
// addresses.
void describe_layout(const LayoutPlan& plan, Gpa image_end, kvmux_boot_info& info);

}  // namespace vmm
