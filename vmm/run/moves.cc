#include "vmm/run/moves.h"

#include <fmt/format.h>
#include <sys/utsname.h>

#include <algorithm>

#include "sched/base/text.h"
#include "vmm/run/handover_cost.h"
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
  if (ns < 1e4) return fmt::format("{:.1f} us", ns / 1e3);
  return ns < 1e6 ? fmt::format("{:.0f} us", ns / 1e3) : fmt::format("{:.3g} ms", ns / 1e6);
}

std::string where(std::string_view release) {
  if (release.empty()) return "in this cost profile";
  return fmt::format("on this kernel ({}{})", release,
                     waits_for_grace_periods(release) ? ", before 6.13" : "");
}

}  // namespace

bool has_carriers(const RunSpec& spec, Nanos move_cost) {
  if (spec.vms.empty() || is_host_run(spec)) return false;
  return spec.carriers == Carriers::kOn || (spec.carriers == Carriers::kAuto && move_cost >= kDearMove);
}

std::optional<MovesWeighed> weigh_moves(RunSpec& spec, const MoveCosts& costs) {
  if (spec.vms.empty() || is_host_run(spec)) return std::nullopt;
  const Nanos cost = costs.move;
  const bool carried = has_carriers(spec, cost);
  if (cost < kDearMove && !carried) return std::nullopt;
  const auto policies = policies_of(spec);
  // All agree on it, or the run is refused.
  const auto given = std::find_if(policies.begin(), policies.end(), [](const sched::Policy* policy) {
    return policy->gives("migration-cost");
  });
  if (given != policies.end()) {
    const sched::Tuning& tuning = (*given)->tuning;
    return MovesWeighed{.cost = cost,
                        .migration_cost = tuning.migration_cost,
                        .stay = tuning.migration_cost >= tuning.dear_move,
                        .given = true,
                        .carried = carried,
                        .handover = costs.handover};
  }
  if (carried) {
    return MovesWeighed{.cost = cost,
                        .migration_cost = policies.front()->tuning.migration_cost,
                        .carried = true,
                        .handover = costs.handover};
  }
  Nanos weighed{};
  for (sched::Policy* policy : policies) {
    sched::Tuning& tuning = policy->tuning;
    weighed = tuning.migration_cost = std::max(cost, tuning.dear_move);
  }
  return MovesWeighed{.cost = cost, .migration_cost = weighed, .stay = true};
}

MoveCosts move_costs_for(const RunSpec& spec) {
  if (spec.backend == Backend::kKvm) {
    const Nanos move = move_cost_of_host();
    return {move, has_carriers(spec, move) ? handover_cost_of_host() : Nanos{}};
  }
  const auto costs = load_cost_profile(spec.cost_profile.empty() ? "laptop-vmx" : spec.cost_profile);
  if (!costs) return {};  // the run itself says what is wrong with it
  return {costs->vcpu_move, has_carriers(spec, costs->vcpu_move) ? costs->carrier_switch : Nanos{}};
}

std::string moves_text(const MovesWeighed& moves, std::string_view release) {
  const std::string cost = fmt::format("moves cost {} {}", rounded(moves.cost), where(release));
  std::string carried;
  if (moves.carried) {
    carried = "a thread carries each vCPU";
    if (moves.handover > Nanos{}) carried += "; a hand-over costs " + rounded(moves.handover);
    if (!moves.given) return fmt::format("{}: {}", cost, carried);
    carried = "; " + carried;
  }
  const std::string what =
      moves.stay ? "vCPUs stay with the workers where they begin" : "vCPUs move all the same";
  if (!moves.given) return fmt::format("{}: {}", cost, what);
  return fmt::format("{}, and migration-cost={} is given: {}{}", cost,
                     sched::format_time(moves.migration_cost), what, carried);
}

std::string moves_text(const MovesWeighed& moves, Backend backend) {
  utsname name{};
  const bool known = backend == Backend::kKvm && ::uname(&name) == 0;
  return moves_text(moves, known ? std::string_view(name.release) : std::string_view());
}

}  // namespace vmm
