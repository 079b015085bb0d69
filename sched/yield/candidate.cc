#include "sched/yield/candidate.h"

#include <array>

#include "sched/yield/scan.h"

namespace sched {
namespace {

using Result = YieldAttempt::Result;
using Rule = std::optional<uint32_t> (*)(Scan&);

#define SCHED_RULE_FUNCTION(value, name, ...) &candidates::name,
constexpr std::array<Rule, kCandidateRuleNames.size()> kRules{SCHED_CANDIDATE_RULES(SCHED_RULE_FUNCTION)};
#undef SCHED_RULE_FUNCTION

}  // namespace

std::optional<uint32_t> Scan::awaited() {
  if (spin_.ipi == nullptr) return std::nullopt;
  const uint32_t n = static_cast<uint32_t>(spin_.vcpus.size());
  uint32_t last = spin_.start_after;
  uint32_t walked = 0;  // from start_after on; only grows, also when EOIs come in meanwhile
  while (const auto receiver = spin_.ipi->next_awaited(spin_.me, last, spin_.now)) {
    const uint32_t distance = (*receiver + n - spin_.start_after - 1) % n;
    if (distance < walked || gave_up_) break;
    walked = distance + 1;
    last = *receiver;
    const uint32_t end = chain_end(*receiver);
    if (end != *receiver && attempt(end, YieldReason::kChain)) return end;
    if (attempt(*receiver, YieldReason::kIpiReceiver)) return receiver;
  }
  return std::nullopt;
}

void Scan::begin_round() {
  gave_up_ = false;
  if (policy_.features.reset_tries) tries_ = policy_.tuning.yield_tries;
}

// The tries end a round when the counter comes down to zero. In v2, whose second round does not reset it, an
// exhausted counter therefore runs into the negative there and bounds nothing: as posted.
bool Scan::attempt(uint32_t index, YieldReason reason) {
  if (!waits(spin_.vcpus[index].view())) return false;
  const Result result = attempt_(index, reason);
  if (result == Result::kFailed && --tries_ == 0) gave_up_ = true;
  return result == Result::kDone;
}

// Follows "waits for" while the one waited for is spinning itself. The depth bounds it, also on a cycle.
uint32_t Scan::chain_end(uint32_t index) const {
  for (int64_t depth = 0; depth < policy_.tuning.chain_depth; ++depth) {
    if (!spin_.vcpus[index].view().spinning()) return index;
    const auto next = spin_.ipi->next_awaited(index, index, spin_.now);
    if (!next || *next == spin_.me) return index;
    index = *next;
  }
  return index;
}

std::optional<uint32_t> directed_yield(const Policy& policy, const SpinScan& spin, YieldAttempt& attempt) {
  Scan scan(policy, spin, attempt);
  const auto target = kRules[static_cast<size_t>(policy.features.candidates)](scan);
  if (target || !policy.features.relaxed || !spin.relaxed) return target;
  return scan.round([](uint32_t, Status::View vcpu) {
    return vcpu.preempted() ? std::optional(YieldReason::kRelaxed) : std::nullopt;
  });
}

std::optional<uint32_t> yield_to_awaited(const Policy& policy, const SpinScan& spin, YieldAttempt& attempt) {
  return Scan(policy, spin, attempt).awaited();
}

}  // namespace sched
