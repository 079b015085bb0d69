// Places in a block, and values at two levels: found where planted, seldom where not.
#include "vmm/stats/shape.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "sched/base/rng.h"

using namespace vmm;

namespace {

double uniform(sched::Rng& rng) { return (static_cast<double>(rng.below(1 << 30)) + 0.5) / (1 << 30); }

double normal(sched::Rng& rng) {
  return std::sqrt(-2 * std::log(uniform(rng))) * std::cos(2 * std::numbers::pi * uniform(rng));
}

// Three slots of different speed; each place in the block is slower than the last by `step`.
std::vector<PlacedBlock> blocks(double step, size_t count, sched::Rng& rng) {
  std::vector<PlacedBlock> all;
  for (size_t b = 0; b < count; ++b) {
    PlacedBlock block{.values = {}, .places = {0, 1, 2}};
    for (size_t k = 3; k > 1; --k) std::swap(block.places[k - 1], block.places[rng.below(k)]);
    const double level = 0.1 * normal(rng);
    for (size_t slot = 0; slot < 3; ++slot) {
      block.values.push_back(
          std::exp(level + static_cast<double>(slot) - step * block.places[slot] + 0.02 * normal(rng)));
    }
    all.push_back(std::move(block));
  }
  return all;
}

constexpr int kSets = 300;

int place_claims(double step) {
  sched::Rng rng(3);
  int claims = 0;
  for (int i = 0; i < kSets; ++i) {
    const auto effect = place_effect(blocks(step, 10, rng), static_cast<uint64_t>(i));
    REQUIRE(effect);
    claims += effect->p < 0.05 ? 1 : 0;
  }
  return claims;
}

template <class Draw>
int hump_claims(size_t n, Draw draw) {
  sched::Rng rng(5);
  int claims = 0;
  for (int i = 0; i < kSets; ++i) {
    std::vector<double> values;
    for (size_t k = 0; k < n; ++k) values.push_back(std::exp(draw(rng)));
    claims += find_humps(values, 0.03) ? 1 : 0;
  }
  return claims;
}

}  // namespace

TEST_CASE("an effect of the place in the block is found, and seldom claimed where there is none") {
  const int none = place_claims(0);
  const int planted = place_claims(0.03);
  MESSAGE("claimed: " << none << " without, " << planted << " with 3 % a place, of " << kSets);
  CHECK(none <= kSets * 8 / 100);
  CHECK(planted >= kSets * 90 / 100);
  sched::Rng rng(9);
  const auto effect = place_effect(blocks(0.05, 40, rng), 1);
  CHECK(effect->first_to_last == doctest::Approx(std::exp(0.1)).epsilon(0.03));
}

TEST_CASE("places need whole blocks") {
  sched::Rng rng(9);
  auto few = blocks(0.05, 4, rng);
  CHECK_FALSE(place_effect(few, 1));
  auto broken = blocks(0.05, 5, rng);
  broken[2].values[1] = std::nan("");
  CHECK_FALSE(place_effect(broken, 1));
  auto twice = blocks(0.05, 5, rng);
  twice[1].places = {0, 0, 1};
  CHECK_FALSE(place_effect(twice, 1));
}

TEST_CASE("two humps are said with both levels, and seldom where there is one") {
  const auto bell = [](sched::Rng& rng) { return 0.1 * normal(rng); };
  const auto flat = [](sched::Rng& rng) { return 0.3 * uniform(rng); };
  const auto tail = [](sched::Rng& rng) { return -0.2 * std::log(uniform(rng)); };
  const auto wild = [](sched::Rng& rng) { return 0.05 * normal(rng) + (rng.below(10) == 0 ? 1.0 : 0.0); };
  const auto two = [](sched::Rng& rng) { return (rng.below(2) == 0 ? 0.0 : 0.3) + 0.04 * normal(rng); };
  for (const size_t n : {10, 20, 60}) {
    CAPTURE(n);
    const int planted = hump_claims(n, two);
    MESSAGE(n << " values: normal " << hump_claims(n, bell) << ", uniform " << hump_claims(n, flat)
              << ", exponential " << hump_claims(n, tail) << ", outliers " << hump_claims(n, wild)
              << ", two humps " << planted << " of " << kSets);
    CHECK(hump_claims(n, bell) <= kSets * 2 / 100);
    CHECK(hump_claims(n, flat) <= kSets * 3 / 100);
    CHECK(hump_claims(n, tail) <= kSets * 3 / 100);
    CHECK(planted >= kSets * (n >= 20 ? 95 : 30) / 100);
  }
  sched::Rng rng(21);
  std::vector<double> values;
  for (int i = 0; i < 12; ++i) values.push_back(100 + normal(rng));
  for (int i = 0; i < 8; ++i) values.push_back(150 + normal(rng));
  const auto humps = find_humps(values, 0.03);
  REQUIRE(humps);
  CHECK(humps->low == doctest::Approx(100).epsilon(0.01));
  CHECK(humps->high == doctest::Approx(150).epsilon(0.01));
  CHECK(humps->at_low == 12);
  CHECK(humps->at_high == 8);
}

TEST_CASE("levels within the margin are one, and few values say nothing") {
  std::vector<double> close;
  for (int i = 0; i < 20; ++i) close.push_back(i % 2 == 0 ? 100 : 101);
  CHECK_FALSE(find_humps(close, 0.03));
  CHECK(find_humps(close, 0.001));
  CHECK_FALSE(find_humps(std::vector<double>{1, 1, 1, 2, 2, 2}, 0.03));
}
