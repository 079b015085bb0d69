#include "vmm/stats/histogram.h"

#include <algorithm>
#include <numeric>

namespace vmm {

uint64_t histogram_bucket_start(uint32_t bucket) {
  if (bucket < 8) return bucket;
  const uint32_t octave = bucket / 8 + 2;
  if (octave > 63) return UINT64_MAX;  // one past the last octave that 64 bits can hold
  const uint64_t mantissa = 8 + bucket % 8;
  return mantissa << (octave - 3);
}

uint64_t histogram_count(std::span<const uint64_t> buckets) {
  return std::accumulate(buckets.begin(), buckets.end(), uint64_t{0});
}

std::optional<double> histogram_quantile(std::span<const uint64_t> buckets, double quantile) {
  const uint64_t total = histogram_count(buckets);
  if (total == 0) return std::nullopt;
  const double wanted = quantile * static_cast<double>(total);
  double below = 0;
  double end = 0;
  for (uint32_t bucket = 0; bucket < buckets.size(); ++bucket) {
    const auto count = static_cast<double>(buckets[bucket]);
    if (count == 0) continue;
    const auto start = static_cast<double>(histogram_bucket_start(bucket));
    end = static_cast<double>(histogram_bucket_start(bucket + 1));
    if (below + count >= wanted) return start + (end - start) * (wanted - below) / count;
    below += count;
  }
  return end;  // rounding let `wanted` pass the last sample
}

std::optional<Nanos> histogram_quantile_time(std::span<const uint64_t> buckets, double quantile,
                                             double tsc_khz) {
  const auto ticks = histogram_quantile(buckets, quantile);
  if (!ticks || !(tsc_khz > 0)) return std::nullopt;
  // The guest wrote the histogram: its last bucket is 600 years at a gigahertz.
  constexpr auto kMost = static_cast<double>(Nanos::max().count() / 2);
  return Nanos{static_cast<int64_t>(std::min(*ticks / tsc_khz * 1e6, kMost))};
}

}  // namespace vmm
