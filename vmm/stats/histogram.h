// Reads the log-linear latency histograms that guests write (guest/abi.h): where a bucket begins, and
// percentiles. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vmm/run_types.h"

namespace vmm {

// The smallest number of ticks that kvmux_hist_bucket() puts into this bucket; `bucket` may be one past the
// last. Inverse of kvmux_hist_bucket(); exact up to 64 bits of ticks.
uint64_t histogram_bucket_start(uint32_t bucket);

uint64_t histogram_count(std::span<const uint64_t> buckets);

// The value below which a share `quantile` (0 … 1) of the samples lies, linear inside a bucket (so at most
// 1/8 off); in ticks. Nothing if there are no samples.
std::optional<double> histogram_quantile(std::span<const uint64_t> buckets, double quantile);

// The same in host time.
std::optional<Nanos> histogram_quantile_time(std::span<const uint64_t> buckets, double quantile,
                                             double tsc_khz);

}  // namespace vmm
