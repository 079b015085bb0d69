// What happens around each KVM_RUN: interrupts, NMIs, INIT and SIPI, timer, CR8. Lease holder only; no system
// call.
#pragma once

#include "vmm/run/board.h"
#include "vmm/run/vcpu.h"

namespace vmm {

enum class Entry : uint8_t {
  kReady,   // KVM_RUN
  kAsleep,  // halted or waiting for a SIPI, and nothing to take: halt again
};

// After each KVM_RUN, whatever ended it: CR8 as the guest left it. Comes before the exit is handled, which
// may write the same TPR.
void note_cr8(Vcpu& vcpu);

Entry prepare_entry(Vcpu& vcpu, Nanos now);

}  // namespace vmm
