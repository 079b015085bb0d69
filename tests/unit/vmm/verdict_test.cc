// The five verdicts: what they need, how often they are wrong on data whose truth is known.
#include "vmm/stats/verdict.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "cli_fake.h"
#include "noise.h"
#include "sched/base/rng.h"
#include "vmm/stats/analysis.h"

using namespace vmm;
using vmm_test::normal;

namespace {

struct Truth {
  double ratio;
  double noise;  // of one value's logarithm
  size_t pairs;
};

// Blocks on a host that drifts: a random walk from block to block, a trend of 2 % from the first place in the
// block to the second, and the order of the two drawn anew each time.
class DriftingHost {
 public:
  DriftingHost(const Truth& truth, uint64_t seed) : truth_(truth), rng_(seed) {}
  void block() {
    level_ += 0.1 * normal(rng_);
    const bool measured_first = rng_.below(2) == 0;
    const auto value = [&](double factor, bool first) {
      return 1000 * factor * std::exp(level_ - (first ? 0 : 0.02) + truth_.noise * normal(rng_));
    };
    baseline.push_back(value(1, !measured_first));
    measured.push_back(value(truth_.ratio, measured_first));
  }
  std::vector<double> baseline;
  std::vector<double> measured;

 private:
  Truth truth_;
  sched::Rng rng_;
  double level_ = 0;
};

constexpr int kSets = 1000;

// How often each verdict is given, of kSets data sets.
VerdictCounts verdicts(const Truth& truth) {
  VerdictCounts counts;
  for (int set = 0; set < kSets; ++set) {
    DriftingHost host(truth, static_cast<uint64_t>(set) * 31 + truth.pairs);
    for (size_t i = 0; i < truth.pairs; ++i) host.block();
    const auto ratio = paired_ratio(host.measured, host.baseline, static_cast<uint64_t>(set), 1000);
    counts.add(judge(*ratio, ratio->p, kDefaultMargin, Better::kHigher));
  }
  MESSAGE(fmt::format("ratio {}, noise {} %, {} blocks: {}", truth.ratio, truth.noise * 100, truth.pairs,
                      counts.text()));
  return counts;
}

RatioEstimate estimate(double ratio, double low, double high, double equal_low, double equal_high) {
  RatioEstimate result;
  result.pairs = 9;
  result.ratio = ratio;
  result.low = low;
  result.high = high;
  result.equal_low = equal_low;
  result.equal_high = equal_high;
  result.error = std::log(high / low) / (2 * 2.306);
  return result;
}

}  // namespace

TEST_CASE("verdict: equivalence is claimed wrongly at most as often as it says") {
  // Truth on the margin: each "equivalent" is wrong. Two one-sided tests at 5 % may be so 5 % of the time;
  // percentile intervals of few values are a little narrow, as docs/statistics.md says.
  for (const size_t pairs : {size_t{4}, size_t{9}, size_t{20}}) {
    for (const double ratio : {1 + kDefaultMargin, 1 / (1 + kDefaultMargin)}) {
      CAPTURE(pairs);
      CAPTURE(ratio);
      CHECK(verdicts({ratio, 0.01, pairs}).equivalent <= kSets * 7 / 100);
    }
  }
  CHECK(verdicts({1.05, 0.02, 9}).equivalent <= kSets / 200);
}

TEST_CASE("verdict: equivalence is found where it is, and noise is no equality") {
  CHECK(verdicts({1, 0.01, 9}).equivalent >= kSets * 80 / 100);
  CHECK(verdicts({1, 0.01, 20}).equivalent >= kSets * 97 / 100);
  // What used to be called "no difference": 10 % of noise, five blocks.
  const VerdictCounts noisy = verdicts({1, 0.1, 5});
  CHECK(noisy.equivalent <= kSets / 20);
  CHECK(noisy.inconclusive >= kSets * 85 / 100);
  CHECK(noisy.better + noisy.worse <= kSets * 9 / 100);
}

TEST_CASE("verdict: what was called no difference in the first table of a new user") {
  CHECK(judge(estimate(0.634, 0.485, 0.829, 0.51, 0.79), 0.06, 0.03, Better::kHigher) ==
        Verdict::kInconclusive);
  CHECK(judge(estimate(1.345, 1.1, 1.568, 1.14, 1.53), 0.08, 0.03, Better::kHigher) ==
        Verdict::kInconclusive);
}

TEST_CASE("verdict: a difference inside the margin is none, lower is better where it is") {
  // Certainly not 1, certainly within 3 %.
  CHECK(judge(estimate(1.01, 1.005, 1.015, 1.006, 1.014), 0.001, 0.03, Better::kHigher) ==
        Verdict::kEquivalent);
  CHECK(judge(estimate(1.01, 1.005, 1.015, 1.006, 1.014), 0.001, 0.005, Better::kHigher) == Verdict::kBetter);
  const RatioEstimate more = estimate(1.5, 1.4, 1.6, 1.42, 1.58);
  CHECK(judge(more, 0.001, 0.03, Better::kHigher) == Verdict::kBetter);
  CHECK(judge(more, 0.001, 0.03, Better::kLower) == Verdict::kWorse);
  CHECK(judge(more, 0.001, 0.03, Better::kNeither) == Verdict::kHigher);
  CHECK(judge(more, 0.2, 0.03, Better::kHigher) == Verdict::kInconclusive);
  const RatioEstimate less = estimate(0.5, 0.4, 0.6, 0.42, 0.58);
  CHECK(judge(less, 0.001, 0.03, Better::kLower) == Verdict::kBetter);
  CHECK(judge(less, 0.001, 0.03, Better::kNeither) == Verdict::kLower);
}

TEST_CASE("verdict of a gate: a loss beyond the limit is shown, excluded, or neither") {
  const auto both_ways = [](const RatioEstimate& r, double p, Verdict expected) {
    CHECK(judge_gate(r, p, 0.05, Better::kHigher) == expected);
    const RatioEstimate mirrored =
        estimate(1 / r.ratio, 1 / r.high, 1 / r.low, 1 / r.equal_high, 1 / r.equal_low);
    CHECK(judge_gate(mirrored, p, 0.05, Better::kLower) == expected);
  };
  both_ways(estimate(0.9, 0.88, 0.93, 0.88, 0.92), 0.001, Verdict::kWorse);
  both_ways(estimate(0.96, 0.93, 0.99, 0.935, 0.985), 0.01,
            Verdict::kInconclusive);  // a loss, but beyond 5 %?
  both_ways(estimate(0.98, 0.96, 0.999, 0.965, 0.99), 0.04, Verdict::kEquivalent);
  both_ways(estimate(1.03, 0.97, 1.09, 0.98, 1.08), 0.3, Verdict::kNotWorse);
  both_ways(estimate(1.2, 1.1, 1.3, 1.12, 1.28), 0.001, Verdict::kBetter);
  both_ways(estimate(1.0, 0.8, 1.25, 0.83, 1.2), 0.9, Verdict::kInconclusive);
}

TEST_CASE("forecast: so many blocks settle the verdict about as often as they should") {
  // Told from a sample whose noise and ratio are the truth, a fresh experiment of that length settles.
  const auto settled_share = [](const Truth& truth) {
    RatioEstimate known = estimate(truth.ratio, truth.ratio, truth.ratio, truth.ratio, truth.ratio);
    known.pairs = 5;
    // Two values a pair, and the trend within the block, which comes with either sign.
    known.error = std::sqrt(2 * truth.noise * truth.noise + 0.02 * 0.02) / std::sqrt(5.0);
    const auto blocks = blocks_to_settle(known, kDefaultMargin, 1, Looks(0));
    REQUIRE(blocks.has_value());
    const VerdictCounts counts = verdicts({truth.ratio, truth.noise, *blocks});
    return 1 - static_cast<double>(counts.inconclusive) / kSets;
  };
  CHECK(settled_share({1.08, 0.05, 0}) == doctest::Approx(kForecastPower).epsilon(0.12));
  CHECK(settled_share({0.85, 0.1, 0}) == doctest::Approx(kForecastPower).epsilon(0.12));
  CHECK(settled_share({1, 0.03, 0}) >= 0.6);  // both sides have to hold
}

TEST_CASE("forecast: more noise and more rows need more blocks; no noise to speak of needs one") {
  RatioEstimate ratio = estimate(1.1, 0.9, 1.3, 0.95, 1.25);
  const size_t alone = *blocks_to_settle(ratio, 0.03, 1, Looks(0));
  CHECK(alone > ratio.pairs);
  CHECK(*blocks_to_settle(ratio, 0.03, 12, Looks(0)) > alone);
  CHECK(*blocks_to_settle(ratio, 0.03, 1, Looks(5)) > alone);
  ratio.error *= 3;
  CHECK(*blocks_to_settle(ratio, 0.03, 1, Looks(0)) > 7 * alone);
  ratio.error = 1e-9;
  CHECK(*blocks_to_settle(ratio, 0.03, 1, Looks(0)) == ratio.pairs + 1);
  ratio.ratio = 1.03;  // on the margin: no difference and no equivalence, for a very long time
  ratio.error = 10;
  CHECK_FALSE(blocks_to_settle(ratio, 0.03, 1, Looks(0)).has_value());
}

TEST_CASE("looks: half as many blocks again each time, and half of the chance left") {
  const Looks looks(5);
  CHECK(looks.next(5) == 8);
  CHECK(looks.next(7) == 8);
  CHECK(looks.next(8) == 12);
  CHECK(looks.next(12) == 18);
  CHECK(looks.factor(3) == 2);
  CHECK(looks.factor(5) == 2);
  CHECK(looks.factor(6) == 4);
  CHECK(looks.factor(8) == 4);
  CHECK(looks.factor(12) == 8);
  CHECK(Looks(0).factor(100) == 1);
}

TEST_CASE("looks: going on until it is settled does not find differences that are not there") {
  // The same policy twice, looked at after 5, 8, 12, … 62 blocks until a difference is claimed. Without the
  // price of looking the share is three times what it may be.
  const auto false_findings = [](Looks paid) {
    int found = 0;
    for (int set = 0; set < kSets; ++set) {
      DriftingHost host({1, 0.1, 0}, static_cast<uint64_t>(set) * 17 + 1);
      const Looks when(5);
      for (uint32_t look = 5; look <= 62; look = when.next(look)) {
        while (host.measured.size() < look) host.block();
        const auto ratio = paired_ratio(host.measured, host.baseline, 1, 200);
        if (ratio->p * paid.factor(look) >= kAlpha) continue;
        ++found;
        break;
      }
    }
    MESSAGE("claimed: " << found << " of " << kSets);
    return found;
  };
  CHECK(false_findings(Looks(5)) <= kSets * 6 / 100);
  CHECK(false_findings(Looks(0)) >= kSets * 11 / 100);
}

TEST_CASE("compare: an inconclusive row says what would settle it, in blocks and minutes") {
  FakeProgram program;
  sched::Rng rng(5);
  program.backend = [&rng](const RunSpec& spec) {
    const double ratio = spec.vms.front().policy.name == "v2" ? 1.15 : 1;
    return fake_result(spec, 1000 * ratio * std::exp(0.2 * normal(rng)));
  };
  CHECK(program.run({"compare", "--policies", "yield,v2", "--repeat", "6", "--csv", "-"}) == 0);
  CHECK(program.out.str().find(",inconclusive,") != std::string::npos);
  CHECK(program.run({"compare", "--policies", "yield,v2", "--repeat", "6"}) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  CHECK(text.find("to settle") != std::string::npos);
  CHECK(text.find(" more blocks, ") != std::string::npos);
  CHECK(text.find("0 better, 0 worse, 0 equivalent, 1 inconclusive, 0 too few.") != std::string::npos);
  CHECK(text.find("no difference") == std::string::npos);
}

TEST_CASE("compare: one block is too few, and counted so") {
  FakeProgram program;
  CHECK(program.run({"compare", "--policies", "yield,v2", "--repeat", "1"}) == 0);
  CHECK(program.out.str().find("0 inconclusive, 1 too few.") != std::string::npos);
}

TEST_CASE("gate --inconclusive: names the rows, and fails only when asked to") {
  const TemporaryFile before("gate-before.jsonl");
  const TemporaryFile after("gate-after.jsonl");
  FakeProgram program;
  sched::Rng rng(9);
  program.backend = [&rng](const RunSpec& spec) {
    return fake_result(spec, 1000 * std::exp(0.2 * normal(rng)));
  };
  const std::vector<std::string> grid = {"compare", "--policies", "yield", "--repeat", "5", "--out"};
  auto first = grid;
  first.push_back(before.path());
  auto second = grid;
  second.push_back(after.path());
  CHECK(program.run(first) == 0);
  CHECK(program.run(second) == 0);
  std::vector<std::string> gate = {"gate", "--from", after.path(), "--against", before.path()};
  CHECK(program.run(gate) == 0);
  CHECK(program.out.str().find("Inconclusive: 1 of 1 rows") != std::string::npos);
  gate.insert(gate.end(), {"--inconclusive", "fail"});
  CHECK(program.run(gate) == 1);
  CHECK(program.out.str().find("rows are inconclusive") != std::string::npos);
  gate.back() = "maybe";
  CHECK(program.run(gate) == 2);
  CHECK(program.err.str().find("--inconclusive") != std::string::npos);
}

TEST_CASE("compare --until-settled: goes on at the cell that settles next, and not for ever") {
  FakeProgram program;
  sched::Rng rng(6);
  program.backend = [&rng](const RunSpec& spec) {
    const bool clear = spec.vms.front().guest == "compute";
    const double ratio = spec.vms.front().policy.name == "v2" ? (clear ? 2 : 1.1) : 1;
    return fake_result(spec, 1000 * ratio * std::exp((clear ? 0.02 : 0.1) * normal(rng)));
  };
  const TemporaryFile file("settled.jsonl");
  CHECK(program.run({"compare", "--guest", "lock,compute", "--policies", "yield,v2", "--until-settled",
                     "--out", file.path()}) == 0);
  const std::string text = program.out.str();
  CAPTURE(text);
  size_t compute = 0;
  for (const RunSpec& spec : program.asked) compute += spec.vms.front().guest == "compute" ? 1 : 0;
  CHECK(compute == 2 * 5);
  CHECK(program.asked.size() > 4 * 5);
  CHECK(text.find("inconclusive ") == std::string::npos);
  // The file remembers that it was looked at, so printing it again says the same.
  CHECK(program.run({"compare", "--from", file.path()}) == 0);
  CHECK(program.out.str() == text);
  program.asked.clear();
  CHECK(program.run({"compare", "--guest", "lock", "--policies", "yield,v2", "--until-settled", "--max-time",
                     "3s"}) == 0);
  CHECK(program.asked.size() <= 5);
  CHECK(program.run({"compare", "--until-settled", "--until-ci", "2%"}) == 2);
}
