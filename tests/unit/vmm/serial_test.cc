// Intervals of ratios measured in turns: how often they are right on data whose truth is known. The counts go
// into docs/statistics.md. KVMUX_LONG_STATISTICS=1: 10,000 data sets a line, not 400.
#include "vmm/stats/serial.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <numbers>
#include <string>

#include "noise.h"
#include "sched/base/rng.h"
#include "vmm/stats/verdict.h"

using namespace vmm;
using vmm_test::normal;

namespace {

// A stationary AR(1) process of this deviation.
class Slow {
 public:
  Slow(double memory, double deviation, sched::Rng& rng)
      : memory_(memory), deviation_(deviation), rng_(rng), state_(deviation * normal(rng)) {}
  double next() {
    state_ = memory_ * state_ + deviation_ * std::sqrt(1 - memory_ * memory_) * normal(rng_);
    return state_;
  }

 private:
  double memory_;
  double deviation_;
  sched::Rng& rng_;
  double state_;
};

struct Truth {
  double ratio = 1;
  double noise = 0.02;  // of each value, by itself
  double memory = 0.9;  // of the host's speed, from turn to turn …
  double host = 0.1;    // … and its deviation
  double drift = 0;     // over the whole
  double wanders = 0;   // deviation of the ratio itself, memory 0.8 from turn to turn
  double carry = 0;     // share of the last turn's logarithm that is still there in the first half
  size_t pairs = 50;
};

struct Turns {
  std::vector<double> measured, baseline;  // whole turns
  std::vector<double> first[2], second[2];
};

Turns turns(const Truth& truth, sched::Rng& rng) {
  Turns result;
  Slow host(truth.memory, truth.host, rng);
  Slow wander(0.8, truth.wanders, rng);
  const auto count = static_cast<double>(2 * truth.pairs);
  double before = 0;  // what the last turn's policy makes of the speed
  size_t turn = 0;
  for (size_t pair = 0; pair < truth.pairs; ++pair) {
    const bool baseline_first = rng.below(2) == 0;
    for (int place = 0; place < 2; ++place, ++turn) {
      const bool is_baseline = (place == 0) == baseline_first;
      const double level = host.next() + truth.drift * static_cast<double>(turn) / count;
      const double off = wander.next();
      const double own = is_baseline ? 0 : std::log(truth.ratio) + off;
      const double half = truth.noise * std::numbers::sqrt2;
      const double first = std::exp(level + own + truth.carry * (before - own) + half * normal(rng));
      const double second = std::exp(level + own + half * normal(rng));
      result.first[is_baseline ? 1 : 0].push_back(first);
      result.second[is_baseline ? 1 : 0].push_back(second);
      (is_baseline ? result.baseline : result.measured).push_back((first + second) / 2);
      before = own;
    }
  }
  return result;
}

int sets() { return std::getenv("KVMUX_LONG_STATISTICS") != nullptr ? 10'000 : 400; }

struct Counts {
  int covered = 0;
  int equivalent = 0;
  int other = 0;  // better or worse
  double width = 0;
};

Counts count(const Truth& truth) {
  Counts counts;
  sched::Rng rng(truth.pairs * 1000 + static_cast<uint64_t>(truth.ratio * 100));
  for (int i = 0; i < sets(); ++i) {
    const Turns data = turns(truth, rng);
    const auto ratio = serial_ratio(data.measured, data.baseline);
    REQUIRE(ratio);
    counts.covered += ratio->low <= truth.ratio && truth.ratio <= ratio->high ? 1 : 0;
    counts.width += ratio->half_width() / sets();
    const Verdict verdict = judge(*ratio, ratio->p, kDefaultMargin, Better::kHigher);
    counts.equivalent += verdict == Verdict::kEquivalent ? 1 : 0;
    counts.other += verdict == Verdict::kBetter || verdict == Verdict::kWorse ? 1 : 0;
  }
  return counts;
}

}  // namespace

TEST_CASE("the interval of a switchback covers the true ratio, whatever the host does") {
  struct Case {
    const char* name;
    Truth truth;
  };
  const Case cases[] = {
      {"noise alone, 10 pairs", {.ratio = 1.1, .memory = 0, .host = 0, .pairs = 10}},
      {"AR(1) 0.9, 10 %, 20 pairs", {.ratio = 1.1, .pairs = 20}},
      {"AR(1) 0.9, 10 %, 50 pairs", {.ratio = 1.1, .pairs = 50}},
      {"AR(1) 0.9, 10 %, 200 pairs", {.ratio = 1.1, .pairs = 200}},
      {"AR(1) 0.99, drift by a third", {.ratio = 0.9, .memory = 0.99, .drift = 0.3}},
      {"the ratio wanders by 3 %", {.ratio = 1.1, .wanders = 0.03}},
      {"the ratio wanders, 200 pairs", {.ratio = 1.1, .wanders = 0.03, .pairs = 200}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    const Counts counts = count(c.truth);
    MESSAGE(std::string{c.name} << ": covered " << counts.covered << " of " << sets() << ", half width "
                                << counts.width * 100 << " %");
    CHECK(counts.covered >= sets() * 92 / 100);  // 93 %, and what chance takes
  }
}

TEST_CASE("a switchback rarely claims what is not so: equivalence on the margin, a difference at 1") {
  for (const size_t pairs : {20, 50, 200}) {
    for (const double ratio : {1.03, 1 / 1.03}) {
      const Counts at_margin = count({.ratio = ratio, .noise = 0.01, .host = 0.05, .pairs = pairs});
      MESSAGE(pairs << " pairs at " << ratio << ": equivalent " << at_margin.equivalent << " of " << sets());
      CHECK(at_margin.equivalent <= sets() * 8 / 100);  // 5 %, and what chance adds
    }
    const Counts same = count({.ratio = 1, .host = 0.05, .pairs = pairs});
    MESSAGE(pairs << " pairs at 1: better or worse " << same.other << " of " << sets());
    CHECK(same.other <= sets() * 8 / 100);
  }
}

TEST_CASE("a switchback finds planted ratios") {
  const Counts tenth = count({.ratio = 0.9, .host = 0.05, .pairs = 50});
  const Counts three = count({.ratio = 0.97, .noise = 0.01, .host = 0.02, .pairs = 200});
  MESSAGE("0.9: " << tenth.other << ", 0.97: " << three.other << " of " << sets());
  CHECK(tenth.other >= sets() * 95 / 100);
  CHECK(three.other + three.equivalent >= sets() * 90 / 100);
}

TEST_CASE("carry-over is found where it is, and seldom where it is not") {
  const auto found = [](const Truth& truth) {
    sched::Rng rng(7);
    int claims = 0;
    for (int i = 0; i < sets(); ++i) {
      const Turns data = turns(truth, rng);
      const auto carried = carry_over({data.first[0], data.second[0]}, {data.first[1], data.second[1]});
      REQUIRE(carried);
      claims += carried->p < 0.05 ? 1 : 0;
    }
    return claims;
  };
  const int none = found({.ratio = 1.3});
  const int much = found({.ratio = 1.3, .carry = 0.3});
  MESSAGE("carry-over claimed: " << none << " without, " << much << " with, of " << sets());
  CHECK(none <= sets() * 8 / 100);
  CHECK(much >= sets() * 90 / 100);
}

TEST_CASE("carry-over needs pairs, and halves in which something was done") {
  const std::vector<double> four{1, 1, 1, 1};
  CHECK_FALSE(carry_over({four, four}, {four, four}));
  const std::vector<double> zero{0, 1, 1, 1, 1};
  CHECK_FALSE(carry_over({zero, zero}, {zero, zero}));
}

TEST_CASE("a ratio needs two pairs, and no 0") {
  const std::vector<double> one{1};
  const std::vector<double> zero{1, 0, 1};
  const std::vector<double> ones{1, 1, 1};
  CHECK_FALSE(serial_ratio(one, one));
  CHECK_FALSE(serial_ratio(zero, ones));
  CHECK(serial_ratio(ones, ones)->p == 1);
}

TEST_CASE("the tail of F is that of the tables") {
  CHECK(f_tail(4.96, 1, 10) == doctest::Approx(0.05).epsilon(0.01));
  CHECK(f_tail(2.71, 5, 20) == doctest::Approx(0.05).epsilon(0.01));
  CHECK(f_tail(161.4, 1, 1) == doctest::Approx(0.05).epsilon(0.01));
  CHECK(f_tail(0, 3, 3) == 1);
}

namespace {

// Pairs in processes that differ by this deviation.
struct Grouped {
  std::vector<double> measured, baseline;
  std::vector<uint32_t> process;
};
Grouped grouped(double between, size_t processes, size_t each, sched::Rng& rng) {
  Grouped data;
  for (uint32_t p = 0; p < processes; ++p) {
    const double off = between * normal(rng);
    for (size_t i = 0; i < each; ++i) {
      data.baseline.push_back(1000);
      data.measured.push_back(1000 * std::exp(off + 0.03 * normal(rng)));
      data.process.push_back(p);
    }
  }
  return data;
}

}  // namespace

TEST_CASE("the interval over processes holds whether they differ or not, and the share is that planted") {
  for (const double between : {0.0, 0.03, 0.1}) {
    CAPTURE(between);
    sched::Rng rng(11);
    int covered = 0;
    double share = 0;
    for (int i = 0; i < 400; ++i) {
      const Grouped data = grouped(between, 6, 5, rng);
      const auto result = process_ratio(data.measured, data.baseline, data.process, static_cast<uint64_t>(i));
      REQUIRE(result);
      covered += result->ratio.low <= 1 && 1 <= result->ratio.high ? 1 : 0;
      share += result->between.share / 400;
    }
    MESSAGE("between " << between << ": covered " << covered << " of 400, share " << share);
    CHECK(covered >= 368);
    const double truth = between * between / (between * between + 0.03 * 0.03);
    CHECK(std::abs(share - truth) < 0.12);
  }
}

TEST_CASE("one process, or one pair in each, has no share") {
  const std::vector<double> values{1, 2, 3};
  CHECK_FALSE(process_ratio(values, values, std::vector<uint32_t>{0, 0, 0}, 1));
  CHECK_FALSE(process_ratio(values, values, std::vector<uint32_t>{0, 1, 2}, 1));
}
