// What surrounds the vCPUs of one VM: the interrupt fabric, ports, MMIO and the doorbell. The exit dispatcher
// turns KVM exits into these calls; tests give it a board of their own.
//
// Called by whichever thread holds the lease of the vCPU that caused the exit, several at a time: a board
// locks what its vCPUs share.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "apic/types.h"
#include "vmm/ids.h"
#include "vmm/kvm/memory.h"
#include "vmm/run/vcpu.h"

namespace vmm {

// What the run loop does after an exit was handled.
enum class Next : uint8_t {
  kEnter,     // go on in the guest
  kHalt,      // HLT with nothing to take
  kSent,      // go on; it has sent IPIs
  kSpin,      // the guest says that it is busy-waiting
  kStopVcpu,  // this vCPU has ended
  kStopVm,    // the VM has ended, by itself or for what it did
};

// What devices may still send to vCPUs that do nothing any more.
enum class Wake : uint8_t {
  kNothing,
  kInterrupts,
  kEvents,  // NMI, INIT or SMI as well
};

class Board {
 public:
  virtual ~Board() = default;

  // The vCPU wrote its ICR or SELF IPI register: deliver it, tell the scheduler, wake or kick the receivers.
  virtual void ipi(Vcpu& source, const apic::IpiRequest& request) = 0;
  virtual void end_of_interrupt(Vcpu& vcpu, const apic::EndOfInterrupt& eoi) = 0;

  // IN and OUT: `data` is 1, 2 or 4 bytes. Unclaimed reads are ones, unclaimed writes are ignored; both are
  // counted.
  virtual Next port_read(Vcpu& vcpu, uint16_t port, std::span<uint8_t> data) = 0;
  virtual Next port_write(Vcpu& vcpu, uint16_t port, std::span<const uint8_t> data) = 0;
  // Guest-physical addresses that neither RAM nor the vCPU's own LAPIC page back; up to 8 bytes.
  virtual Next mmio_read(Vcpu& vcpu, Gpa address, std::span<uint8_t> data) = 0;
  virtual Next mmio_write(Vcpu& vcpu, Gpa address, std::span<const uint8_t> data) = 0;

  // A LAPIC may accept messages from now on that it refused before.
  virtual void acceptance_changed() {}
  // The page at this address is RAM of this VM.
  virtual bool is_ram(Gpa) const { return false; }

  // A LAPIC inside KVM ended a level-triggered interrupt (split irqchip).
  virtual void ioapic_eoi(apic::Vector) {}

  // All vCPUs stand still: what may come yet. Any thread.
  virtual Wake may_wake() const { return Wake::kEvents; }

  // KVM could not emulate an instruction. True: it was completed, go on.
  virtual bool complete_instruction(Vcpu& vcpu) = 0;
  // The guest did what ends it: remember why. The caller then returns Next::kStopVm.
  virtual void fail(const Vcpu& vcpu, const std::string& why) = 0;
};

}  // namespace vmm
