// What a tiny guest's vCPU has marked (guest/abi.h, struct kvmux_mark_ring) since it entered the guest.
//
// The lease holder's, after KVM_RUN and before anything else of that exit. The ring is guest memory: another
// vCPU of the guest may write to it at any time, and nothing in it is believed. A look takes at most one
// ring's entries.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "guest/abi.h"
#include "sched/base/trace.h"
#include "sched/base/types.h"

namespace vmm {

class GuestMarks {
 public:
  // Between two instants of the run's clock; a third, not before the second, and the guest's TSC then.
  struct Stay {
    sched::Nanos entered{};
    sched::Nanos exited{};
    sched::Nanos now{};
    uint64_t tsc = 0;
  };

  GuestMarks() = default;  // there are none
  GuestMarks(kvmux_mark_ring* ring, double tsc_khz) : ring_(ring), tsc_khz_(tsc_khz) {}

  bool any() const { return ring_ != nullptr; }

  // Calls record(at, what, value) for each new mark, oldest first, `at` within the stay and never running
  // backwards. Returns how many were overwritten before they could be read.
  template <class Record>
  uint64_t take(const Stay& stay, Record record) {
    const uint64_t count = word(ring_->count).load(std::memory_order_acquire);
    uint64_t lost = 0;
    if (count - seen_ > KVMUX_MARK_SLOTS) {  // it ran on, or backwards
      lost = count > seen_ ? count - seen_ - KVMUX_MARK_SLOTS : 0;
      seen_ = count - KVMUX_MARK_SLOTS;
    }
    sched::Nanos last = stay.entered;
    for (; seen_ != count; ++seen_) {
      kvmux_mark_entry& entry = ring_->entries[seen_ % KVMUX_MARK_SLOTS];
      const uint64_t tsc = word(entry.tsc).exchange(0, std::memory_order_acquire);
      if (tsc == 0) break;  // it left the guest in the middle of this one
      const uint64_t what = word(entry.what).load(std::memory_order_relaxed);
      last = std::max(last, std::min(stay.exited, at(stay, tsc)));
      if ((what & 0xff) < static_cast<uint64_t>(sched::TraceMark::kCount))
        record(last, what & 0xff, what >> 8);
    }
    return lost;
  }

 private:
  static std::atomic_ref<uint64_t> word(uint64_t& in_guest) { return std::atomic_ref<uint64_t>(in_guest); }

  sched::Nanos at(const Stay& stay, uint64_t tsc) const {
    constexpr double kNanosPerMs = 1e6;
    if (tsc >= stay.tsc) return stay.exited;
    const double before = static_cast<double>(stay.tsc - tsc) / tsc_khz_ * kNanosPerMs;
    const auto longest = static_cast<double>((stay.now - stay.entered).count());
    return before >= longest ? stay.entered : stay.now - sched::Nanos{static_cast<int64_t>(before)};
  }

  kvmux_mark_ring* ring_ = nullptr;
  double tsc_khz_ = 0;
  uint64_t seen_ = 0;
};

}  // namespace vmm
