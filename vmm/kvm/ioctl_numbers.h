// The KVM ioctls whose number the UAPI header gets wrong in C++.
//
// An ioctl number contains the size of its argument. Structures that end in a flexible array (kvm_cpuid2,
// kvm_msrs, kvm_msr_list, kvm_signal_mask) contain, in newer headers, a helper with an empty struct for it,
// which has size 0 in C and size 1 in C++: sizeof becomes 12 instead of 8, and the kernel answers EINVAL or
// ENOTTY to a number that it does not know. So the size is spelled out here.
#pragma once

#include <linux/kvm.h>
#include <sys/ioctl.h>

#include <cstdint>

namespace vmm {

inline constexpr unsigned long kKvmGetSupportedCpuid = _IOWR(KVMIO, 0x05, uint64_t);
inline constexpr unsigned long kKvmSetCpuid2 = _IOW(KVMIO, 0x90, uint64_t);
inline constexpr unsigned long kKvmGetMsrs = _IOWR(KVMIO, 0x88, uint64_t);
inline constexpr unsigned long kKvmSetMsrs = _IOW(KVMIO, 0x89, uint64_t);
inline constexpr unsigned long kKvmSetGsiRouting = _IOW(KVMIO, 0x6a, uint64_t);

// The head of kvm_cpuid2 as the kernel sees it; the entries follow.
struct CpuidHead {
  uint32_t entry_count;
  uint32_t padding;
};
static_assert(sizeof(CpuidHead) == 8 && sizeof(kvm_cpuid_entry2) == 40, "part of KVM's ABI");

}  // namespace vmm
