// Statistics of small samples: medians, the interval of a paired ratio, Holm's correction, fairness. The
// method and its reasons are in docs/statistics.md. Pure and seeded: the same input gives the same bits. Any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vmm {

// Of any sample, linear between order statistics; `values` must not be empty.
double quantile(std::vector<double> values, double q);
double sorted_quantile(std::span<const double> values, double q);  // of ascending values
double median(std::vector<double> values);

// Min over max, and Jain's index (Σx)² / (n Σx²); both 1 for equal shares, nothing for an empty sample or if
// all shares are 0.
std::optional<double> min_over_max(std::span<const double> shares);
std::optional<double> jain_index(std::span<const double> shares);

// Student's t distribution with `freedom` ≥ 1 degrees of freedom.
double student_cdf(double t, unsigned freedom);
double student_quantile(double p, unsigned freedom);

// A ratio with what is known about it.
struct RatioEstimate {
  size_t pairs = 0;
  double ratio = 1;   // geometric mean
  double median = 1;  // of the paired ratios
  double low = 0;     // 95 % interval
  double high = 0;
  double equal_low = 0;  // interval of the two one-sided tests of equivalence: 90 % unless asked otherwise
  double equal_high = 0;
  double error = 0;  // standard error of the ratio's logarithm
  double p = 1;      // two-sided, of "the true ratio is 1"
  // Half the interval's width relative to the ratio: what --until-ci asks for.
  [[nodiscard]] double half_width() const { return (high - low) / (2 * ratio); }
};

inline constexpr size_t kResamples = 10'000;
// Below this many pairs a resample cannot show more than the sample's own range: Student's interval instead.
inline constexpr size_t kMinBootstrapPairs = 5;

// Geometric mean of measured[i] / baseline[i] with a bootstrap 95 % interval of the paired log ratios
// (percentile intervals widened for small samples: Hesterberg 2015, "expanded percentile"). Pairs with a NaN
// are left out. The equivalence interval has level 1 - 2 equivalence_alpha. Nothing if fewer than two are
// left, or if one of them has a 0: then there is no ratio.
std::optional<RatioEstimate> paired_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          uint64_t seed, size_t resamples = kResamples,
                                          double equivalence_alpha = 0.05);

// The same for two independent samples, e.g. of two result files.
std::optional<RatioEstimate> unpaired_ratio(std::span<const double> measured,
                                            std::span<const double> baseline, uint64_t seed,
                                            size_t resamples = kResamples);

// Holm's step-down correction: adjusted p-values in the order given. Comparing each with α keeps the chance
// of any false finding in the family below α.
std::vector<double> holm(std::span<const double> p_values);

}  // namespace vmm
