// Spin detection without the guest's help: does a vCPU that was just taken out of the guest stand in a PAUSE
// loop? Lease holder only.
#pragma once

#include "vmm/kvm/memory.h"
#include "vmm/run/vcpu.h"

namespace vmm {

// RIP stands in a short loop that contains a PAUSE (F3 90): between a backward branch and its target, with
// the PAUSE there too. Code that merely holds a PAUSE, as one that backs off once, has no such branch around RIP.
// Reads the code where the guest's page tables say. Bytes are not decoded from a known start, so data that looks
// like such a loop is taken for one.
bool in_pause_loop(const Vcpu& vcpu, const GuestMemory& memory);

}  // namespace vmm
