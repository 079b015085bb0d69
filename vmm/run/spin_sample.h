// Spin detection without the guest's help: does a vCPU that was just taken out of the guest stand in a PAUSE
// loop? Lease holder only.
#pragma once

#include <cstdint>

#include "vmm/kvm/memory.h"
#include "vmm/run/vcpu.h"

namespace vmm {

// The address of the PAUSE (F3 90) that RIP stands on or has just passed, or 0. Two samples in a row with the
// same answer mean that the vCPU is busy-waiting. Code is read at RIP as a guest-physical address, which
// holds for guests mapped one to one (guest/abi.h).
uint64_t find_pause_loop(const Vcpu& vcpu, const GuestMemory& memory);

}  // namespace vmm
