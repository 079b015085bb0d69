#include "sched/ipi_pair.h"

namespace sched {
namespace {
constexpr auto kRelaxed = std::memory_order_relaxed;  // hints: see ipi_model.h
}

void PairIpiModel::sent(const IpiSend& send, Nanos now) {
  if (send.shorthand || send.receivers.size() != 1) return;
  send.receivers.for_each([&](uint32_t receiver) {
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
