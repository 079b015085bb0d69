#include "property_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace sched_test {

Policy preset(std::string_view name) {
  Policy policy;
  policy.name = name;
  for (const Preset& p : presets()) {
    if (p.name != name) continue;
    policy.features = p.features;
    policy.tuning = p.tuning;
  }
  return policy;
}

void Plan::add(std::string_view name, Weight weight, std::vector<Behaviour> behaviours) {
  VmPlan& vm = vms.emplace_back();
  vm.setup.policy = preset(name);
  vm.setup.weight = weight;
  vm.setup.vcpus = static_cast<uint32_t>(behaviours.size());
  vm.vcpus = std::move(behaviours);
  setup.queue = vm.setup.policy.features.queue;
  setup.tuning = vm.setup.policy.tuning;
}

std::string Plan::describe() const {
  std::ostringstream out;
  out << setup.workers << " workers";
  for (const GroupSetup& group : setup.groups) {
    out << "; group " << group.weight.value << " in " << static_cast<int32_t>(group.parent);
  }
  for (const VmPlan& vm : vms) {
    out << "; " << vm.setup.policy.name << " vm " << vm.setup.weight.value << " in "
        << static_cast<int32_t>(vm.setup.parent) << ":";
    for (const Behaviour behaviour : vm.vcpus) out << ' ' << static_cast<int>(behaviour);
  }
  return out.str();
}

double Plan::least_share(uint32_t vm) const {
  const auto of_vm = [this](const VmPlan& v) {
    return v.setup.weight.value * entitlement_factor(v.setup.policy.features.vm_share,
                                                     static_cast<int64_t>(v.vcpus.size()), setup.workers);
  };
  const auto of_group = [this](uint32_t group) {
    int64_t vcpus = 0;
    for (const VmPlan& v : vms) {
      for (GroupId at = v.setup.parent; at != kRootGroup; at = setup.groups[index_of(at)].parent) {
        vcpus += index_of(at) == group ? static_cast<int64_t>(v.vcpus.size()) : 0;
      }
    }
    const VmShare mode = vms.front().setup.policy.features.vm_share;
    return setup.groups[group].weight.value * entitlement_factor(mode, vcpus, setup.workers);
  };
  const auto sum_below = [&](GroupId parent) {
    int64_t sum = 0;
    for (uint32_t g = 0; g < setup.groups.size(); ++g) sum += setup.groups[g].parent == parent ? of_group(g) : 0;
    for (const VmPlan& v : vms) sum += v.setup.parent == parent ? of_vm(v) : 0;
    return static_cast<double>(sum);
  };
  const VmPlan& plan = vms[vm];
  const auto size = static_cast<double>(plan.vcpus.size());
  double all = 0;
  if (setup.queue == QueueKind::kRoundRobin) {
    for (const VmPlan& v : vms) all += static_cast<double>(v.vcpus.size());
    return 1 / all;
  }
  if (setup.queue == QueueKind::kGang) {
    for (const VmPlan& v : vms) all += static_cast<double>(v.setup.weight.value);
    return static_cast<double>(plan.setup.weight.value) / size / all;
  }
  double share = 1 / size;
  int64_t weight = of_vm(plan);
  for (GroupId parent = plan.setup.parent;; parent = setup.groups[index_of(parent)].parent) {
    share *= static_cast<double>(weight) / sum_below(parent);
    if (parent == kRootGroup) return share;
    weight = of_group(index_of(parent));
  }
}

Nanos Plan::longest_slice() const {
  Nanos longest = setup.tuning.slice;
  for (const VmPlan& vm : vms) {
    const Tuning& tuning = vm.setup.policy.tuning;
    longest = std::max(longest, tuning.slice * tuning.quantum_multiplier);
  }
  return longest * (1000 + setup.tuning.slice_jitter_permille) / 1000;
}

Plan random_plan(Rng& rng, std::initializer_list<std::string_view> presets,
                 std::span<const Behaviour> behaviours) {
  const auto up_to = [&](uint64_t n) { return 1 + static_cast<uint32_t>(rng.below(n)); };
  const auto weight = [&] { return Weight{256 << rng.below(5)}; };
  Plan plan;
  plan.setup.workers = up_to(4);
  plan.setup.seed = rng.next();
  const uint32_t groups = rng.below(4) == 0 ? up_to(3) : 0;
  for (uint32_t g = 0; g < groups; ++g) {
    const GroupId parent =
        g == 0 || rng.below(2) == 0 ? kRootGroup : GroupId{static_cast<uint32_t>(rng.below(g))};
    plan.setup.groups.push_back({"", parent, weight()});
  }
  const uint32_t vms = up_to(5);
  for (uint32_t v = 0; v < vms; ++v) {
    const std::string_view name = *(presets.begin() + rng.below(presets.size()));
    const Weight own = rng.below(2) == 0 ? kDefaultWeight : weight();
    const bool nested = groups > 0 && rng.below(2) == 0;
    std::vector<Behaviour> vcpus(up_to(5));
    for (Behaviour& behaviour : vcpus) behaviour = behaviours[rng.below(behaviours.size())];
    plan.add(name, own, std::move(vcpus));
    if (nested) plan.vms.back().setup.parent = GroupId{static_cast<uint32_t>(rng.below(groups))};
  }
  return plan;
}

void for_each_seed(uint64_t count, const std::function<void(uint64_t)>& property) {
  if (const char* one = std::getenv("KVMUX_SEED")) return property(std::strtoull(one, nullptr, 10));
  if (const char* many = std::getenv("KVMUX_SEEDS")) count = std::strtoull(many, nullptr, 10);
  for (uint64_t seed = 1; seed <= count; ++seed) {
    INFO("replay with KVMUX_SEED=" << seed);
    property(seed);
  }
}

}  // namespace sched_test
