// What presets of more than one file begin with. Plain data.
#pragma once

#include "sched/policy/policy.h"

namespace sched {

// Nothing but this run queue.
constexpr Features with_queue(QueueKind queue) {
  Features features;
  features.queue = queue;
  return features;
}

// Linux 6.19: a spin exit leads to a directed yield with next buddy and forfeit.
constexpr Features mainline_yield() {
  Features features;
  features.spin = true;
  features.buddy = true;
  features.forfeit = true;
  return features;
}

constexpr Features ipi_aware(IpiModelKind model) {
  Features features = mainline_yield();
  features.candidates = CandidateRule::kPriorities;
  features.ipi = model;
  features.relaxed = true;
  return features;
}

}  // namespace sched
