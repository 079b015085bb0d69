// What KVM says of a vCPU that sleeps in a LAPIC of its own.
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "apic/registers.h"
#include "vmm/kvm/ioctl_numbers.h"
#include "vmm/kvm/vcpu.h"

namespace vmm {
namespace {

constexpr uint32_t kRequestRegister = 0x200;  // IRR: eight words, 16 bytes apart
constexpr uint32_t kTimerEntry = 0x320;
constexpr uint32_t kCounterEntry = 0x340;
constexpr uint32_t kCurrentCount = 0x390;
constexpr uint32_t kMsrTscDeadline = 0x6e0;
constexpr uint32_t kNmiDelivery = 4;

uint32_t word(const kvm_lapic_state& lapic, uint32_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, lapic.regs + offset, sizeof(value));
  return value;
}

bool has_request(const kvm_lapic_state& lapic) {
  for (uint32_t i = 0; i < 8; ++i) {
    if (word(lapic, kRequestRegister + 16 * i) != 0) return true;
  }
  return false;
}

// A deadline in the past has been taken back by KVM; one that cannot be read counts as armed.
bool has_deadline(int fd) {
  struct {
    uint32_t count;
    uint32_t pad;
    kvm_msr_entry entry;
  } msrs{1, 0, {kMsrTscDeadline, 0, 0}};
  return ::ioctl(fd, kKvmGetMsrs, &msrs) != 1 || msrs.entry.data != 0;
}

bool has_event(const kvm_vcpu_events& events) {
  return events.exception.injected != 0 || events.exception.pending != 0 || events.interrupt.injected != 0 ||
         events.nmi.injected != 0 || (events.nmi.pending != 0 && events.nmi.masked == 0) ||
         events.smi.pending != 0;
}

}  // namespace

Result<VcpuFd::Sleep> VcpuFd::look_at_sleep() const {
  kvm_mp_state state{};
  kvm_vcpu_events events{};
  kvm_lapic_state lapic{};
  // In this order: the first takes in what INIT and SIPI have left.
  if (::ioctl(fd(), KVM_GET_MP_STATE, &state) != 0) return host_error("KVM_GET_MP_STATE", errno);
  if (::ioctl(fd(), KVM_GET_VCPU_EVENTS, &events) != 0) return host_error("KVM_GET_VCPU_EVENTS", errno);
  if (::ioctl(fd(), KVM_GET_LAPIC, &lapic) != 0) return host_error("KVM_GET_LAPIC", errno);
  const uint32_t timer = word(lapic, kTimerEntry);
  const uint32_t counter = word(lapic, kCounterEntry);
  return Sleep{.mp_state = state.mp_state,
               .event_pending = has_event(events),
               .interrupt_pending = has_request(lapic),
               .timer_armed = (timer & apic::kLvtMasked) == 0 &&
                              (word(lapic, kCurrentCount) != 0 || has_deadline(fd())),
               .local_nmi = (counter & apic::kLvtMasked) == 0 &&
                            (counter >> apic::kDeliveryShift & apic::kDeliveryMask) == kNmiDelivery};
}

}  // namespace vmm
