#include "vmm/run/setup.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sched/base/text.h"
#include "sched/policy/parse.h"

namespace vmm {
namespace {

using sched::GroupId;

constexpr Nanos kShortestWindow{20'000};
constexpr Nanos kLongestWindow{200'000};

// Deals group ids: every path once, parents before their children.
class Groups {
 public:
  explicit Groups(std::vector<sched::GroupSetup>& groups) : groups_(groups) {}

  // The group of this path, made with its parents if it is not there yet. The path has been checked.
  GroupId find_or_make(const std::string& path) {
    if (path.empty()) return sched::kRootGroup;
    if (const auto known = ids_.find(path); known != ids_.end()) return known->second;
    const size_t slash = path.rfind('/');
    const GroupId parent =
        slash == std::string::npos ? sched::kRootGroup : find_or_make(path.substr(0, slash));
    const GroupId id{static_cast<uint32_t>(groups_.size())};
    groups_.push_back({.path = path, .parent = parent, .weight = sched::kDefaultWeight});
    ids_.emplace(path, id);
    return id;
  }

 private:
  std::vector<sched::GroupSetup>& groups_;
  std::unordered_map<std::string, GroupId> ids_;
};

Result<void> check_path(std::string_view flag, std::string_view path) {
  const bool bad = path.front() == '/' || path.back() == '/' || path.find("//") != std::string_view::npos;
  if (!bad) return {};
  return usage_error(
      std::string{flag},
      fmt::format("group '{}': accepted are names joined by single slashes, like prod/web", path));
}

Result<void> add_groups(const RunSpec& spec, Groups& groups, sched::Setup& setup) {
  std::vector<std::string_view> seen;
  for (const GroupSpec& group : spec.groups) {
    if (group.path.empty()) return usage_error("--group", "a group needs a path, like prod/web");
    if (const auto ok = check_path("--group", group.path); !ok) return ok;
    if (std::find(seen.begin(), seen.end(), group.path) != seen.end()) {
      return usage_error("--group", fmt::format("'{}' is given twice", group.path));
    }
    seen.push_back(group.path);
    setup.groups[index_of(groups.find_or_make(group.path))].weight = group.weight;
  }
  return {};
}

sched::Parsed<sched::Tuning> shared_tuning(const RunSpec& spec) {
  std::vector<const sched::Policy*> policies;
  for (const VmSpec& vm : spec.vms) policies.push_back(&vm.policy);
  for (const PolicyChange& change : spec.changes) {
    for (const VmChange& vm : change.vms) policies.push_back(&vm.policy);
  }
  return sched::tuning_of_run(policies);
}

// Where vCPUs begin, and whether VMs stay whole.
bool places_alike(const sched::Policy& a, const sched::Policy& b) {
  return a.features.pack == b.features.pack && a.features.affinity == b.features.affinity;
}

// A change while guests run: of what may change then.
Result<void> check_change(const sched::Policy& from, const sched::Policy& to) {
  if (const auto ok = sched::check_carried(to); !ok) return usage_error("--at", ok.error());
  const auto refuse = [&](const std::string& why) {
    return usage_error("--at",
                       fmt::format("'{}' cannot become '{}' while guests run: {}", from.name, to.name, why));
  };
  const sched::QueueKind queue = from.features.queue;
  if (sched::is_host_queue(queue) || sched::is_host_queue(to.features.queue)) {
    return refuse("the host's scheduler has the threads of a whole run");
  }
  if (to.features.queue != queue) {
    return refuse(fmt::format("their run queues ({} and {}) hold for the whole run", sched::queue_name(queue),
                              sched::queue_name(to.features.queue)));
  }
  for (const sched::FeatureField& field : sched::feature_fields()) {
    if (field.whole_run && field.get(from.features) != field.get(to.features))
      return refuse(fmt::format("{} holds for the whole run", field.name));
  }
  if (queue == sched::QueueKind::kGang && from.tuning.slice != to.tuning.slice) {
    return refuse("the slots of run queue 'gang' are slices of the whole run");
  }
  const bool pinned = to.tuning.migration_cost >= to.tuning.dear_move;
  if (pinned && !places_alike(from, to)) {
    return refuse("they differ in where vCPUs begin (pack, affinity), and no vCPU may move (migration-cost)");
  }
  return {};
}

Result<void> check_changes(const RunSpec& spec) {
  Nanos last{};
  for (const PolicyChange& change : spec.changes) {
    if (change.at <= last || change.at >= spec.duration) {
      return usage_error("--at",
                         fmt::format("{}: accepted are instants within the run's {}, each once",
                                     sched::format_time(change.at), sched::format_time(spec.duration)));
    }
    last = change.at;
    for (size_t i = 0; i < change.vms.size(); ++i) {
      if (auto ok = check_change(spec.vms[i].policy, change.vms[i].policy); !ok) return ok;
    }
  }
  return {};
}

// The run queue serves all VMs, so they must agree on it and on its own constants.
Result<void> check_queues(const RunSpec& spec) {
  const sched::Policy& first = spec.vms.front().policy;
  for (const VmSpec& vm : spec.vms) {
    if (const auto ok = sched::check_carried(vm.policy); !ok) return usage_error("--policy", ok.error());
    if (vm.policy.features.queue != first.features.queue) {
      return usage_error("--policy",
                         fmt::format("'{}' and '{}' cannot share a run: their run queues ({} and {}) hold "
                                     "for all VMs",
                                     first.name, vm.policy.name, sched::queue_name(first.features.queue),
                                     sched::queue_name(vm.policy.features.queue)));
    }
  }
  if (auto ok = check_changes(spec); !ok) return ok;
  const auto shared = shared_tuning(spec);
  if (!shared) return usage_error(spec.changes.empty() ? "--policy" : "--policy, --at", shared.error());
  return {};
}

Result<void> check_irqchip(const RunSpec& spec) {
  if (spec.irqchip == Irqchip::kUser) return {};
  for (const VmSpec& vm : spec.vms) {
    if (vm.policy.features.ipi != sched::IpiModelKind::kNone) {
      return usage_error(
          "--irqchip split",
          fmt::format("policy '{}' follows IPIs, but with the local APIC inside KVM kvmux sees "
                      "neither IPIs nor EOIs; accepted are host, host-yield and host-kvm",
                      vm.policy.name));
    }
    if (!sched::is_host_queue(vm.policy.features.queue)) {
      return usage_error("--irqchip split",
                         fmt::format("under policy '{}' a vCPU halted inside KVM would hold its worker, and "
                                     "IPIs and EOIs would never reach kvmux; accepted are host, host-yield "
                                     "and host-kvm",
                                     vm.policy.name));
    }
  }
  return {};
}

Result<void> check_weights(const RunSpec& spec) {
  for (const VmSpec& vm : spec.vms) {
    const bool equal = vm.weight == sched::kDefaultWeight && vm.group.empty();
    if (!equal && vm.policy.features.cgroups == sched::Cgroups::kNone) {
      return usage_error(vm.group.empty() ? "--weight" : "--group",
                         fmt::format("'{}' has no groups that VMs' weights could belong to; accepted is "
                                     "cgroups=vm or cgroups=vcpu",
                                     vm.policy.name));
    }
    if (equal || !sched::is_host_queue(vm.policy.features.queue)) continue;
    return usage_error(
        vm.group.empty() ? "--weight" : "--group",
        fmt::format("'{}' leaves scheduling to the host, which knows nothing of the VMs' weights "
                    "and groups",
                    vm.policy.name));
  }
  return {};
}

Result<void> check_handicaps(const RunSpec& spec) {
  for (const VmSpec& vm : spec.vms) {
    if (!vm.handicap_percent || spec.backend != Backend::kKvm) continue;
    if (!sched::is_host_queue(vm.policy.features.queue)) continue;
    return usage_error(
        "--handicap",
        fmt::format("under '{}' a vCPU leaves KVM as rarely as it likes, so no share of its turns "
                    "can be burnt: accepted under policies of ours, and in the simulator",
                    vm.policy.name));
  }
  return {};
}

}  // namespace

Result<void> check_together(const RunSpec& spec) {
  if (spec.vms.empty()) return usage_error("--vms", "a run needs at least one VM");
  if (const auto ok = check_queues(spec); !ok) return ok;
  if (const auto ok = check_irqchip(spec); !ok) return ok;
  if (const auto ok = check_weights(spec); !ok) return ok;
  return check_handicaps(spec);
}

Result<void> check_change(std::span<const VmChange> from, std::span<const VmChange> to) {
  std::vector<const sched::Policy*> all;
  for (const VmChange& vm : from) all.push_back(&vm.policy);
  for (size_t i = 0; i < to.size(); ++i) {
    if (auto ok = check_change(from[i].policy, to[i].policy); !ok) return ok;
    all.push_back(&to[i].policy);
  }
  if (const auto shared = sched::tuning_of_run(all); !shared) return usage_error("--at", shared.error());
  return {};
}

bool has_linux_guests(const RunSpec& spec) {
  return std::any_of(spec.vms.begin(), spec.vms.end(),
                     [](const VmSpec& vm) { return vm.linux_guest.has_value(); });
}

bool is_host_run(const RunSpec& spec) {
  return std::any_of(spec.vms.begin(), spec.vms.end(),
                     [](const VmSpec& vm) { return sched::is_host_queue(vm.policy.features.queue); });
}

Result<sched::Setup> make_setup(const RunSpec& spec, Nanos spin_window) {
  if (const auto ok = check_together(spec); !ok) return tl::unexpected(ok.error());
  const sched::Policy& first = spec.vms.front().policy;
  if (sched::is_host_queue(first.features.queue)) {
    return usage_error("--policy", fmt::format("'{}' leaves scheduling to the host", first.name));
  }
  sched::Setup setup;
  setup.workers = spec.workers;
  setup.queue = first.features.queue;
  setup.tuning = *shared_tuning(spec);  // checked above
  setup.seed = spec.seed;
  setup.loses_wakeups = spec.loses_wakeups;
  setup.judges_yields = spec.judges_yields;
  if (spin_window > Nanos::zero()) setup.spin_window = spin_window;
  Groups groups(setup.groups);
  if (const auto ok = add_groups(spec, groups, setup); !ok) return tl::unexpected(ok.error());
  for (const VmSpec& vm : spec.vms) {
    if (!vm.group.empty()) {
      if (const auto ok = check_path("--vm group=", vm.group); !ok) return tl::unexpected(ok.error());
    }
    setup.vms.push_back({.vcpus = vm.vcpus,
                         .weight = vm.weight,
                         .parent = groups.find_or_make(vm.group),
                         .policy = vm.policy});
  }
  return setup;
}

Nanos spin_window_of(const RunSpec& spec, Nanos exit_cost) {
  const bool bell = spec.spin_detect == SpinDetect::kDoorbell || spec.spin_detect == SpinDetect::kBoth;
  if (!bell) return Nanos::zero();
  if (spec.spin_window > Nanos::zero()) return spec.spin_window;
  return std::clamp(exit_cost, kShortestWindow, kLongestWindow);
}

}  // namespace vmm
