#include "vmm/stats/sample.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "vmm/check.h"

namespace vmm {

double sorted_quantile(std::span<const double> values, double q) {
  KVMUX_CHECK(!values.empty(), "a quantile needs a sample");
  const double at = q * static_cast<double>(values.size() - 1);
  const auto lower = static_cast<size_t>(at);
  const size_t upper = std::min(lower + 1, values.size() - 1);
  return std::lerp(values[lower], values[upper], at - static_cast<double>(lower));
}

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return sorted_quantile(values, q);
}

double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

std::optional<double> min_over_max(std::span<const double> shares) {
  if (shares.empty()) return std::nullopt;
  const auto [low, high] = std::minmax_element(shares.begin(), shares.end());
  if (*high <= 0) return std::nullopt;
  return *low / *high;
}

std::optional<double> jain_index(std::span<const double> shares) {
  double sum = 0;
  double squares = 0;
  for (const double share : shares) {
    sum += share;
    squares += share * share;
  }
  if (squares <= 0) return std::nullopt;
  return sum * sum / (static_cast<double>(shares.size()) * squares);
}

// Whole degrees of freedom have a closed form, a finite series in the angle atan(t / √ν)
// (Abramowitz & Stegun 26.7.3 and 26.7.4).
double student_cdf(double t, unsigned freedom) {
  KVMUX_CHECK(freedom >= 1, "Student's t needs a degree of freedom");
  const double angle = std::atan(t / std::sqrt(static_cast<double>(freedom)));
  const double cosine = std::cos(angle);
  double inside = 0;  // P(|T| < |t|), signed like t
  if (freedom % 2 == 1) {
    double term = cosine;
    double series = freedom > 1 ? term : 0;
    for (unsigned k = 3; k + 2 <= freedom; k += 2) {
      term *= cosine * cosine * (k - 1) / k;
      series += term;
    }
    inside = 2 / std::numbers::pi * (angle + std::sin(angle) * series);
  } else {
    double term = 1;
    double series = 1;
    for (unsigned k = 2; k + 2 <= freedom; k += 2) {
      term *= cosine * cosine * (k - 1) / k;
      series += term;
    }
    inside = std::sin(angle) * series;
  }
  return (1 + inside) / 2;
}

double student_quantile(double p, unsigned freedom) {
  if (p < 0.5) return -student_quantile(1 - p, freedom);
  double high = 1;
  while (student_cdf(high, freedom) < p && high < 1e9) high *= 2;
  double low = 0;
  for (int step = 0; step < 80; ++step) {
    const double middle = (low + high) / 2;
    (student_cdf(middle, freedom) < p ? low : high) = middle;
  }
  return high;
}

std::vector<double> holm(std::span<const double> p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double largest = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double scaled = p_values[order[rank]] * static_cast<double>(order.size() - rank);
    largest = std::max(largest, std::min(1.0, scaled));
    adjusted[order[rank]] = largest;
  }
  return adjusted;
}

}  // namespace vmm
