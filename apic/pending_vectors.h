// The IRR, fed by any thread without a lock, with the trigger mode of each request.
//
// An edge and a level request of the same vector may be posted at the same time. Two bits in two words (IRR
// and TMR) could not be set at once, so a request is one bit in one of two sets instead: IRR = edge | level,
// and the trigger mode travels with the very bit that is accepted. A merged pair counts as level: its EOI
// must reach the IOAPIC, which is waiting for it.
//
// Lives. A poster first looks whether the APIC takes interrupts and then posts; an INIT may come between the
// two, and its request must not be found by whatever runs after it. So each word of the set carries the
// number of the life it belongs to, next to the bits that are posted to it. A poster names the life that it
// looked at (it stands in the word that it looked at, lapic.cc); a request for another life than the word's
// is refused by the compare-exchange that would set its bit. One that comes before begin_life() reaches a
// word is wiped out by it. Nobody waits for anybody.
//
// Threads: post() and the readers from any thread. take(), clear() and begin_life() only by the holder of the
// vCPU's lease.
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
  // Wide enough not to come round while a poster is between its look and its post.
  using Life = std::uint32_t;

  // False: that life is over. seq_cst: the poster's half of the sleep/wake protocol in lapic.h; its partner
  // is the sleeper's highest().
  bool post(Vector v, TriggerMode trigger, Life life = 0) {
    std::atomic<std::uint64_t>& word = words_[index(v)];
    const std::uint64_t bit = trigger == TriggerMode::kLevel ? level_bit(v) : edge_bit(v);
    std::uint64_t old = word.load(std::memory_order_relaxed);
    do {
      if (old >> kLifeShift != life) return false;
    } while (!word.compare_exchange_weak(old, old | bit, std::memory_order_seq_cst));
    return true;
  }

  // seq_cst: the sleeper's half; its partner is post().
  std::optional<Vector> highest() const {
    for (unsigned i = kWords; i-- > 0;) {
      const std::uint64_t word = words_[i].load(std::memory_order_seq_cst);
      const auto both = static_cast<std::uint16_t>(word | word >> kVectors);
      if (both) return Vector(i * kVectors + static_cast<unsigned>(std::bit_width(both)) - 1);
    }
    return std::nullopt;
  }

  // Removes the request and returns its trigger mode. acquire: its partner is post(), whatever the poster did
  // before is visible to the handler's vCPU.
  TriggerMode take(Vector v) {
    const std::uint64_t both = edge_bit(v) | level_bit(v);
    const std::uint64_t old = words_[index(v)].fetch_and(~both, std::memory_order_acquire);
    return old & level_bit(v) ? TriggerMode::kLevel : TriggerMode::kEdge;
  }

  // Forgets all requests and refuses those that are still on their way to an older life. Whoever may post to
  // the new one must not be told its number before.
  void begin_life(Life life) {
    for (auto& word : words_) {
      word.store(static_cast<std::uint64_t>(life) << kLifeShift, std::memory_order_relaxed);
    }
  }
  void clear() {
    for (auto& word : words_) word.fetch_and(~std::uint64_t{0} << kLifeShift, std::memory_order_relaxed);
  }

  // The i-th of the eight 32-bit registers.
  std::uint32_t edge_word32(unsigned i) const { return word32(i, 0); }
  std::uint32_t level_word32(unsigned i) const { return word32(i, kVectors); }

 private:
  // A word: edge requests of 16 vectors, level requests of the same, life.
  static constexpr unsigned kVectors = 16;
  static constexpr unsigned kWords = 256 / kVectors;
  static constexpr unsigned kLifeShift = 2 * kVectors;

  static unsigned index(Vector v) { return raw(v) / kVectors; }
  static std::uint64_t edge_bit(Vector v) { return std::uint64_t{1} << (raw(v) % kVectors); }
  static std::uint64_t level_bit(Vector v) { return edge_bit(v) << kVectors; }
  std::uint32_t word32(unsigned i, unsigned shift) const {
    const auto half = [&](unsigned word) {
      return static_cast<std::uint32_t>(words_[word].load(std::memory_order_relaxed) >> shift & 0xffff);
    };
    return half(2 * i) | half(2 * i + 1) << kVectors;
  }

  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace apic
