#include "sched/queue/flat_shares.h"

#include <algorithm>

namespace sched {

void FlatShares::join(const Vcpu& vcpu) {
  count(vcpu.group, 1);
  change_load(vcpu.group, kDefaultWeight.value);
}

void FlatShares::leave(const Vcpu& vcpu) {
  count(vcpu.group, -1);
  change_load(vcpu.group, -kDefaultWeight.value);
}

void FlatShares::count(GroupId group, int64_t by) {
  for (; group != kRootGroup; group = hierarchy_.parent(group)) hierarchy_.count_runnable(group, by);
}

// What it changes in the group's share here changes the load of the group above.
void FlatShares::change_load(GroupId group, int64_t by) {
  for (; group != kRootGroup; group = hierarchy_.parent(group)) {
    Group& here = groups_[index_of(group)];
    here.load += by;
    if (by != 0) hierarchy_.add_load(group, by);
    const int64_t weight = here.load > 0 ? hierarchy_.share(group, Weight{here.load}).value : 0;
    by = weight - here.weight;
    here.weight = weight;
  }
}

Weight FlatShares::weight_of(const Vcpu& vcpu) {
  if (vcpu.group == kRootGroup) return {kDefaultWeight.value * hierarchy_.resolution()};
  change_load(vcpu.group, 0);  // other workers' loads have changed shares meanwhile
  int64_t weight = kDefaultWeight.value;
  for (GroupId group = vcpu.group; group != kRootGroup; group = hierarchy_.parent(group)) {
    const Group& here = groups_[index_of(group)];
    weight = std::max<int64_t>(1, here.weight * weight / here.load);
  }
  return std::max(kMinWeight, Weight{weight});
}

void FlatShares::add_service(const Vcpu& vcpu, Nanos ran) {
  for (GroupId group = vcpu.group; group != kRootGroup; group = hierarchy_.parent(group)) {
    hierarchy_.add_service(group, ran);
  }
}

}  // namespace sched
