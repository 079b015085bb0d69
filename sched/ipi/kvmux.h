// kvmux's model: for every sender the set of receivers that have not acknowledged yet, by vector, multicast
// and broadcast included. Two senders to one receiver do not hide each other, and how long a send counts
// follows the send → EOI times of this VM.
//
// Memory: five bits per pair of vCPUs.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "sched/ipi/model.h"

namespace sched {

class KvmuxIpiModel final : public IpiModel {
 public:
  KvmuxIpiModel(uint32_t vcpus, const IpiWindow& window);
  void sending(const IpiSend& send, Nanos now) override;
  void accepted(const IpiSend& send, const VcpuSet& by, Nanos now) override;
  void eoi(uint32_t receiver, IrqVector vector, Nanos now) override;
  void forget(uint32_t vcpu) override;
  bool awaits(uint32_t sender, uint32_t receiver, Nanos now) const override;
  std::optional<uint32_t> next_awaited(uint32_t sender, uint32_t after, Nanos now) const override;

  // How long a send counts now: so many mean times from send to EOI, between the shortest and the longest.
  Nanos window() const;

 private:
  // A sender waits for few vectors at a time; a fifth one takes the place of the oldest. Structural, no
  // constant of a policy: it is the width of the tables below, five bits a pair of vCPUs, and every question
  // looks at all of them.
  static constexpr uint32_t kSlots = 4;
  struct Slot {
    std::atomic<uint32_t> vector{0};  // 0: free (see can_be_sent())
    std::atomic<int64_t> sent_at{0};
  };
  using Words = std::unique_ptr<std::atomic<uint64_t>[]>;

  std::atomic<uint64_t>& pending(uint32_t sender, uint32_t slot, uint32_t word) const {
    return pending_[(size_t{sender} * kSlots + slot) * words_ + word];
  }
  std::atomic<uint64_t>& senders_to(uint32_t receiver, uint32_t word) const {
    return senders_to_[size_t{receiver} * words_ + word];
  }
  Slot& slot(uint32_t sender, uint32_t slot) const { return slots_[size_t{sender} * kSlots + slot]; }
  // One send at a time for each sender: see model.h.
  uint32_t claim_slot(uint32_t sender, uint32_t vector);
  void acknowledge(uint32_t sender, uint32_t receiver, uint32_t vector, Nanos now);
  bool live(const Slot& slot, Nanos now) const;

  const uint32_t words_;
  const IpiWindow limits_;
  std::unique_ptr<Slot[]> slots_;
  Words pending_;     // sender × slot × receiver
  Words senders_to_;  // receiver × sender: who to look at on an EOI
  // Loaded and stored, not exchanged: of two acknowledgements at once the mean may miss one.
  std::atomic<int64_t> mean_ack_;
};

}  // namespace sched
