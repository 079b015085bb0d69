#include "sched/sim/programs.h"

namespace sched::sim {

IpiProgram::IpiProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port),
      senders_count_(workload.senders == 0 ? vcpus : std::min(workload.senders, vcpus)),
      fanout_(std::min(std::max(1u, workload.fanout), vcpus - 1)),
      thinker_(workload.think, vcpus, seed),
      barrier_(vcpus, port),
      senders_(vcpus) {
  handler_work = workload.hold;
  if (handler_work > Nanos::zero()) vector = IrqVector{0x50};
  for (uint32_t i = 0; i < vcpus; ++i) {
    receivers_.push_back({Bits(senders_count_), Bits(senders_count_), Bits(senders_count_)});
    if (i >= senders_count_) continue;
    Sender& sender = senders_[i];
    sender.unseen = Bits(vcpus);
    sender.sent_at.resize(vcpus);
    for (uint32_t other = 0; other < vcpus; ++other) {
      if (other != i) sender.targets.push_back(other);
    }
  }
}

// Puts this turn's targets first (Fisher and Yates, as far as needed).
void IpiProgram::draw_targets(uint32_t vcpu) {
  std::vector<uint32_t>& targets = senders_[vcpu].targets;
  const uint32_t others = static_cast<uint32_t>(targets.size());
  if (fanout_ == others) return;
  for (uint32_t i = 0; i < fanout_; ++i) {
    std::swap(targets[i], targets[i + thinker_.rng(vcpu).below(others - i)]);
  }
}

void IpiProgram::note(uint32_t sender, uint32_t receiver, Nanos now) {
  receivers_[receiver].waiters.insert(sender);
  senders_[sender].sent_at[receiver] = now;
}

Action IpiProgram::send_next(uint32_t vcpu, Nanos now) {
  Sender& sender = senders_[vcpu];
  if (fanout_ > 1 && fanout_ == sender.targets.size()) {
    for (const uint32_t receiver : sender.targets) note(vcpu, receiver, now);
    sender.step = Step::kWait;
    return Action::send(kAllOthers);
  }
  const uint32_t receiver = sender.targets[sender.sent++];
  note(vcpu, receiver, now);
  if (sender.sent == fanout_) sender.step = Step::kWait;
  return Action::send(receiver);
}

Action IpiProgram::next(uint32_t vcpu, Nanos now) {
  Sender& sender = senders_[vcpu];
  switch (sender.step) {
    case Step::kStart:
      sender.step = Step::kThink;
      if (!barrier_.arrive(vcpu)) return Action::spin();
      [[fallthrough]];
    case Step::kThink:
      if (vcpu < senders_count_) sender.step = Step::kDraw;
      return thinker_.think(vcpu);
    case Step::kDraw:
      draw_targets(vcpu);
      sender.sent = 0;
      sender.waiting = fanout_;
      sender.step = Step::kSend;
      [[fallthrough]];
    case Step::kSend:
      return send_next(vcpu, now);
    case Step::kWait:
      sender.step = Step::kDone;
      return Action::spin();
    case Step::kDone:
      ++port_.counters[vcpu].operations;
      sender.step = Step::kDraw;
      return thinker_.think(vcpu);
  }
  return Action::halt();
}

// The time of an acknowledgement is when the sender sees it.
bool IpiProgram::poll(uint32_t vcpu, Nanos now) {
  Sender& sender = senders_[vcpu];
  if (sender.step == Step::kThink) return barrier_.over(vcpu);
  sender.unseen.for_each([&](uint32_t receiver) {
    port_.record_ack(vcpu, now - sender.sent_at[receiver]);
    --sender.waiting;
  });
  sender.unseen.clear();
  return sender.waiting == 0;
}

void IpiProgram::acknowledge(Bits& waiters, uint32_t receiver) {
  waiters.for_each([&](uint32_t sender) {
    senders_[sender].unseen.insert(receiver);
    if (port_.spinning.contains(sender)) port_.look(sender);
  });
  waiters.clear();
}

void IpiProgram::handled(uint32_t vcpu, Nanos) {
  Receiver& receiver = receivers_[vcpu];
  if (handler_work > Nanos::zero()) {
    receiver.counted.take(receiver.waiters);
  } else {
    acknowledge(receiver.waiters, vcpu);
  }
}

void IpiProgram::handler_begins(uint32_t vcpu) { receivers_[vcpu].working.take(receivers_[vcpu].counted); }

void IpiProgram::handler_ends(uint32_t vcpu, Nanos) { acknowledge(receivers_[vcpu].working, vcpu); }

}  // namespace sched::sim
