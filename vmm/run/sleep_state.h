// Why a vCPU does not run, and whether a VM's vCPUs can ever run again.
//
// sleep_state() touches the vCPU: the engine is paused or has stopped. It asks KVM only where the LAPICs are
// there, or for registers that nobody kept. The rest is arithmetic, any thread.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "vmm/run/board.h"
#include "vmm/run/vm.h"

namespace vmm {

struct SleepState {
  enum class Kind : uint8_t {
    kAwake,         // or nobody knows
    kStopped,       // by itself, for good
    kWaitsForSipi,  // since its reset or an INIT
    kDeaf,          // halted with interrupts off: NMI, INIT and SMI wake it
    kHalted,        // with interrupts on
  };
  Kind kind = Kind::kAwake;
  bool pending = false;  // something that wakes it is on its way
  bool timer = false;    // of its LAPIC, armed
  Nanos timer_due{};     // … how far from now; 0: that is not known
  uint64_t rip = 0;
  unsigned cpl = 0;
};

[[nodiscard]] SleepState sleep_state(Vcpu& vcpu, LapicPlace lapic, Nanos now);
[[nodiscard]] std::vector<SleepState> sleep_states(Vm& vm, Nanos now);

// It is certain that none of a VM's vCPUs runs any more. `devices`: what the board may still send.
[[nodiscard]] bool never_again(std::span<const SleepState> vcpus, Wake devices);

// "vCPU 0 halted with interrupts off at RIP 0x7c01, CPL 0; vCPU 1 waits for a SIPI at RIP 0xfff0": by vCPU, of
// many only the first.
[[nodiscard]] std::string describe(std::span<const SleepState> vcpus);

}  // namespace vmm
