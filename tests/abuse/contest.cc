#include "tests/abuse/contest.h"

#include <fmt/format.h>

#include <algorithm>

#include "sched/policy/parse.h"
#include "vmm/cli/guests.h"
#include "vmm/stats/metrics.h"

namespace abuse {
namespace {

vmm::VmSpec vm_of(const Contest& contest, const std::string& guest, const sched::Policy& policy) {
  vmm::VmSpec vm;
  vm.guest = guest;
  vm.vcpus = contest.shape.vcpus;
  vm.policy = policy;
  vm.workload = vmm::make_workload(guest, {});
  if (guest == "abuse") vm.args = word_of(contest.kind);
  return vm;
}

// The abuser is the last VM.
vmm::Result<vmm::RunSpec> spec_of(const Contest& contest, bool abused) {
  const auto policy = sched::parse_policy(contest.policy);
  if (!policy) return vmm::usage_error("--policies", policy.error());
  vmm::RunSpec spec;
  spec.backend = contest.backend;
  spec.workers = contest.shape.workers;
  spec.duration = contest.window;
  spec.seed = contest.seed;
  spec.quiet_console = true;
  if (spec.backend == vmm::Backend::kSim) spec.cost_profile = contest.costs;
  for (uint32_t i = 0; i < contest.shape.innocents; ++i)
    spec.vms.push_back(vm_of(contest, contest.innocent, *policy));
  spec.vms.push_back(vm_of(contest, abused ? "abuse" : "compute", *policy));
  return spec;
}

vmm::Nanos on_cpu(const vmm::VmResult& vm) {
  const vmm::Totals sum = vmm::totals(vm);
  return sum.on_worker() - sum.ledger.stolen;
}

double ratio(vmm::Nanos part, vmm::Nanos whole) {
  return static_cast<double>(part.count()) / static_cast<double>(std::max(vmm::Nanos{1}, whole).count());
}

Share share_of(const vmm::RunResult& result, uint32_t workers) {
  const vmm::Nanos all = result.window * workers;
  const vmm::Nanos lost = std::min(vmm::totals(result).ledger.stolen, all);
  const auto vms = static_cast<int64_t>(result.vms.size());
  Share share{.time = 2.0 * static_cast<double>(vms), .work = 0, .stolen = ratio(lost, all)};
  for (size_t i = 0; i + 1 < result.vms.size(); ++i) {
    share.time = std::min(share.time, ratio(on_cpu(result.vms[i]), (all - lost) / vms));
    share.work += result.vms[i].ops_per_second;
  }
  return share;
}

}  // namespace

std::string Shape::text() const {
  return fmt::format("{} + 1 VMs of {} vCPUs on {} workers", innocents, vcpus, workers);
}

std::string Contest::text() const {
  return fmt::format("{} beside {}, {}, {}, seed {}", word_of(kind), innocent, policy, shape.text(), seed);
}

vmm::Result<Share> share_of_innocents(const Contest& contest, bool abused) {
  const auto spec = spec_of(contest, abused);
  if (!spec) return tl::unexpected(spec.error());
  vmm::RunControl control;
  const auto result = vmm::run(*spec, control);
  if (!result) return tl::unexpected(result.error());
  for (const vmm::VmResult& vm : result->vms) {
    if (!vm.failure.empty()) return vmm::guest_error(vm.guest, vm.failure);
    if (vm.exit_code) return vmm::guest_error(vm.guest, fmt::format("ended with {}", *vm.exit_code));
  }
  return share_of(*result, spec->workers);
}

Loss loss_between(const Share& beside_compute, const Share& beside_abuser) {
  return {.time = beside_compute.time - beside_abuser.time,
          .work = beside_compute.work > 0 ? 1 - beside_abuser.work / beside_compute.work : 0};
}

vmm::Result<Loss> measure(const Contest& contest) {
  const auto calm = share_of_innocents(contest, false);
  if (!calm) return tl::unexpected(calm.error());
  const auto abused = share_of_innocents(contest, true);
  if (!abused) return tl::unexpected(abused.error());
  return loss_between(*calm, *abused);
}

std::vector<kvmux_abuse> kinds(uint32_t vcpus) {
  std::vector<kvmux_abuse> all;
  for (int i = 0; i < KVMUX_ABUSE_COUNT; ++i) {
    const auto kind = static_cast<kvmux_abuse>(i);
    if (vcpus > 1 || kvmux_abuse_needs_others(kind) == 0) all.push_back(kind);
  }
  return all;
}

std::string_view word_of(kvmux_abuse kind) { return vmm::kAbuseWords[static_cast<size_t>(kind)]; }

}  // namespace abuse
