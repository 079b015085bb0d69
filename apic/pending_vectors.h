// The IRR, fed by any thread without a lock, with the trigger mode of each request.
//
// An edge and a level request of the same vector may be posted at the same time. Two bits in two words (IRR
// and TMR) could not be set at once, so a request is one bit in one of two sets instead: IRR = edge | level,
// and the trigger mode travels with the very bit that is accepted. A merged pair counts as level: its EOI
// must reach the IOAPIC, which is waiting for it.
//
// Threads: post() and the readers from any thread. take() and clear() only by the holder of the vCPU's lease.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <optional>

#include "apic/types.h"

namespace apic {

class alignas(64) PendingVectors {
 public:
  // seq_cst: the poster's half of the sleep/wake protocol in lapic.h; its partner is the sleeper's highest().
  void post(Vector v, TriggerMode trigger) {
    auto& set = trigger == TriggerMode::kLevel ? level_ : edge_;
    set[word(v)].fetch_or(bit(v), std::memory_order_seq_cst);
  }

  // seq_cst: the sleeper's half; its partner is post().
  std::optional<Vector> highest() const {
    for (unsigned i = 4; i-- > 0;) {
      const std::uint64_t both =
          edge_[i].load(std::memory_order_seq_cst) | level_[i].load(std::memory_order_seq_cst);
      if (both) return Vector(i * 64 + 63 - static_cast<unsigned>(std::countl_zero(both)));
    }
    return std::nullopt;
  }

  // Removes the request and returns its trigger mode. acquire: its partner is post(), whatever the poster did
  // before is visible to the handler's vCPU.
  TriggerMode take(Vector v) {
    const std::uint64_t mask = bit(v);
    const bool level = level_[word(v)].fetch_and(~mask, std::memory_order_acquire) & mask;
    edge_[word(v)].fetch_and(~mask, std::memory_order_acquire);
    return level ? TriggerMode::kLevel : TriggerMode::kEdge;
  }

  void clear() {
    for (unsigned i = 0; i < 4; ++i) {
      edge_[i].store(0, std::memory_order_relaxed);
      level_[i].store(0, std::memory_order_relaxed);
    }
  }

  // The i-th of the eight 32-bit registers.
  std::uint32_t edge_word32(unsigned i) const { return word32(edge_, i); }
  std::uint32_t level_word32(unsigned i) const { return word32(level_, i); }

 private:
  using Words = std::array<std::atomic<std::uint64_t>, 4>;
  static unsigned word(Vector v) { return raw(v) / 64u; }
  static std::uint64_t bit(Vector v) { return std::uint64_t{1} << (raw(v) % 64u); }
  static std::uint32_t word32(const Words& words, unsigned i) {
    return static_cast<std::uint32_t>(words[i / 2].load(std::memory_order_relaxed) >> (i % 2 * 32));
  }

  // One cache line together: a poster touches one line, a scan reads one.
  Words edge_{};
  Words level_{};
};

}  // namespace apic
