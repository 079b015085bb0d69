// The interval of a ratio: bootstrap of log ratios, see docs/statistics.md.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "sched/base/rng.h"
#include "vmm/stats/sample.h"

namespace vmm {
namespace {

struct Moments {
  double mean = 0;
  double deviation = 0;  // of the sample, n - 1
};

Moments moments(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  Moments result;
  for (const double value : values) result.mean += value / n;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.deviation = values.size() > 1 ? std::sqrt(squares / (n - 1)) : 0;
  return result;
}

double resampled_mean(std::span<const double> values, sched::Rng& rng) {
  // Multiply and shift instead of a modulo: this is the inner loop of every interval.
  const uint64_t size = values.size();
  double sum = 0;
  for (size_t i = 0; i < size; ++i) sum += values[((rng.next() >> 32) * size) >> 32];
  return sum / static_cast<double>(values.size());
}

double normal_cdf(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }

// The tail to cut from the bootstrap distribution so that a normal sample of `n` gets Student's width: the
// plain tail is too narrow by √((n-1)/n) and by z in place of t.
double expanded_tail(double tail, size_t n, unsigned freedom) {
  const auto size = static_cast<double>(n);
  return normal_cdf(-std::sqrt(size / (size - 1)) * student_quantile(1 - tail, freedom));
}

constexpr double kTail = 0.025;           // of the 95 % interval
constexpr double kAlphaOfOneSide = 0.05;  // of the two one-sided tests

struct Difference {
  double mean = 0;
  double error = 0;      // standard error
  unsigned freedom = 1;  // degrees of freedom
  size_t smallest = 0;   // the smaller sample's size
};

double two_sided_p(const Difference& difference) {
  if (difference.error == 0) return difference.mean == 0 ? 1 : 0;
  const double t = std::abs(difference.mean) / difference.error;
  return 2 * (1 - student_cdf(t, difference.freedom));
}

// `resample` draws one bootstrap replicate of the mean difference.
template <class Resample>
RatioEstimate estimate(const Difference& difference, size_t resamples, double equivalence_alpha,
                       Resample resample) {
  std::vector<double> means;
  if (difference.smallest >= kMinBootstrapPairs) {
    means.resize(resamples);
    std::generate(means.begin(), means.end(), resample);
    std::sort(means.begin(), means.end());
  }
  const auto interval = [&](double tail) -> std::pair<double, double> {
    if (means.empty()) {
      const double reach = student_quantile(1 - tail, difference.freedom) * difference.error;
      return {std::exp(difference.mean - reach), std::exp(difference.mean + reach)};
    }
    const double cut = expanded_tail(tail, difference.smallest, difference.freedom);
    return {std::exp(sorted_quantile(means, cut)), std::exp(sorted_quantile(means, 1 - cut))};
  };
  const auto [low, high] = interval(kTail);
  const auto [equal_low, equal_high] = interval(equivalence_alpha);
  return {.pairs = difference.smallest,
          .ratio = std::exp(difference.mean),
          .low = low,
          .high = high,
          .equal_low = equal_low,
          .equal_high = equal_high,
          .error = difference.error,
          .p = two_sided_p(difference)};
}

// Empty if a value has no logarithm.
std::vector<double> logs(std::span<const double> values) {
  std::vector<double> result;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    if (value <= 0) return {};
    result.push_back(std::log(value));
  }
  return result;
}

}  // namespace

std::optional<RatioEstimate> paired_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          uint64_t seed, size_t resamples, double equivalence_alpha) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(measured.size(), baseline.size()); ++i) {
    if (std::isnan(measured[i]) || std::isnan(baseline[i])) continue;
    if (measured[i] <= 0 || baseline[i] <= 0) return std::nullopt;
    ratios.push_back(std::log(measured[i] / baseline[i]));
  }
  if (ratios.size() < 2) return std::nullopt;
  const Moments all = moments(ratios);
  const auto n = static_cast<double>(ratios.size());
  const Difference difference{.mean = all.mean,
                              .error = all.deviation / std::sqrt(n),
                              .freedom = static_cast<unsigned>(ratios.size() - 1),
                              .smallest = ratios.size()};
  sched::Rng rng(seed);
  RatioEstimate result =
      estimate(difference, resamples, equivalence_alpha, [&] { return resampled_mean(ratios, rng); });
  result.median = std::exp(median(ratios));
  return result;
}

std::optional<RatioEstimate> unpaired_ratio(std::span<const double> measured,
                                            std::span<const double> baseline, uint64_t seed,
                                            size_t resamples) {
  const std::vector<double> a = logs(measured);
  const std::vector<double> b = logs(baseline);
  if (a.size() < 2 || b.size() < 2) return std::nullopt;
  const Moments ma = moments(a);
  const Moments mb = moments(b);
  const auto na = static_cast<double>(a.size());
  const auto nb = static_cast<double>(b.size());
  const double va = ma.deviation * ma.deviation / na;
  const double vb = mb.deviation * mb.deviation / nb;
  // Welch's degrees of freedom, rounded down: the cautious side.
  const double spread = va * va / (na - 1) + vb * vb / (nb - 1);
  const double freedom = spread > 0 ? (va + vb) * (va + vb) / spread : na + nb - 2;
  const Difference difference{.mean = ma.mean - mb.mean,
                              .error = std::sqrt(va + vb),
                              .freedom = std::max(1U, static_cast<unsigned>(freedom)),
                              .smallest = std::min(a.size(), b.size())};
  sched::Rng rng(seed);
  RatioEstimate result = estimate(difference, resamples, kAlphaOfOneSide,
                                  [&] { return resampled_mean(a, rng) - resampled_mean(b, rng); });
  result.median = std::exp(median(a) - median(b));
  return result;
}

}  // namespace vmm
