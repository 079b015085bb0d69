#include "sched/policy/longest_wait.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace sched {
namespace {

// Jitter included.
double longest_turn(const Tuning& tuning, uint32_t runnable) {
  const double slice = static_cast<double>(tuning.slice.count());
  double turn = slice * static_cast<double>(std::max<int64_t>(1, tuning.quantum_multiplier));
  if (tuning.latency_target > Nanos{}) {
    const double cut = static_cast<double>(tuning.latency_target.count()) / std::max(1u, runnable);
    turn = std::min(turn, std::max(static_cast<double>(tuning.min_slice.count()), cut));
  }
  return turn * (1.0 + static_cast<double>(tuning.slice_jitter_permille) / 1000.0);
}

bool is_below(const Setup& setup, GroupId at, GroupId group) {
  while (at != group && at != kRootGroup) at = setup.groups[index_of(at)].parent;
  return at == group;
}

// What a group weighs among its siblings.
double entitlement(const Setup& setup, GroupId group) {
  uint32_t vcpus = 0;
  for (const VmSetup& vm : setup.vms) vcpus += is_below(setup, vm.parent, group) ? vm.vcpus : 0;
  const VmShare mode = setup.vms.front().policy.features.vm_share;
  return static_cast<double>(setup.groups[index_of(group)].weight.value *
                             entitlement_factor(mode, vcpus, setup.workers));
}

double entitlement(const Setup& setup, const VmSetup& vm) {
  return static_cast<double>(
      vm.weight.value * entitlement_factor(vm.policy.features, vm.vcpus, setup.workers));
}

// A VM's share of all, from the root down to its group.
double share_of(const Setup& setup, const VmSetup& vm) {
  const auto among_siblings = [&](GroupId parent, double own) {
    double sum = 0;
    for (uint32_t i = 0; i < setup.groups.size(); ++i) {
      if (setup.groups[i].parent == parent) sum += entitlement(setup, GroupId{i});
    }
    for (const VmSetup& other : setup.vms) {
      if (other.parent == parent) sum += entitlement(setup, other);
    }
    return sum > 0 ? own / sum : 1.0;
  };
  double share = among_siblings(vm.parent, entitlement(setup, vm));
  for (GroupId at = vm.parent; at != kRootGroup; at = setup.groups[index_of(at)].parent) {
    share *= among_siblings(setup.groups[index_of(at)].parent, entitlement(setup, at));
  }
  return share;
}

// Of the vCPU that is entitled to least: its share in the mean share.
double least_share(const Setup& setup) {
  double least = 1.0;
  uint32_t vcpus = 0;
  for (const VmSetup& vm : setup.vms) vcpus += vm.vcpus;
  for (const VmSetup& vm : setup.vms) {
    const double each = share_of(setup, vm) / std::max(1u, vm.vcpus);
    least = std::min(least, each * vcpus);
  }
  return std::max(least, 1e-9);
}

// Turns in the longest wait, where n equal vCPUs are on a worker, in n.
double rounds_of(const Setup& setup) {
  if (setup.queue == QueueKind::kRoundRobin) return 1;
  if (setup.queue == QueueKind::kGang) return 6;
  const bool credits = std::any_of(setup.vms.begin(), setup.vms.end(),
                                   [](const VmSetup& vm) { return vm.policy.features.credit; });
  return credits ? 4 : 2;
}

}  // namespace

Nanos longest_wait(const Setup& setup, uint32_t runnable) {
  double turn = longest_turn(setup.tuning, runnable);
  for (const VmSetup& vm : setup.vms) turn = std::max(turn, longest_turn(vm.policy.tuning, runnable));
  const double wait = rounds_of(setup) * runnable * turn / least_share(setup);
  constexpr double kMost = 1e18;  // half a lifetime
  return Nanos(static_cast<int64_t>(std::min(wait, kMost)));
}

}  // namespace sched
