#include "sched/ipi/kvmux.h"

#include <algorithm>

namespace sched {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;  // hints: see model.h

uint64_t bit(uint32_t index) { return uint64_t{1} << (index % 64); }

}  // namespace

KvmuxIpiModel::KvmuxIpiModel(uint32_t vcpus, const IpiWindow& window)
    : words_((vcpus + 63) / 64),
      limits_(window),
      slots_(new Slot[size_t{vcpus} * kSlots]),
      pending_(new std::atomic<uint64_t>[size_t{vcpus} * kSlots * words_]()),
      senders_to_(new std::atomic<uint64_t>[size_t{vcpus} * words_]()),
      mean_ack_(window.longest.count() / window.means) {}

uint32_t KvmuxIpiModel::claim_slot(uint32_t sender, uint32_t vector) {
  uint32_t oldest = 0;
  for (uint32_t i = 0; i < kSlots; ++i) {
    const uint32_t used_for = slot(sender, i).vector.load(kRelaxed);
    if (used_for == vector) return i;
    if (used_for == 0) {
      oldest = i;
      break;
    }
    if (slot(sender, i).sent_at.load(kRelaxed) < slot(sender, oldest).sent_at.load(kRelaxed)) oldest = i;
  }
  for (uint32_t w = 0; w < words_; ++w) pending(sender, oldest, w).store(0, kRelaxed);
  return oldest;
}

void KvmuxIpiModel::sending(const IpiSend& send, Nanos now) {
  if (!can_be_sent(send.vector)) return;
  const uint32_t vector = static_cast<uint8_t>(send.vector);
  const uint32_t i = claim_slot(send.sender, vector);
  slot(send.sender, i).vector.store(vector, kRelaxed);
  slot(send.sender, i).sent_at.store(now.count(), kRelaxed);
  for (uint32_t w = 0; w < words_; ++w) {
    uint64_t receivers = send.receivers.word(w);
    if (w == send.sender / 64) receivers &= ~bit(send.sender);
    if (receivers == 0) continue;
    pending(send.sender, i, w).fetch_or(receivers, kRelaxed);
    for (; receivers != 0; receivers &= receivers - 1) {
      const uint32_t receiver = w * 64 + static_cast<uint32_t>(__builtin_ctzll(receivers));
      senders_to(receiver, send.sender / 64).fetch_or(bit(send.sender), kRelaxed);
    }
  }
}

// Who is named may have its APIC off: nobody is going to acknowledge. The other way round cannot be, unless a
// receiver reprograms its APIC at that instant; then a hint is missing.
void KvmuxIpiModel::accepted(const IpiSend& send, const VcpuSet& by, Nanos) {
  const uint32_t vector = static_cast<uint8_t>(send.vector);
  for (uint32_t w = 0; w < words_; ++w) {
    const uint64_t refused = send.receivers.word(w) & ~by.word(w);
    if (refused == 0) continue;
    for (uint32_t i = 0; i < kSlots; ++i) {
      if (slot(send.sender, i).vector.load(kRelaxed) == vector) {
        pending(send.sender, i, w).fetch_and(~refused, kRelaxed);
      }
    }
  }
}

void KvmuxIpiModel::forget(uint32_t vcpu) {
  for (uint32_t i = 0; i < kSlots; ++i) {
    for (uint32_t w = 0; w < words_; ++w) pending(vcpu, i, w).store(0, kRelaxed);
  }
  for (uint32_t w = 0; w < words_; ++w) {
    uint64_t senders = senders_to(vcpu, w).exchange(0, kRelaxed);
    for (; senders != 0; senders &= senders - 1) {
      const uint32_t sender = w * 64 + static_cast<uint32_t>(__builtin_ctzll(senders));
      for (uint32_t i = 0; i < kSlots; ++i) pending(sender, i, vcpu / 64).fetch_and(~bit(vcpu), kRelaxed);
    }
  }
}

// The reverse bit is taken away first and put back if another vector of this sender is still pending here, so
// a send that comes in between keeps its bit.
void KvmuxIpiModel::acknowledge(uint32_t sender, uint32_t receiver, uint32_t vector, Nanos now) {
  senders_to(receiver, sender / 64).fetch_and(~bit(sender), kRelaxed);
  bool more = false;
  for (uint32_t i = 0; i < kSlots; ++i) {
    std::atomic<uint64_t>& word = pending(sender, i, receiver / 64);
    if ((word.load(kRelaxed) & bit(receiver)) == 0) continue;
    if (slot(sender, i).vector.load(kRelaxed) != vector) {
      more = true;
      continue;
    }
    word.fetch_and(~bit(receiver), kRelaxed);
    const int64_t took = now.count() - slot(sender, i).sent_at.load(kRelaxed);
    const int64_t mean = mean_ack_.load(kRelaxed);
    mean_ack_.store(mean + (took - mean) / limits_.mean_over, kRelaxed);
  }
  if (more) senders_to(receiver, sender / 64).fetch_or(bit(sender), kRelaxed);
}

void KvmuxIpiModel::eoi(uint32_t receiver, IrqVector vector, Nanos now) {
  for (uint32_t w = 0; w < words_; ++w) {
    uint64_t senders = senders_to(receiver, w).load(kRelaxed);
    for (; senders != 0; senders &= senders - 1) {
      acknowledge(w * 64 + static_cast<uint32_t>(__builtin_ctzll(senders)), receiver,
                  static_cast<uint8_t>(vector), now);
    }
  }
}

Nanos KvmuxIpiModel::window() const {
  return std::clamp(Nanos{mean_ack_.load(kRelaxed) * limits_.means},
                    std::min(limits_.shortest, limits_.longest), limits_.longest);
}

bool KvmuxIpiModel::live(const Slot& slot, Nanos now) const {
  return now - Nanos{slot.sent_at.load(kRelaxed)} <= window();
}

bool KvmuxIpiModel::awaits(uint32_t sender, uint32_t receiver, Nanos now) const {
  for (uint32_t i = 0; i < kSlots; ++i) {
    if ((pending(sender, i, receiver / 64).load(kRelaxed) & bit(receiver)) != 0 &&
        live(slot(sender, i), now)) {
      return true;
    }
  }
  return false;
}

std::optional<uint32_t> KvmuxIpiModel::next_awaited(uint32_t sender, uint32_t after, Nanos now) const {
  std::optional<uint32_t> first;  // at or before `after`: the answer if the search wraps
  for (uint32_t w = 0; w < words_; ++w) {
    uint64_t receivers = 0;
    for (uint32_t i = 0; i < kSlots; ++i) {
      const uint64_t bits = pending(sender, i, w).load(kRelaxed);
      if (bits != 0 && live(slot(sender, i), now)) receivers |= bits;
    }
    for (; receivers != 0; receivers &= receivers - 1) {
      const uint32_t receiver = w * 64 + static_cast<uint32_t>(__builtin_ctzll(receivers));
      if (receiver > after) return receiver;
      if (!first) first = receiver;
    }
  }
  return first;
}

}  // namespace sched
