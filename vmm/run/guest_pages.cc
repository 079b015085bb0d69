#include "vmm/run/guest_pages.h"

#include <cstring>

#include "vmm/device/console.h"

namespace vmm {

Nanos time_of(double count, double per_ms) {
  constexpr double kNanosPerMs = 1e6;
  constexpr auto kMost = static_cast<double>(kMostGuestTime.count());
  const double ns = count / per_ms * kNanosPerMs;
  if (!(per_ms > 0) || !(ns > 0)) return {};  // NaN is not greater than anything
  return ns >= kMost ? kMostGuestTime : Nanos{static_cast<int64_t>(ns)};
}

void add_counters(const kvmux_vcpu_results& start, const kvmux_vcpu_results& end,
                  const Calibration& calibration, VcpuResult& result) {
  result.operations = end.operations - start.operations;
  result.work_iters = end.work_iters - start.work_iters;
  result.work_time = time_of(static_cast<double>(result.work_iters), calibration.delay_iters_per_ms);
  result.spin_pauses = end.spin_pauses - start.spin_pauses;
  result.ipis_sent = end.ipis_sent - start.ipis_sent;
  result.ipis_acked = end.ipis_acked - start.ipis_acked;
  result.wakeups = end.wakeups - start.wakeups;
  result.guest_errors = end.errors;  // all of them: a guest that was wrong while warming up was wrong
}

Nanos spinning_time(const VcpuResult& result, const Calibration& calibration) {
  return time_of(static_cast<double>(result.spin_pauses), calibration.pauses_per_ms);
}

void add_latencies(const kvmux_vcpu_results& start, const kvmux_vcpu_results& end, VmResult& vm) {
  // As wide as the guest's own counters: where one ran over, the difference is right all the same.
  for (size_t b = 0; b < vm.ack_hist.size(); ++b) {
    vm.ack_hist[b] += static_cast<uint32_t>(end.ack_hist[b] - start.ack_hist[b]);
  }
}

GuestCounters counters_of(const kvmux_vcpu_results& page, const Calibration& calibration) {
  GuestCounters counters{
      .operations = page.operations,
      .spinning = time_of(static_cast<double>(page.spin_pauses), calibration.pauses_per_ms)};
  for (size_t b = 0; b < counters.acks.size(); ++b) counters.acks[b] = page.ack_hist[b];
  return counters;
}

CheckResult read_check(uint32_t vcpu, const kvmux_check& check) {
  return {.vcpu = vcpu,
          .name = printable({check.name, ::strnlen(check.name, sizeof(check.name))}),
          .value = check.value,
          .ok = check.ok != 0};
}

}  // namespace vmm
