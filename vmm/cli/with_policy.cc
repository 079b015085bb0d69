// Puts a policy into a setup and refuses what cannot run together.
#include <fmt/format.h>

#include "sched/policy_parse.h"
#include "vmm/cli/spec.h"

namespace vmm {
namespace {

// The run queue serves all VMs of a run, so they must agree on it.
Result<void> check_queues(const RunSpec& spec) {
  const sched::QueueKind queue = spec.vms.front().policy.features.queue;
  for (const VmSpec& vm : spec.vms) {
    if (vm.policy.features.queue == queue) continue;
    return usage_error(
        "--policy",
        fmt::format("'{}' and '{}' cannot share a run: their run queues ({} and {}) hold for all VMs",
                    spec.vms.front().policy.name, vm.policy.name, sched::queue_name(queue),
                    sched::queue_name(vm.policy.features.queue)));
  }
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
      return usage_error(
          "--irqchip split",
          fmt::format("under policy '{}' a vCPU halted inside KVM would hold its worker; accepted "
                      "are host, host-yield and host-kvm",
                      vm.policy.name));
    }
  }
  return {};
}

}  // namespace

Result<RunSpec> with_policy(const Setup& setup, const sched::Policy& policy) {
  RunSpec spec = setup.spec;
  for (size_t i = 0; i < spec.vms.size(); ++i) {
    if (setup.takes_policy[i]) spec.vms[i].policy = policy;
  }
  if (const auto checked = check_queues(spec); !checked) return tl::unexpected(checked.error());
  if (const auto checked = check_irqchip(spec); !checked) return tl::unexpected(checked.error());
  if (spec.vms.front().policy.features.queue == sched::QueueKind::kHostKvm) spec.irqchip = Irqchip::kSplit;
  return spec;
}

}  // namespace vmm
