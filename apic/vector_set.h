// A set of interrupt vectors: what ISR and TMR are. A plain value, no thread rules of its own.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>

#include "apic/types.h"

namespace apic {

class VectorSet {
 public:
  void set(Vector v, bool on = true) {
    auto& word = words_[raw(v) / 64u];
    const std::uint64_t bit = std::uint64_t{1} << (raw(v) % 64u);
    word = on ? word | bit : word & ~bit;
  }
  bool contains(Vector v) const { return (words_[raw(v) / 64u] >> (raw(v) % 64u)) & 1; }
  std::optional<Vector> highest() const {
    for (unsigned i = 4; i-- > 0;) {
      if (words_[i]) return Vector(i * 64 + 63 - static_cast<unsigned>(std::countl_zero(words_[i])));
    }
    return std::nullopt;
  }
  // The i-th of the eight 32-bit registers the set shows itself as.
  std::uint32_t word32(unsigned i) const { return static_cast<std::uint32_t>(words_[i / 2] >> (i % 2 * 32)); }

 private:
  std::array<std::uint64_t, 4> words_{};
};

}  // namespace apic
