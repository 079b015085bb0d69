#include "vmm/run/moves.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>

#include "sched/base/text.h"
#include "vmm/run/move_cost.h"
#include "vmm/run/setup.h"
#include "vmm/run/sim_profile.h"

namespace vmm {
namespace {

std::vector<sched::Policy*> policies_of(RunSpec& spec) {
  std::vector<sched::Policy*> all;
  for (VmSpec& vm : spec.vms) all.push_back(&vm.policy);
  for (PolicyChange& change : spec.changes) {
    for (VmChange& vm : change.vms) all.push_back(&vm.policy);
  }
  return all;
}

// Three figures: "15.8 ms".
std::string rounded(Nanos cost) {
  const double ns = static_cast<double>(cost.count());
  return ns < 1e6 ? fmt::format("{:.0f} us", ns / 1e3) : fmt::format("{:.3g} ms", ns / 1e6);
}

std::string where(std::string_view release) {
  if (release.empty()) return "in this cost profile";
  return fmt::format("on this kernel ({}{})", release,
                     waits_for_grace_periods(release) ? ", before 6.13" : "");
}

}  // namespace

std::optional<MovesWeighed> weigh_moves(RunSpec& spec, Nanos cost) {
  if (cost < kDearMove || spec.vms.empty() || is_host_run(spec)) return std::nullopt;
  const auto policies = policies_of(spec);
  // All agree on it, or the run is refused.
  const auto given = std::find_if(policies.begin(), policies.end(),
                                  [](const sched::Policy* policy) { return policy->gives("migration-cost"); });
  if (given != policies.end()) {
    const sched::Tuning& tuning = (*given)->tuning;
    return MovesWeighed{cost, tuning.migration_cost, tuning.migration_cost >= tuning.dear_move, true};
  }
  Nanos weighed{};
  for (sched::Policy* policy : policies) {
    sched::Tuning& tuning = policy->tuning;
    weighed = tuning.migration_cost = std::max(cost, tuning.dear_move);
  }
  return MovesWeighed{cost, weighed, true, false};
}

Nanos move_cost_for(const RunSpec& spec) {
  if (spec.backend == Backend::kKvm) return move_cost_of_host();
  const auto costs = load_cost_profile(spec.cost_profile.empty() ? "laptop-vmx" : spec.cost_profile);
  return costs ? costs->vcpu_move : Nanos{};  // the run itself says what is wrong with it
}

std::string moves_text(const MovesWeighed& moves, std::string_view release) {
  const std::string cost = fmt::format("moves cost {} {}", rounded(moves.cost), where(release));
  const std::string what =
      moves.stay ? "vCPUs stay with the workers where they begin" : "vCPUs move all the same";
  if (!moves.given) return fmt::format("{}: {}", cost, what);
  return fmt::format("{}, and migration-cost={} is given: {}", cost, sched::format_time(moves.migration_cost),
                     what);
}

std::string moves_text(const MovesWeighed& moves, Backend backend) {
  utsname name{};
  const bool known = backend == Backend::kKvm && ::uname(&name) == 0;
  return moves_text(moves, known ? std::string_view(name.release) : std::string_view());
}

}  // namespace vmm
