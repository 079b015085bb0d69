#include "sched/ipi/pair.h"

namespace sched {
namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;  // hints: see model.h
}

void PairIpiModel::record(const IpiSend& send, const VcpuSet& receivers, Nanos now) {
  if (send.shorthand || receivers.size() != 1 || !can_be_sent(send.vector)) return;
  receivers.for_each([&](uint32_t receiver) {
    if (receiver == send.sender) return;
    Context& from = contexts_[send.sender];
    from.receiver.store(receiver, kRelaxed);
    from.sent_vector.store(static_cast<uint8_t>(send.vector), kRelaxed);
    from.sent_at.store(now.count(), kRelaxed);
    from.pending.store(true, kRelaxed);
    Context& to = contexts_[receiver];
    to.sender.store(send.sender, kRelaxed);
    to.received_vector.store(static_cast<uint8_t>(send.vector), kRelaxed);
  });
}

void PairIpiModel::forget(uint32_t vcpu) {
  Context& own = contexts_[vcpu];
  own.pending.store(false, kRelaxed);
  own.receiver.store(kNobody, kRelaxed);
  own.sender.store(kNobody, kRelaxed);
  for (Context& from : contexts_) {
    if (from.receiver.load(kRelaxed) == vcpu) from.pending.store(false, kRelaxed);
  }
}

bool PairIpiModel::awaits(uint32_t sender, uint32_t receiver, Nanos now) const {
  const Context& from = contexts_[sender];
  return from.pending.load(kRelaxed) && from.receiver.load(kRelaxed) == receiver && recent(from, now);
}

std::optional<uint32_t> PairIpiModel::next_awaited(uint32_t sender, uint32_t, Nanos now) const {
  const uint32_t receiver = contexts_[sender].receiver.load(kRelaxed);
  if (receiver == kNobody || !awaits(sender, receiver, now)) return std::nullopt;
  return receiver;
}

void V2IpiModel::eoi(uint32_t receiver, IrqVector, Nanos now) {
  Context& to = contexts_[receiver];
  const uint32_t sender = to.sender.load(kRelaxed);
  to.pending.store(false, kRelaxed);
  to.sender.store(kNobody, kRelaxed);
  to.receiver.store(kNobody, kRelaxed);
  if (sender == kNobody) return;
  Context& from = contexts_[sender];
  if (from.receiver.load(kRelaxed) == receiver && recent(from, now)) from.pending.store(false, kRelaxed);
}

// Named but not taken: nothing to wait for. Taken by one where more were named: a unicast after all.
void V3IpiModel::accepted(const IpiSend& send, const VcpuSet& by, Nanos now) {
  if (send.shorthand) return;
  if (send.receivers.size() != 1) return record(send, by, now);
  if (by.size() == 0) contexts_[send.sender].pending.store(false, kRelaxed);
}

void V3IpiModel::eoi(uint32_t receiver, IrqVector vector, Nanos now) {
  Context& to = contexts_[receiver];
  const uint32_t sender = to.sender.load(kRelaxed);
  if (sender == kNobody || to.received_vector.load(kRelaxed) != static_cast<uint8_t>(vector)) return;
  to.sender.store(kNobody, kRelaxed);
  Context& from = contexts_[sender];
  if (from.receiver.load(kRelaxed) == receiver &&
      from.sent_vector.load(kRelaxed) == static_cast<uint8_t>(vector) && recent(from, now)) {
    from.pending.store(false, kRelaxed);
  }
}

}  // namespace sched
