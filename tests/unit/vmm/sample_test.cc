#include "vmm/stats/sample.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "sched/base/rng.h"
#include "vmm/stats/histogram.h"

using namespace vmm;

namespace {

double uniform(sched::Rng& rng) { return (static_cast<double>(rng.below(1 << 30)) + 0.5) / (1 << 30); }

double normal(sched::Rng& rng) {
  return std::sqrt(-2 * std::log(uniform(rng))) * std::cos(2 * std::numbers::pi * uniform(rng));
}

// Share of data sets whose interval holds the true ratio. Both values of a pair share the drift of their
// block; each has noise of its own.
double coverage(double truth, size_t pairs, double (*noise)(sched::Rng&)) {
  constexpr int kSets = 500;
  sched::Rng rng(pairs * 1000 + 7);
  int covered = 0;
  for (int set = 0; set < kSets; ++set) {
    std::vector<double> measured;
    std::vector<double> baseline;
    for (size_t i = 0; i < pairs; ++i) {
      const double drift = std::exp(0.3 * normal(rng));
      baseline.push_back(1000 * drift * std::exp(0.05 * noise(rng)));
      measured.push_back(1000 * truth * drift * std::exp(0.05 * noise(rng)));
    }
    const auto estimate = paired_ratio(measured, baseline, static_cast<uint64_t>(set), 1000);
    covered += estimate->low <= truth && truth <= estimate->high ? 1 : 0;
  }
  return static_cast<double>(covered) / kSets;
}

}  // namespace

TEST_CASE("interval: covers the known ratio as often as it says") {
  SUBCASE("normal noise, 9 pairs") {
    const double share = coverage(1.1, 9, normal);
    CHECK(share >= 0.92);
    CHECK(share <= 0.98);
  }
  SUBCASE("flat noise, 9 pairs, a large ratio") {
    const double share = coverage(4, 9, [](sched::Rng& rng) { return uniform(rng) - 0.5; });
    CHECK(share >= 0.92);
    CHECK(share <= 0.98);
  }
  SUBCASE("3 pairs: Student's interval") {
    const double share = coverage(1, 3, normal);
    CHECK(share >= 0.92);
    CHECK(share <= 0.98);
  }
}

TEST_CASE("interval: the seed decides every bit") {
  const double measured[] = {1.02, 0.97, 1.13, 1.01, 0.95, 1.08};
  const double baseline[] = {1, 1.01, 0.99, 1, 0.98, 1.02};
  const auto first = paired_ratio(measured, baseline, 7);
  const auto again = paired_ratio(measured, baseline, 7);
  const auto other = paired_ratio(measured, baseline, 8);
  CHECK(first->low == again->low);
  CHECK(first->high == again->high);
  CHECK(first->low != other->low);
  CHECK(first->ratio == other->ratio);
}

TEST_CASE("interval: a constant ratio has no width, an identical pair no effect") {
  const double baseline[] = {100, 110, 90, 95, 105};
  double doubled[5];
  for (int i = 0; i < 5; ++i) doubled[i] = 2 * baseline[i];
  const auto estimate = paired_ratio(doubled, baseline, 1);
  CHECK(estimate->ratio == doctest::Approx(2));
  CHECK(estimate->median == doctest::Approx(2));
  CHECK(estimate->half_width() == doctest::Approx(0).epsilon(1e-9));
  CHECK(estimate->p < 1e-6);
  const auto same = paired_ratio(baseline, baseline, 1);
  CHECK(same->ratio == 1);
  CHECK(same->p == 1);
}

TEST_CASE("interval: too few or zero values give none") {
  const double one[] = {1};
  const double zeros[] = {0, 0, 0, 1};
  const double ones[] = {1, 1, 1, 1};
  CHECK_FALSE(paired_ratio(one, one, 1).has_value());
  CHECK_FALSE(paired_ratio(zeros, ones, 1).has_value());
  CHECK_FALSE(unpaired_ratio(zeros, ones, 1).has_value());
}

TEST_CASE("unpaired interval: finds a shift between two sets of different size") {
  sched::Rng rng(3);
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 9; ++i) a.push_back(900 * std::exp(0.01 * normal(rng)));
  for (int i = 0; i < 12; ++i) b.push_back(1000 * std::exp(0.01 * normal(rng)));
  const auto estimate = unpaired_ratio(a, b, 1);
  CHECK(estimate->ratio == doctest::Approx(0.9).epsilon(0.02));
  CHECK(estimate->high < 0.95);
  CHECK(estimate->p < 0.001);
}

TEST_CASE("Student's t: against printed tables") {
  struct Case {
    unsigned freedom;
    double p;
    double t;
  };
  const Case cases[] = {{1, 0.975, 12.706}, {2, 0.975, 4.303}, {3, 0.975, 3.182}, {4, 0.95, 2.132},
                        {5, 0.975, 2.571},  {8, 0.975, 2.306}, {9, 0.995, 3.250}, {30, 0.975, 2.042}};
  for (const Case& c : cases) {
    CAPTURE(c.freedom);
    CHECK(student_quantile(c.p, c.freedom) == doctest::Approx(c.t).epsilon(0.0005));
    CHECK(student_cdf(-c.t, c.freedom) == doctest::Approx(1 - c.p).epsilon(0.005));
  }
  CHECK(student_cdf(0, 7) == 0.5);
}

TEST_CASE("Holm: worked by hand") {
  // Sorted 0.005·4, 0.01·3, 0.03·2, 0.04·1 (raised to 0.06 by the step before).
  const double p[] = {0.01, 0.04, 0.03, 0.005};
  const auto adjusted = holm(p);
  CHECK(adjusted[0] == doctest::Approx(0.03));
  CHECK(adjusted[1] == doctest::Approx(0.06));
  CHECK(adjusted[2] == doctest::Approx(0.06));
  CHECK(adjusted[3] == doctest::Approx(0.02));
  const double large[] = {0.9, 0.8};
  CHECK(holm(large)[0] == 1);
  CHECK(holm({}).empty());
}

TEST_CASE("fairness: min over max and Jain") {
  const double equal[] = {5, 5, 5};
  const double one_of_four[] = {8, 0, 0, 0};
  const double halves[] = {1, 2};
  const double none[] = {0, 0};
  CHECK(*min_over_max(equal) == 1);
  CHECK(*jain_index(equal) == doctest::Approx(1));
  CHECK(*min_over_max(one_of_four) == 0);
  CHECK(*jain_index(one_of_four) == doctest::Approx(0.25));
  CHECK(*jain_index(halves) == doctest::Approx(0.9));
  CHECK_FALSE(min_over_max(none).has_value());
  CHECK_FALSE(jain_index(none).has_value());
  CHECK_FALSE(jain_index({}).has_value());
}

TEST_CASE("quantile: linear between order statistics") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 2, 3}) == 2.5);
  CHECK(quantile({10, 20, 30}, 0) == 10);
  CHECK(quantile({10, 20, 30}, 1) == 30);
  CHECK(quantile({10, 20, 30}, 0.25) == 15);
}

TEST_CASE("histogram: bucket starts invert kvmux_hist_bucket") {
  const uint32_t last = kvmux_hist_bucket(UINT64_MAX);
  CHECK(last < KVMUX_HIST_BUCKETS);
  for (uint32_t bucket = 0; bucket <= last; ++bucket) {
    CAPTURE(bucket);
    const uint64_t start = histogram_bucket_start(bucket);
    CHECK(kvmux_hist_bucket(start) == bucket);
    if (bucket > 0) CHECK(kvmux_hist_bucket(start - 1) == bucket - 1);
  }
  CHECK(histogram_bucket_start(last + 1) == UINT64_MAX);
}

TEST_CASE("histogram: percentiles are within a bucket's width") {
  std::array<uint64_t, KVMUX_HIST_BUCKETS> buckets{};
  CHECK_FALSE(histogram_quantile(buckets, 0.5).has_value());
  for (uint64_t ticks = 1; ticks <= 100'000; ++ticks) ++buckets[kvmux_hist_bucket(ticks)];
  CHECK(histogram_count(buckets) == 100'000);
  for (const double q : {0.5, 0.99, 0.999}) {
    CAPTURE(q);
    CHECK(*histogram_quantile(buckets, q) == doctest::Approx(q * 100'000).epsilon(0.125));
  }
  // 2 GHz: 50,000 ticks are 25 µs.
  const auto time = histogram_quantile_time(buckets, 0.5, 2e6);
  CHECK(static_cast<double>(time->count()) == doctest::Approx(25'000).epsilon(0.02));
  CHECK_FALSE(histogram_quantile_time(buckets, 0.5, 0).has_value());
}
