// The rules that a policy chooses by name, a line each. What a rule does is in a file of that name:
//   candidates=NAME   whom a directed yield may go to      sched/yield/candidates/NAME.cc, see yield/scan.h
//   steal=NAME        from whom an idle worker takes work  sched/place/steal/NAME.cc, see place/steal.h
// The line is all that makes a rule known: to policies, flags, JSON and `kvmux policies`. The first of a list
// is what a policy has that says nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

// rule(value, name, whether it looks at whether vCPUs spin or were preempted at CPL 0: that register costs
// something to know at every exit)
// clang-format off
#define SCHED_CANDIDATE_RULES(rule) \
  rule(kMainline, mainline, true) \
  rule(kPriorities, priorities, true) \
  rule(kKvmux, kvmux, false) \
  rule(kVee21, vee21, true) \
  rule(kCritical, critical, true) \
  rule(kOracle, oracle, false)

// rule(value, name). Holds for a whole run, because workers are shared by all VMs.
#define SCHED_STEAL_RULES(rule) \
  rule(kNext, next)
// clang-format on

namespace sched {

#define SCHED_RULE_VALUE(value, ...) value,
enum class CandidateRule : uint8_t { SCHED_CANDIDATE_RULES(SCHED_RULE_VALUE) };
enum class StealRule : uint8_t { SCHED_STEAL_RULES(SCHED_RULE_VALUE) };
#undef SCHED_RULE_VALUE

// Names by value.
#define SCHED_RULE_NAME(value, name, ...) std::string_view{#name},
inline constexpr std::array kCandidateRuleNames{SCHED_CANDIDATE_RULES(SCHED_RULE_NAME)};
inline constexpr std::array kStealRuleNames{SCHED_STEAL_RULES(SCHED_RULE_NAME)};
#undef SCHED_RULE_NAME

constexpr bool looks_at_cpl(CandidateRule rule) {
#define SCHED_RULE_CPL(value, name, cpl) cpl,
  constexpr std::array kLooks{SCHED_CANDIDATE_RULES(SCHED_RULE_CPL)};
#undef SCHED_RULE_CPL
  return kLooks[static_cast<size_t>(rule)];
}

}  // namespace sched
