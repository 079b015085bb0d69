// What VMs get of the workers in any second, for VMs that could always use more. Fair is a VM's weight in the
// sum of weights; with rr, which has no weights, its vCPUs in all vCPUs. Of that:
//   rr, fair, yield, deboost, ipi, v2, vee21; critical and cosched-ipi, which are yield where a guest publishes nothing
//          and sends no IPIs, as here
//          3 % more or less, because vCPUs are whole, and a slice on each worker, because turns are cut at
//          the ends of the second. No yield moves service from one VM to another.
//   gang   a quarter: slots are dealt whole, sixteen a gang in a round.
//   hier   A yield costs its VM a slice at the most, and the next comes after kYieldEvery of running at the
//          least: a VM that yields gets 20 µs / (20 µs + 2.8 ms) of its share or more. One that does not gets
//          all of it. Nobody gets more than if all others that yield got nothing.
//   v3     A credit is paid back before the next, so it doubles what a VM gets at the most, and the others
//          share what is left. With f as a VM's share and c as the sum of the shares of the others that
//          yield: at the least 1 / (1 + c) of f; at the most 2 / (1 + f) of it for one that yields, else just
//          it. Only yields to other workers give VMs credit: to one here, the VM runs already.
//   kvmux  Where VMs stay whole (equal weights, no fewer than workers): another 3 %, about what half a
//   balancing
//          interval is of a share, because a worker with one VM less is one VM's for so long. Elsewhere 0.8
//          to 1.4 on several workers: a nominee may be two slices ahead, and changing places moves load
//          between workers faster than it is balanced. Not derived: these 1,000 seeds gave 0.775 to 1.498 in
//          all.
// For the last three, besides, what the first ones have.
#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "property_driver.h"

using namespace sched_test;

namespace {

constexpr Behaviour kBusy[] = {Behaviour::kCompute, Behaviour::kSpins, Behaviour::kYieldsTight};

constexpr double kYieldEvery = 20e3;  // ns: Behaviour::kYieldsTight

struct Bounds {
  double least;
  double most;
};

// VMs that can use up their share: always runnable, and as many vCPUs as workers at least.
Plan busy_plan(Rng& rng, std::string_view name) {
  Plan plan;
  plan.setup.workers = 1 + static_cast<uint32_t>(rng.below(3));
  plan.setup.seed = rng.next();
  const bool equal = rng.below(2) == 0;
  const uint32_t vms = 2 + static_cast<uint32_t>(rng.below(3));
  for (uint32_t v = 0; v < vms; ++v) {
    std::vector<Behaviour> vcpus(plan.setup.workers * (1 + rng.below(2)));
    for (Behaviour& behaviour : vcpus) behaviour = kBusy[rng.below(std::size(kBusy))];
    plan.add(name, equal ? kDefaultWeight : Weight{512 << rng.below(3)}, std::move(vcpus));
  }
  return plan;
}

// Of all workers.
double fair_share(const Plan& plan, uint32_t vm) {
  const bool weights = plan.setup.queue != QueueKind::kRoundRobin;
  const auto part = [&](const VmPlan& v) {
    if (!weights) return static_cast<double>(v.vcpus.size());
    return static_cast<double>(v.setup.weight.value *
                               entitlement_factor(v.setup.policy.features.vm_share,
                                                  static_cast<int64_t>(v.vcpus.size()), plan.setup.workers));
  };
  double sum = 0;
  for (const VmPlan& v : plan.vms) sum += part(v);
  return part(plan.vms[vm]) / sum;
}

bool yields(const VmPlan& vm) {
  return vm.vcpus.size() > 1 &&
         std::any_of(vm.vcpus.begin(), vm.vcpus.end(), [](Behaviour b) { return b != Behaviour::kCompute; });
}

// The sum of shares of the VMs but this one that yield, or that do not.
double share_of_others(const Plan& plan, uint32_t vm, bool that_yield) {
  double sum = 0;
  for (uint32_t other = 0; other < plan.vms.size(); ++other) {
    if (other != vm && yields(plan.vms[other]) == that_yield) sum += fair_share(plan, other);
  }
  return sum;
}

// They have a home each and take turns on the emptier worker.
bool whole_vms(const Plan& plan) {
  const bool alike = std::all_of(plan.vms.begin(), plan.vms.end(), [&](const VmPlan& vm) {
    return vm.setup.weight == plan.vms.front().setup.weight;
  });
  return alike && plan.vms.size() >= plan.setup.workers;
}

// As parts of what is fair.
Bounds bounds_of(std::string_view name, const Plan& plan, uint32_t vm) {
  if (name == "gang") return {0.75, 1.25};
  const double share = fair_share(plan, vm);
  const bool pays = yields(plan.vms[vm]);
  const auto slice = static_cast<double>(plan.setup.tuning.slice.count());
  const double rest = 0.03 + static_cast<double>(plan.longest_slice().count()) / 1e9 / share;
  Bounds bounds{1, 1};
  if (name == "hier" || name == "linux-7.3") {  // what is forfeited goes to all
    bounds.least = pays ? kYieldEvery / (kYieldEvery + slice) : 1;
    bounds.most = 1 / (share + share_of_others(plan, vm, false));
  } else if (name == "v3" && plan.setup.workers > 1) {
    bounds.least = 1 / (1 + share_of_others(plan, vm, true));
    if (pays) bounds.most = 2 / (1 + share);
  } else if (name == "kvmux" && plan.setup.workers > 1) {
    bounds = whole_vms(plan) ? Bounds{0.97, 1.03} : Bounds{0.8, 1.4};
  }
  return {bounds.least * (1 - rest), bounds.most * (1 + rest)};
}

// Runs for a little more than a second and looks at each second of it in steps. Worst: the least and the most
// that any VM gets, as parts of what is fair.
void check_shares(std::string_view name, const Plan& plan, uint64_t seed, Bounds& worst) {
  constexpr Nanos kStep = 10ms;
  constexpr uint32_t kSteps = 120;
  constexpr uint32_t kWindow = 100;
  Driver driver(plan, seed);
  std::vector<std::vector<Nanos>> service(plan.vms.size(), {0ns});
  for (uint32_t step = 1; step <= kSteps; ++step) {
    driver.run_until(kStep * step);
    for (uint32_t vm = 0; vm < plan.vms.size(); ++vm) service[vm].push_back(driver.service(VmId{vm}));
  }
  const Nanos all = kStep * kWindow * plan.setup.workers;
  for (uint32_t vm = 0; vm < plan.vms.size(); ++vm) {
    const double fair = fair_share(plan, vm) * static_cast<double>(all.count());
    const Bounds allowed = bounds_of(name, plan, vm);
    Bounds seen{1e9, 0};
    for (uint32_t step = kWindow; step <= kSteps; ++step) {
      const Nanos got = service[vm][step] - service[vm][step - kWindow];
      const double part = static_cast<double>(got.count()) / fair;
      seen = {std::min(seen.least, part), std::max(seen.most, part)};
    }
    CAPTURE(vm);
    REQUIRE(seen.least >= allowed.least);
    REQUIRE(seen.most <= allowed.most);
    worst = {std::min(worst.least, seen.least), std::max(worst.most, seen.most)};
  }
}

void shares_hold(std::initializer_list<std::string_view> presets) {
  for (const std::string_view name : presets) {
    Bounds worst{1, 1};
    for_each_seed(1000, [&](uint64_t seed) {
      Rng rng(seed);
      const Plan plan = busy_plan(rng, name);
      CAPTURE(plan.describe());
      check_shares(name, plan, seed, worst);
    });
    MESSAGE(name << ": " << worst.least << " to " << worst.most);
  }
}

}  // namespace

TEST_CASE("property: VMs get their share in any second under rr, fair and gang") {
  shares_hold({"rr", "fair", "gang"});
}

TEST_CASE("property: VMs get their share in any second under yield, deboost, ipi, v2 and vee21") {
  shares_hold({"yield", "deboost", "ipi", "v2", "vee21"});
}

TEST_CASE("property: VMs get their share within a bound in any second under hier, linux-7.3, v3 and kvmux") {
  shares_hold({"hier", "linux-7.3", "v3", "kvmux"});  // oracle, of guests that publish nothing, is kvmux
}
