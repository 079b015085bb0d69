#include "sched/yield/memory.h"

#include <algorithm>
#include <utility>

#include "sched/policy/parse.h"

namespace sched {

namespace {

IpiWindow window_of(const Tuning& tuning) {
  return {tuning.ipi_window, tuning.ipi_window_min, tuning.ipi_window_means, tuning.ipi_mean_over};
}

HandoverScore::Config handovers_of(const Tuning& tuning) {
  return {.range = static_cast<int32_t>(tuning.handover_range),
          .retry_every = static_cast<uint64_t>(tuning.handover_retry)};
}

Trial::Config donations_of(const Tuning& tuning) {
  return {.ways = static_cast<uint32_t>(kDonatedHalves.size()),
          .epoch = static_cast<uint32_t>(tuning.donate_epoch),
          .try_every = static_cast<uint32_t>(tuning.donate_try_every),
          .clearly = tuning.donate_clearly,
          .mean_over = tuning.donate_mean_over};
}

SaturatingPredictor::Config sends_of(const Tuning& tuning) {
  return {.sure = static_cast<int32_t>(tuning.send_sure),
          .most = static_cast<int32_t>(std::max(tuning.send_sure, tuning.send_most)),
          .probe_every = static_cast<uint32_t>(tuning.send_probe_every)};
}

}  // namespace

VmYields::VmYields(const VmInfo& vm)
    : ipi(make_ipi_model(vm.policy.features.ipi, vm.size, window_of(vm.policy.tuning))),
      handovers(handovers_of(vm.policy.tuning)),
      relaxed(handovers_of(vm.policy.tuning)),
      donations(donations_of(vm.policy.tuning)) {}

YieldMemory::YieldMemory(const std::vector<VmInfo>& vms, uint32_t workers, uint32_t vcpus)
    : vcpus_(vcpus), workers_(workers), after_donation_(new std::atomic<bool>[vcpus]()) {
  for (const VmInfo& vm : vms) {
    vms_.push_back(std::make_unique<VmYields>(vm));
    const SaturatingPredictor unseen(sends_of(vm.policy.tuning));
    for (uint32_t i = 0; i < vm.size; ++i) vcpus_[index_of(vm.vcpu(i))].waits_after_send = unseen;
  }
}

void YieldMemory::change(const VmInfo& vm, const Policy& next, Nanos now) {
  VmInfo after = vm;
  after.policy = next;
  Aside coming{.vm = vm.id,
               .policy = next,
               .yields = nullptr,
               .sends = std::vector(vm.size, SaturatingPredictor(sends_of(next.tuning))),
               .since = now};
  const auto known = std::find_if(aside_.begin(), aside_.end(), [&](const Aside& aside) {
    return aside.vm == vm.id && is_same_policy(aside.policy, next);
  });
  if (known != aside_.end()) {
    coming = std::move(*known);
    aside_.erase(known);
    coming.yields->donations.skip(now - coming.since);
    for (uint32_t i = 0; coming.yields->ipi != nullptr && i < vm.size; ++i) coming.yields->ipi->forget(i);
  } else {
    coming.yields = std::make_unique<VmYields>(after);
  }
  std::swap(coming.yields, vms_[index_of(vm.id)]);
  for (uint32_t i = 0; i < vm.size; ++i) {
    VcpuYields& vcpu = vcpus_[index_of(vm.vcpu(i))];
    std::swap(coming.sends[i], vcpu.waits_after_send);
    vcpu.outcome = {};
    vcpu.wait_spins = 0;
  }
  coming.policy = vm.policy;
  coming.since = now;
  aside_.push_back(std::move(coming));
}

}  // namespace sched
