// What other processors can do to a vCPU besides the IRR: NMI, INIT and SIPI, latched until its run loop
// takes them.
//
// Threads: post_*() and any() from any thread; take_*() and clear() only by the holder of the vCPU's lease.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "apic/types.h"

namespace apic {

// INIT and SIPI, to be acted on in this order.
struct StartupEvents {
  bool init = false;
  std::optional<Vector> sipi;  // start in real mode at vector << 12
  explicit operator bool() const { return init || sipi.has_value(); }
};

class PendingEvents {
 public:
  // The seq_cst exchanges of the post_*() are the poster's half of the sleep/wake protocol in lapic.h; their
  // partner is the load in any().

  // Holds up to two: one to run and one latched behind it, as on a processor.
  void post_nmi() {
    update([](std::uint32_t bits) { return (bits & kNmiCount) < kMaxNmis ? bits + 1 : bits; });
  }
  // What came before it is dropped with it, in the same step, so that what comes after is not: an older SIPI,
  // for which the processor would have left before, and older NMIs.
  void post_init() {
    update([](std::uint32_t bits) { return (bits & ~(kSipi | kSipiVector | kNmiCount)) | kInit; });
  }
  // The first SIPI after an INIT wins.
  void post_sipi(Vector vector) {
    const std::uint32_t sipi = kSipi | static_cast<std::uint32_t>(raw(vector)) << kSipiVectorShift;
    update([sipi](std::uint32_t bits) { return (bits & kSipi) ? bits : bits | sipi; });
  }

  // seq_cst: the sleeper's half; its partners are the exchanges above.
  bool any() const { return bits_.load(std::memory_order_seq_cst) != 0; }

  // acquire in both: the partners are the exchanges above.
  unsigned take_nmis() { return bits_.fetch_and(~kNmiCount, std::memory_order_acquire) & kNmiCount; }
  StartupEvents take_startup(bool waiting_for_sipi) {
    // Run before every guest entry: look before paying for the exchange. Whoever posts after this look kicks.
    if (!(bits_.load(std::memory_order_relaxed) & (kInit | kSipi))) return {};
    const std::uint32_t taken = bits_.fetch_and(~(kInit | kSipi | kSipiVector), std::memory_order_acquire);
    StartupEvents events;
    events.init = taken & kInit;
    if ((taken & kSipi) && (events.init || waiting_for_sipi)) {
      events.sipi = Vector((taken & kSipiVector) >> kSipiVectorShift);
    }
    return events;
  }

  void clear() { bits_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t kNmiCount = 3;
  static constexpr std::uint32_t kMaxNmis = 2;
  static constexpr std::uint32_t kInit = 1u << 2;
  static constexpr std::uint32_t kSipi = 1u << 3;
  static constexpr unsigned kSipiVectorShift = 8;
  static constexpr std::uint32_t kSipiVector = 0xffu << kSipiVectorShift;

  template <class Change>
  void update(Change change) {
    std::uint32_t old = bits_.load(std::memory_order_relaxed);
    while (!bits_.compare_exchange_weak(old, change(old), std::memory_order_seq_cst)) {
    }
  }

  std::atomic<std::uint32_t> bits_{0};
};

}  // namespace apic
