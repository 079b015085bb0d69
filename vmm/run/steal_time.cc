#include "vmm/run/steal_time.h"

#include <atomic>

namespace vmm {
namespace {

// The guest may look, and write, at any time.
template <class T>
std::atomic_ref<T> shared(T& member) {
  return std::atomic_ref<T>(member);
}

}  // namespace

bool StealTime::write_msr(uint64_t value) {
  if ((value & KVM_STEAL_RESERVED_MASK) != 0) return false;
  kvm_steal_time* area = nullptr;
  if ((value & KVM_MSR_ENABLED) != 0) {
    // Aligned to its size (64 bytes), since the bits below are flags.
    const auto bytes = memory_->span(Gpa{value & KVM_STEAL_VALID_BITS}, sizeof(kvm_steal_time));
    if (!bytes) return false;
    area = reinterpret_cast<kvm_steal_time*>(bytes->data());
  }
  msr_ = value;
  area_ = area;
  off_before_.reset();
  return true;
}

void StealTime::runs(sched::Nanos off) {
  if (!enabled()) return;
  if (!off_before_) off_before_ = off;
  shared(area_->preempted).store(0, std::memory_order_relaxed);
  // Odd while the time changes: readers try again (partner: the guest's two reads of the version around it).
  const auto version = shared(area_->version);
  const uint32_t before = version.load(std::memory_order_relaxed) & ~uint32_t{1};
  version.store(before + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  shared(area_->steal).store(static_cast<uint64_t>((off - *off_before_).count()), std::memory_order_relaxed);
  version.store(before + 2, std::memory_order_release);
}

void StealTime::leaves() {
  if (enabled()) shared(area_->preempted).store(KVM_VCPU_PREEMPTED, std::memory_order_relaxed);
}

}  // namespace vmm
