// `latency=TIME`: a key that sets two constants, latency-target to its value, and min-slice to a millisecond, so that
// turns may become as short as that needs; also for ipi-latency. What it buys and costs: docs/latency.md.
#pragma once

#include <string_view>

#include "sched/base/types.h"

namespace sched {

inline constexpr std::string_view kLatencyKey = "latency";
inline constexpr Nanos kLatencyMinSlice{1'000'000};
inline constexpr std::string_view kLatencyHelp =
    "throughput for latency: latency-target of this, and turns as short as 1ms for it (docs/latency.md)";

}  // namespace sched
