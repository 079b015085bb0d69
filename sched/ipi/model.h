// Who waits for whose acknowledgement, as far as a model can tell from IPIs and EOIs. One model per VM; the
// VMM feeds it at LAPIC delivery, directed yield asks it.
//
// Nothing locks. Any thread may ask at any time. What a vCPU does (both halves of a send, an EOI, forget())
// is told by the thread that runs it, so one at a time for each vCPU; those of different vCPUs may coincide.
// The answers are hints: a reader that races with a send or an EOI may see either side of it, never a broken
// state. vCPUs are named by their index within the VM.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sched/base/types.h"
#include "sched/ipi/kind.h"

namespace sched {

// A set of vCPU indices within one VM.
class VcpuSet {
 public:
  explicit VcpuSet(uint32_t capacity = 0) : words_((capacity + 63) / 64) {}
  void insert(uint32_t index) { words_[index / 64] |= uint64_t{1} << (index % 64); }
  bool contains(uint32_t index) const { return (words_[index / 64] >> (index % 64) & 1) != 0; }
  void clear() { std::fill(words_.begin(), words_.end(), 0); }
  uint64_t word(size_t i) const { return words_[i]; }
  size_t words() const { return words_.size(); }
  uint32_t size() const {
    int n = 0;
    for (const uint64_t word : words_) n += __builtin_popcountll(word);
    return static_cast<uint32_t>(n);
  }
  template <class Fn>
  void for_each(Fn fn) const {
    for (size_t w = 0; w < words_.size(); ++w) {
      for (uint64_t bits = words_[w]; bits != 0; bits &= bits - 1) {
        fn(static_cast<uint32_t>(w * 64) + static_cast<uint32_t>(__builtin_ctzll(bits)));
      }
    }
  }

 private:
  std::vector<uint64_t> words_;
};

// An IPI on its way: a vCPU's ICR write with delivery mode Fixed.
struct IpiSend {
  uint32_t sender;
  IrqVector vector;
  bool shorthand;            // self, all, all but self
  const VcpuSet& receivers;  // that it names
};

// Vectors below 16 are illegal: a local APIC raises an error instead (SDM, Valid Interrupt Vectors), and
// nobody acknowledges them.
constexpr bool can_be_sent(IrqVector vector) { return static_cast<uint8_t>(vector) >= 16; }

class IpiModel {
 public:
  virtual ~IpiModel() = default;
  // Before any receiver can see it. A model that records here finds the record when the acknowledgement
  // comes: the interrupt's way through the receiver's IRR orders this before that, so relaxed stores do.
  virtual void sending(const IpiSend& send, Nanos now) = 0;
  // After the delivery of the same send: these took it.
  virtual void accepted(const IpiSend& send, const VcpuSet& by, Nanos now) = 0;
  // Both at once, where all that are named will take it.
  void sent(const IpiSend& send, Nanos now) {
    sending(send, now);
    accepted(send, send.receivers, now);
  }
  virtual void eoi(uint32_t receiver, IrqVector vector, Nanos now) = 0;
  // This vCPU waits for nobody, and nobody for it: it was reset or has ended.
  virtual void forget(uint32_t vcpu) = 0;
  // Does `sender` wait for `receiver`?
  virtual bool awaits(uint32_t sender, uint32_t receiver, Nanos now) const = 0;
  // The first awaited receiver after `after`, wrapping round to and including it; none: nothing is awaited.
  virtual std::optional<uint32_t> next_awaited(uint32_t sender, uint32_t after, Nanos now) const = 0;
};

// How long a send counts: v2 and v3 know the longest alone, kvmux adapts below it.
struct IpiWindow {
  Nanos longest;
  Nanos shortest{1'000'000};
  int64_t means = 8;       // times the mean time from send to EOI
  int64_t mean_over = 16;  // acknowledgements in the moving mean
};

// Null for IpiModelKind::kNone.
std::unique_ptr<IpiModel> make_ipi_model(IpiModelKind kind, uint32_t vcpus, const IpiWindow& window);

}  // namespace sched
