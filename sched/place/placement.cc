#include "sched/place/placement.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sched/base/check.h"

namespace sched {
namespace {

using Rule = void (*)(const StealScan&, StealAttempt&);

#define SCHED_RULE_FUNCTION(value, name) &steal::name,
constexpr std::array<Rule, kStealRuleNames.size()> kStealRules{SCHED_STEAL_RULES(SCHED_RULE_FUNCTION)};
#undef SCHED_RULE_FUNCTION

// All VMs of a run agree on it (tuning_of_run()).
StealRule steal_rule_of(const Setup& setup) {
  return setup.vms.empty() ? StealRule{} : setup.vms.front().policy.features.steal;
}

}  // namespace

Placement::Placement(const Setup& setup, const std::vector<VmInfo>& vms, Workers& workers,
                     Hierarchy& hierarchy)
    : tuning_(setup.tuning),
      steal_rule_(steal_rule_of(setup)),
      vms_(vms),
      workers_(workers),
      hierarchy_(hierarchy),
      homes_(vms.size()),
      vm_of_group_(hierarchy.size()),
      moved_at_(workers.vcpus()) {
  for (const VmInfo& vm : vms) {
    if (vm.group != kRootGroup) vm_of_group_[index_of(vm.group)] = index_of(vm.id);
  }
  places_ = first_places(setup);
  for (uint32_t i = 0; i < workers.vcpus(); ++i) workers.vcpu(VcpuId{i}).last_worker = places_.of_vcpu[i];
  set_homes(Nanos{});
  // Staggered, so that workers do not all look at each other at once.
  for (uint32_t i = 0; i < workers.count(); ++i) {
    next_balance_.push_back(tuning_.balance_interval * (i + 1) / workers.count());
  }
}

void Placement::set_homes(Nanos now) {
  affinity_ = places_.whole;
  for (const VmInfo& vm : vms_) {
    Home& home = homes_[index_of(vm.id)];
    home.worker = affinity_ ? places_.of_vcpu[vm.first] : kNoWorker;
    home.since = now;
  }
  if (affinity_) hierarchy_.count_service();
}

bool Placement::change(const Setup& setup, Nanos now) {
  FirstPlaces places = first_places(setup);
  if (places.whole == places_.whole && places.of_vcpu == places_.of_vcpu) return false;
  places_ = std::move(places);
  set_homes(now);
  return true;
}

// Its VM's home or its own last worker if that is idle; else an idle one, if there is any.
WorkerId Placement::for_waking(const Vcpu& vcpu) const {
  const WorkerId last = home_of(vcpu.vm).value_or(vcpu.last_worker);
  if (!workers_.moves()) return last;
  return workers_.idle().find_idle(last).value_or(last);
}

std::optional<WorkerId> Placement::after_turn(const Worker& here, const Vcpu& vcpu,
                                              std::optional<WorkerId> asked) const {
  const std::optional<WorkerId> home = home_of(vcpu.vm);
  if (!home) return asked;
  if (*home == here.id) return std::nullopt;
  return asked == home || here.eevdf->root().contested() ? home : std::nullopt;
}

bool Placement::is_due(const Worker& worker, Nanos now) {
  Nanos& next = next_balance_[index_of(worker.id)];
  if (now < next) return false;
  next = now + tuning_.balance_interval;
  return true;
}

void Placement::balance(Worker& worker, Nanos now) {
  if (!workers_.moves() || even_out(worker.id, now)) return;
  // Those who should go run just now: soon again.
  MutexLock lock(worker.mutex);
  Nanos& next = next_balance_[index_of(worker.id)];
  next = std::min(next, now + tuning_.slice);
}

bool Placement::steal(Worker& thief, Nanos now) {
  if (!workers_.moves()) return false;
  class Attempt final : public StealAttempt {
   public:
    Attempt(Placement& placement, Nanos now) : placement_(placement), now_(now) {}
    bool operator()(WorkerId victim) override {
      SCHED_CHECK(taken == nullptr);  // the rule goes on after it has got something
      taken = placement_.take_waiting(victim, now_);
      from = victim;
      return taken != nullptr;
    }
    Vcpu* taken = nullptr;
    WorkerId from{};

   private:
    Placement& placement_;
    const Nanos now_;
  };
  Attempt attempt(*this, now);
  kStealRules[static_cast<size_t>(steal_rule_)](StealScan(workers_, thief.id), attempt);
  if (attempt.taken == nullptr) return false;
  {
    MutexLock lock(thief.mutex);
    if (thief.idle) workers_.set_idle(thief, false);
  }
  workers_.moved(now, attempt.taken->id, attempt.from, thief.id, TraceMove::kSteal);
  workers_.enqueue(*attempt.taken, thief.id, now);
  return true;
}

}  // namespace sched
