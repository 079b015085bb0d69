#include "vmm/stats/serial.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <utility>
#include <vector>

namespace vmm {
namespace {

constexpr double kTail = 0.025;  // of the 95 % interval
constexpr unsigned kLeastWaves = 2;

// Pairs with a NaN are left out; nothing if one has no logarithm.
std::optional<std::vector<double>> log_ratios(std::span<const double> a, std::span<const double> b) {
  std::vector<double> result;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (std::isnan(a[i]) || std::isnan(b[i])) continue;
    if (a[i] <= 0 || b[i] <= 0) return std::nullopt;
    result.push_back(std::log(a[i] / b[i]));
  }
  return result;
}

RatioEstimate estimate(const SerialMean& mean, size_t pairs, double equivalence_alpha) {
  const auto reach = [&](double tail) { return student_quantile(1 - tail, mean.freedom) * mean.error; };
  const double wide = reach(kTail);
  const double equal = reach(equivalence_alpha);
  double p = mean.mean == 0 ? 1 : 0;
  if (mean.error > 0) p = 2 * (1 - student_cdf(std::abs(mean.mean) / mean.error, mean.freedom));
  return {.pairs = pairs,
          .ratio = std::exp(mean.mean),
          .low = std::exp(mean.mean - wide),
          .high = std::exp(mean.mean + wide),
          .equal_low = std::exp(mean.mean - equal),
          .equal_high = std::exp(mean.mean + equal),
          .error = mean.error,
          .p = p};
}

// Lentz' continued fraction of the incomplete beta function (Abramowitz & Stegun 26.5.8).
double beta_fraction(double x, double a, double b) {
  constexpr double kTiny = 1e-300;
  constexpr int kMostTerms = 500;
  const auto away = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1;
  double d = 1 / away(1 - (a + b) * x / (a + 1));
  double result = d;
  for (int m = 1; m <= kMostTerms; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / away(1 + even * d);
    c = away(1 + even / c);
    result *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / away(1 + odd * d);
    c = away(1 + odd / c);
    result *= d * c;
    if (std::abs(d * c - 1) < 1e-12) break;
  }
  return result;
}

double incomplete_beta(double x, double a, double b) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front =
      std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) + a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(1 - x, b, a) / b;
}

// One-way analysis of variance with groups of several sizes.
struct Analysis {
  std::vector<double> means;  // of the groups
  size_t values = 0;
  double between = 0;  // mean squares
  double within = 0;
  double group_size = 0;  // n₀: what the mean square between groups counts a group's variance by
};

Analysis analyse(const std::map<uint32_t, std::vector<double>>& groups) {
  Analysis a;
  double sum = 0;
  double squares_of_sizes = 0;
  for (const auto& [group, values] : groups) {
    double mean = 0;
    for (const double value : values) mean += value / static_cast<double>(values.size());
    for (const double value : values) a.within += (value - mean) * (value - mean);
    a.means.push_back(mean);
    a.values += values.size();
    sum += mean * static_cast<double>(values.size());
    squares_of_sizes += static_cast<double>(values.size() * values.size());
  }
  const auto n = static_cast<double>(a.values);
  const auto k = static_cast<double>(groups.size());
  size_t at = 0;
  for (const auto& [group, values] : groups) {
    const double off = a.means[at++] - sum / n;
    a.between += off * off * static_cast<double>(values.size());
  }
  a.between /= k - 1;
  a.within /= n - k;
  a.group_size = (n - squares_of_sizes / n) / (k - 1);
  return a;
}

BetweenProcesses judge(const Analysis& a) {
  BetweenProcesses result{.processes = a.means.size()};
  const auto k = static_cast<double>(a.means.size());
  const double variance = std::max(0.0, (a.between - a.within) / a.group_size);
  if (variance + a.within > 0) result.share = variance / (variance + a.within);
  if (a.within > 0) result.p = f_tail(a.between / a.within, k - 1, static_cast<double>(a.values) - k);
  if (a.within == 0 && a.between > 0) result.p = 0;
  return result;
}

}  // namespace

SerialMean serial_mean(std::span<const double> values) {
  const auto n = static_cast<double>(values.size());
  SerialMean result;
  for (const double value : values) result.mean += value / n;
  result.freedom = std::max(kLeastWaves, static_cast<unsigned>(0.4 * std::cbrt(n * n)));
  result.freedom = std::min(result.freedom, static_cast<unsigned>(values.size() - 1));
  double power = 0;
  for (unsigned wave = 1; wave <= result.freedom; ++wave) {
    double weight = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      weight +=
          (values[i] - result.mean) * std::cos(std::numbers::pi * wave * (static_cast<double>(i) + 0.5) / n);
    }
    power += weight * weight * 2 / n;
  }
  result.error = std::sqrt(power / result.freedom / n);
  return result;
}

std::optional<RatioEstimate> serial_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          double equivalence_alpha) {
  const auto logs = log_ratios(measured, baseline);
  if (!logs || logs->size() < 2) return std::nullopt;
  RatioEstimate result = estimate(serial_mean(*logs), logs->size(), equivalence_alpha);
  result.median = std::exp(median(*logs));
  return result;
}

std::optional<RatioEstimate> carry_over(const Halves& measured, const Halves& baseline) {
  const size_t pairs = std::min(
      {measured.first.size(), measured.second.size(), baseline.first.size(), baseline.second.size()});
  std::vector<double> first;
  std::vector<double> second;
  for (size_t i = 0; i < pairs; ++i) {
    // A half without an operation says nothing: periods that short are dropped, not the whole test.
    const double all[] = {measured.first[i], measured.second[i], baseline.first[i], baseline.second[i]};
    if (!std::all_of(std::begin(all), std::end(all), [](double value) { return value > 0; })) continue;
    first.push_back(measured.first[i] / baseline.first[i]);
    second.push_back(measured.second[i] / baseline.second[i]);
  }
  if (first.size() < kLeastCarryPairs) return std::nullopt;
  return serial_ratio(first, second);
}

std::optional<ProcessRatio> process_ratio(std::span<const double> measured, std::span<const double> baseline,
                                          std::span<const uint32_t> process, uint64_t seed,
                                          double equivalence_alpha) {
  constexpr double kPool = 0.25;  // Bancroft: a preliminary test of this level costs the least
  std::map<uint32_t, std::vector<double>> groups;
  for (size_t i = 0; i < std::min({measured.size(), baseline.size(), process.size()}); ++i) {
    if (std::isnan(measured[i]) || std::isnan(baseline[i])) continue;
    if (measured[i] <= 0 || baseline[i] <= 0) return std::nullopt;
    groups[process[i]].push_back(std::log(measured[i] / baseline[i]));
  }
  std::erase_if(groups, [](const auto& group) { return group.second.size() < 2; });
  if (groups.size() < 2) return std::nullopt;
  const Analysis analysis = analyse(groups);
  const auto pooled = paired_ratio(measured, baseline, seed, kResamples, equivalence_alpha);
  if (!pooled) return std::nullopt;
  ProcessRatio result{.ratio = *pooled, .between = judge(analysis)};
  if (result.between.p >= kPool) return result;
  // All blocks count alike, so the mean stays; its error is that of as many means as there are processes.
  const auto freedom = static_cast<unsigned>(groups.size() - 1);
  const SerialMean mean{.mean = std::log(pooled->ratio),
                        .error = std::sqrt(analysis.between / static_cast<double>(analysis.values)),
                        .freedom = freedom};
  result.ratio = estimate(mean, pooled->pairs, equivalence_alpha);
  result.ratio.median = pooled->median;
  return result;
}

double f_tail(double f, double a, double b) {
  if (f <= 0) return 1;
  return incomplete_beta(b / (b + a * f), b / 2, a / 2);
}

}  // namespace vmm
