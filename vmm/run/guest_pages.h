// What guests write into the pages of guest/abi.h, read as figures and text. A guest writes what it likes,
// while it is read and afterwards: nothing here trusts a value, and what comes out can be added up, printed
// and stored.
//
// Pure, any thread. Pages come as copies.
#pragma once

#include <array>
#include <string>

#include "guest/abi.h"
#include "vmm/run_types.h"

namespace vmm {

struct Calibration {
  double delay_iters_per_ms = 0;
  double pauses_per_ms = 0;
  Nanos exit_cost{};  // a doorbell store through the whole run loop
};

// A vCPU by its guest's own counters.
struct GuestCounters {
  uint64_t operations = 0;
  Nanos spinning{};                                 // busy-waiting
  std::array<uint32_t, KVMUX_HIST_BUCKETS> acks{};  // IPI send → acknowledge, as in VmResult; runs over
};

// Longer than any run; times up to it can be summed over every vCPU that kvmux runs.
inline constexpr Nanos kMostGuestTime{int64_t{1} << 50};  // 13 days

// `count` things at `per_ms` of them in a millisecond: 0 … kMostGuestTime. Anything is accepted, NaN too.
[[nodiscard]] Nanos time_of(double count, double per_ms);

// What the guest counted between two looks at a page, into the fields of `result` that are the guest's.
// Counters that ran backwards give large numbers, as unsigned arithmetic has it.
void add_counters(const kvmux_vcpu_results& start, const kvmux_vcpu_results& end,
                  const Calibration& calibration, VcpuResult& result);
// The part of its time that the guest says it spent busy-waiting.
[[nodiscard]] Nanos spinning_time(const VcpuResult& result, const Calibration& calibration);
void add_latencies(const kvmux_vcpu_results& start, const kvmux_vcpu_results& end, VmResult& vm);

// All that it has counted so far.
[[nodiscard]] GuestCounters counters_of(const kvmux_vcpu_results& page, const Calibration& calibration);

// The name ends at its NUL or its size, and holds nothing that moves a terminal's cursor.
[[nodiscard]] CheckResult read_check(uint32_t vcpu, const kvmux_check& check);

}  // namespace vmm
