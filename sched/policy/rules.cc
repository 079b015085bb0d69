#include "sched/policy/rules.h"

namespace sched {

bool looks_at_cpl(CandidateRule rule) {
#define SCHED_RULE_CPL(value, name, cpl) cpl,
  static constexpr std::array kLooks{SCHED_CANDIDATE_RULES(SCHED_RULE_CPL)};
#undef SCHED_RULE_CPL
  return kLooks[static_cast<size_t>(rule)];
}

}  // namespace sched
