// The ratio of two series that were measured in turns, a fraction of a second apart, whose values depend on
// their neighbours; whether the turn before is still felt; and the ratio of blocks that ran in several
// processes. Methods, their sources and how they were chosen: docs/statistics.md. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vmm/stats/sample.h"

namespace vmm {

// A mean with its standard error, which counts what neighbours have in common.
struct SerialMean {
  double mean = 0;
  double error = 0;
  unsigned freedom = 1;  // degrees of freedom of the error
};
// Equal-weighted cosine transform (Lazarus, Lewis, Stock & Watson 2018): ν = 0.4 n^(2/3) waves, 2 at least.
// Needs two values or more.
SerialMean serial_mean(std::span<const double> values);

// As paired_ratio(), in the order in which the pairs were measured: intervals and p by serial_mean().
std::optional<RatioEstimate> serial_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          double equivalence_alpha = 0.05);

// Is a turn's first half another than its second? The ratio of both policies in the first halves over that
// in the second ones: 1 if what was before is forgotten. Nothing if there are fewer than kLeastCarryPairs.
inline constexpr size_t kLeastCarryPairs = 5;
struct Halves {
  std::span<const double> first;
  std::span<const double> second;
};
std::optional<RatioEstimate> carry_over(const Halves& measured, const Halves& baseline);

// Pairs that were measured in several processes, by pair. Where processes differ by more than pairs do within
// them, their means are what the interval comes from.
struct BetweenProcesses {
  size_t processes = 0;
  double share = 0;  // of the variance of log ratios that lies between processes, 0 … 1
  double p = 1;      // of "processes do not differ" (F test)
};
struct ProcessRatio {
  RatioEstimate ratio;
  BetweenProcesses between;
};
// Nothing unless there are two processes or more with two pairs each.
std::optional<ProcessRatio> process_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          std::span<const uint32_t> process, uint64_t seed,
                                          double equivalence_alpha = 0.05);

// P(F > f) with a and b degrees of freedom.
double f_tail(double f, double a, double b);

}  // namespace vmm
