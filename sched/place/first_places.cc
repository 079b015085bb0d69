#include "sched/place/first_places.h"

#include <algorithm>

namespace sched {
namespace {

// What the VM is to have of all workers, in proportion.
int64_t part_of(const Setup& setup, const VmSetup& vm) {
  return vm.weight.value * entitlement_factor(vm.policy.features, vm.vcpus, setup.workers);
}

// VMs side by side, each vCPU as wide as its part of what its VM is to have, and the whole cut into equal pieces; a
// vCPU on a cut belongs to the piece that has its middle.
std::vector<WorkerId> side_by_side(const Setup& setup, std::vector<double>& load) {
  double whole = 0;
  for (const VmSetup& vm : setup.vms) whole += static_cast<double>(part_of(setup, vm));
  const double piece = whole / setup.workers;
  std::vector<WorkerId> places;
  double left = 0;
  for (const VmSetup& vm : setup.vms) {
    const double width = static_cast<double>(part_of(setup, vm)) / vm.vcpus;
    for (uint32_t i = 0; i < vm.vcpus; ++i, left += width) {
      const auto worker = std::min(setup.workers - 1, static_cast<uint32_t>((left + width / 2) / piece));
      places.push_back(WorkerId{worker});
      load[worker] += width;
    }
  }
  return places;
}

// Groups share their own weight among VMs; what that makes of a VM's weight is not worked out here.
bool may_pack(const Setup& setup) {
  return setup.groups.empty() && std::all_of(setup.vms.begin(), setup.vms.end(),
                                             [](const VmSetup& vm) { return vm.policy.features.pack; });
}

// Whole VMs that are not as many on every worker are fair only because they move on. They are chosen among the
// groups on a worker's run queue.
bool may_stay_whole(const Setup& setup) {
  const auto alike = [&](const VmSetup& vm) {
    const Features& features = vm.policy.features;
    return features.affinity && features.levels == QueueLevels::kNested && features.cgroups == Cgroups::kVm &&
           part_of(setup, vm) == part_of(setup, setup.vms.front());
  };
  return may_pack(setup) && setup.queue == QueueKind::kEevdf &&
         setup.tuning.migration_cost < setup.tuning.dear_move && setup.vms.size() >= setup.workers &&
         std::all_of(setup.vms.begin(), setup.vms.end(), alike);
}

std::vector<WorkerId> at_homes(const Setup& setup) {
  std::vector<WorkerId> places;
  for (size_t vm = 0; vm < setup.vms.size(); ++vm) {
    const WorkerId home{static_cast<uint32_t>(vm * setup.workers / setup.vms.size())};
    places.insert(places.end(), setup.vms[vm].vcpus, home);
  }
  return places;
}

}  // namespace

FirstPlaces first_places(const Setup& setup) {
  if (may_stay_whole(setup)) return {at_homes(setup), true};
  if (may_pack(setup)) {
    std::vector<double> load(setup.workers);
    std::vector<WorkerId> places = side_by_side(setup, load);
    const auto [least, most] = std::minmax_element(load.begin(), load.end());
    if (*most - *least <= *most / static_cast<double>(setup.tuning.place_tolerance)) return {places, false};
  }
  std::vector<WorkerId> places;
  for (const VmSetup& vm : setup.vms) {
    for (uint32_t i = 0; i < vm.vcpus; ++i) {
      const WorkerId in_turn{static_cast<uint32_t>(places.size()) % setup.workers};
      places.push_back(i < vm.places.size() ? vm.places[i] : in_turn);
    }
  }
  return {places, false};
}

}  // namespace sched
