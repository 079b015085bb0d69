// INIT and SIPI at a vCPU: the architectural state after them (SDM vol. 3, Table "IA-32 and Intel 64
// Processor States Following Power-up, Reset, or INIT"). Lease holder only.
#pragma once

#include "vmm/run/vcpu.h"

namespace vmm {

// Takes what is posted to the LAPIC: INIT puts an application processor into wait-for-SIPI, the BSP at the
// reset vector; a SIPI starts a waiting one in real mode at vector << 12.
void take_startup(Vcpu& vcpu);

}  // namespace vmm
