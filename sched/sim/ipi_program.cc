#include "sched/sim/programs.h"

namespace sched::sim {

IpiProgram::IpiProgram(const Workload& workload, uint32_t vcpus, uint64_t seed, Port& port)
    : port_(port),
      senders_count_(workload.senders == 0 ? vcpus : std::min(workload.senders, vcpus)),
      fanout_(std::min(std::max(1u, workload.fanout), vcpus - 1)),
      thinker_(workload.think, vcpus, seed),
      barrier_(vcpus, port),
      acks_(vcpus, port),
      senders_(vcpus) {
  handler_work = workload.hold;
  if (handler_work > Nanos::zero()) vector = IrqVector{0x50};
  for (uint32_t i = 0; i < vcpus; ++i) {
    if (i >= senders_count_) continue;
    Sender& sender = senders_[i];
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

Action IpiProgram::send_next(uint32_t vcpu, Nanos now) {
  Sender& sender = senders_[vcpu];
  if (fanout_ > 1 && fanout_ == sender.targets.size()) {
    for (const uint32_t receiver : sender.targets) acks_.sent(vcpu, receiver, now);
    sender.step = Step::kWait;
    return Action::send(kAllOthers);
  }
  const uint32_t receiver = sender.targets[sender.sent++];
  acks_.sent(vcpu, receiver, now);
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
      sender.step = Step::kSend;
      [[fallthrough]];
    case Step::kSend:
      return send_next(vcpu, now);
    case Step::kWait:
      sender.step = Step::kDone;
      port_.mark(vcpu, TraceMark::kAwaitsAcks);
      port_.waits_for(vcpu, GuestWait::kAcks);
      return Action::spin();
    case Step::kDone:
      port_.count_operation(vcpu);
      sender.step = Step::kDraw;
      return thinker_.think(vcpu);
  }
  return Action::halt();
}

bool IpiProgram::poll(uint32_t vcpu, Nanos now) {
  return senders_[vcpu].step == Step::kThink ? barrier_.over(vcpu) : acks_.all_seen(vcpu, now);
}

void IpiProgram::handler_begins(uint32_t vcpu) {
  port_.mark(vcpu, TraceMark::kHandlerBegins);
  acks_.begins(vcpu);
}

void IpiProgram::handler_ends(uint32_t vcpu, Nanos) {
  port_.mark(vcpu, TraceMark::kHandlerEnds);
  acks_.ends(vcpu);
}

}  // namespace sched::sim
