#include "sched/yield/candidate.h"

namespace sched {
namespace {

using Result = YieldAttempt::Result;

bool waits(Status::View vcpu) { return vcpu.state() == RunState::kQueued; }

// The one gate of Linux 6.19: when spinning in kernel mode, leave out who was preempted in user mode, unless
// it has an interrupt to take.
std::optional<YieldReason> mainline(const SpinScan& scan, Status::View vcpu) {
  if (scan.in_kernel && vcpu.preempted() && !vcpu.irq_pending() && !vcpu.preempted_in_kernel())
    return std::nullopt;
  return vcpu.irq_pending() ? YieldReason::kPendingInterrupt : YieldReason::kPreempted;
}

// The three priorities of the series.
std::optional<YieldReason> priorities(const SpinScan& scan, uint32_t index, Status::View vcpu) {
  if (scan.ipi != nullptr && scan.ipi->awaits(scan.me, index, scan.now)) return YieldReason::kIpiReceiver;
  if (vcpu.irq_pending()) return YieldReason::kPendingInterrupt;
  if (!vcpu.preempted() || (scan.in_kernel && !vcpu.preempted_in_kernel())) return std::nullopt;
  return YieldReason::kPreempted;
}

// The scan with its bookkeeping: the order, the turns of spinning vCPUs, the tries.
class Scan {
 public:
  Scan(const Policy& policy, const SpinScan& scan, YieldAttempt& attempt)
      : policy_(policy), scan_(scan), attempt_(attempt), tries_(policy.tuning.yield_tries) {}

  std::optional<uint32_t> strict() {
    begin_round();
    return round([this](uint32_t index, Status::View vcpu) {
      return policy_.features.candidates == CandidateRule::kMainline ? mainline(scan_, vcpu)
                                                                     : priorities(scan_, index, vcpu);
    });
  }

  std::optional<uint32_t> relaxed() {
    begin_round();
    return round([](uint32_t, Status::View vcpu) {
      return vcpu.preempted() ? std::optional(YieldReason::kRelaxed) : std::nullopt;
    });
  }

  // kvmux: whoever the spinner is known to wait for, each with the end of its own wait chain first.
  std::optional<uint32_t> awaited() {
    if (scan_.ipi == nullptr) return std::nullopt;
    const uint32_t n = static_cast<uint32_t>(scan_.vcpus.size());
    uint32_t last = scan_.start_after;
    uint32_t walked = 0;  // from start_after on; only grows, also when EOIs come in meanwhile
    while (const auto receiver = scan_.ipi->next_awaited(scan_.me, last, scan_.now)) {
      const uint32_t distance = (*receiver + n - scan_.start_after - 1) % n;
      if (distance < walked || gave_up_) break;
      walked = distance + 1;
      last = *receiver;
      const uint32_t end = chain_end(*receiver);
      if (end != *receiver && attempt(end, YieldReason::kChain)) return end;
      if (attempt(*receiver, YieldReason::kIpiReceiver)) return receiver;
    }
    return std::nullopt;
  }

  // kvmux: who is likely to hold what the spinner waits for. Whoever held a lock while others ran made them
  // spin, so the holder is among those taken off in mid-work, and most likely the last of them: those that
  // left before it were followed by progress. Who was taken off at the end of a donated turn has let go of
  // it.
  std::optional<uint32_t> holder() {
    return most(
        [this](uint32_t index, Status::View vcpu) {
          return !vcpu.spinning() && !scan_.after_donation[index].load(std::memory_order_relaxed);
        },
        [](const Pulse& pulse) { return pulse.off_since.load(std::memory_order_relaxed); },
        YieldReason::kHolder);
  }

  // kvmux: with a lock that is handed over in order of arrival, the next owner is who has waited longest.
  std::optional<uint32_t> longest_waiter() {
    if (!scan_.handovers) return std::nullopt;
    return most([](uint32_t, Status::View vcpu) { return vcpu.spinning(); },
                [](const Pulse& pulse) { return -pulse.waiting_since.load(std::memory_order_relaxed); },
                YieldReason::kWaiter);
  }

 private:
  template <class Good>
  std::optional<uint32_t> round(Good good) {
    const uint32_t n = static_cast<uint32_t>(scan_.vcpus.size());
    for (uint32_t step = 1, index = scan_.start_after; step <= n; ++step) {
      if (++index >= n) index = 0;
      if (index == scan_.me) continue;
      const Status::View vcpu = scan_.vcpus[index].view();
      if (!waits(vcpu)) continue;
      const auto reason = good(index, vcpu);
      if (!reason) continue;
      if (vcpu.spinning() && !scan_.vcpus[index].take_yield_turn()) continue;
      if (attempt(index, *reason)) return index;
      if (gave_up_) break;
    }
    return std::nullopt;
  }

  // Yields to the waiting vCPU that qualifies and has the largest key.
  template <class Qualifies, class Key>
  std::optional<uint32_t> most(Qualifies qualifies, Key key, YieldReason reason) {
    std::optional<uint32_t> best;
    int64_t best_key = 0;
    for (uint32_t i = 0; i < scan_.vcpus.size(); ++i) {
      const Status::View vcpu = scan_.vcpus[i].view();
      if (i == scan_.me || !waits(vcpu) || !qualifies(i, vcpu)) continue;
      const int64_t k = key(scan_.pulses[i]);
      if (best && k <= best_key) continue;
      best = i;
      best_key = k;
    }
    if (best && !attempt(*best, reason)) best.reset();
    return best;
  }

  void begin_round() {
    gave_up_ = false;
    if (policy_.features.reset_tries) tries_ = policy_.tuning.yield_tries;
  }

  // The tries end a round when the counter comes down to zero. In v2, whose second round does not reset it,
  // an exhausted counter therefore runs into the negative there and bounds nothing: as posted.
  bool attempt(uint32_t index, YieldReason reason) {
    if (!waits(scan_.vcpus[index].view())) return false;
    const Result result = attempt_(index, reason);
    if (result == Result::kFailed && --tries_ == 0) gave_up_ = true;
    return result == Result::kDone;
  }

  // Follows "waits for" while the one waited for is spinning itself. The depth bounds it, also on a cycle.
  uint32_t chain_end(uint32_t index) const {
    for (int64_t depth = 0; depth < policy_.tuning.chain_depth; ++depth) {
      if (!scan_.vcpus[index].view().spinning()) return index;
      const auto next = scan_.ipi->next_awaited(index, index, scan_.now);
      if (!next || *next == scan_.me) return index;
      index = *next;
    }
    return index;
  }

  const Policy& policy_;
  const SpinScan& scan_;
  YieldAttempt& attempt_;
  int64_t tries_;
  bool gave_up_ = false;
};

}  // namespace

std::optional<uint32_t> directed_yield(const Policy& policy, const SpinScan& spin, YieldAttempt& attempt) {
  Scan scan(policy, spin, attempt);
  std::optional<uint32_t> target;
  // Guesses that did not end the wait are not repeated for ever: then the scan gives everybody a turn, so
  // that no vCPU that the guesses overlook is overlooked for long.
  if (policy.features.candidates == CandidateRule::kKvmux && spin.spins_before < policy.tuning.guesses) {
    target = scan.awaited();
    if (!target) target = scan.holder();
    if (!target) target = scan.longest_waiter();
  }
  if (!target) target = scan.strict();
  if (!target && policy.features.relaxed) target = scan.relaxed();
  return target;
}

std::optional<uint32_t> yield_to_awaited(const Policy& policy, const SpinScan& spin, YieldAttempt& attempt) {
  return Scan(policy, spin, attempt).awaited();
}

}  // namespace sched
