// What may be said of a ratio: five verdicts, how many more blocks would settle one that is open, and the
// price of having looked before. The method and its sources are in docs/statistics.md. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/stats/metrics.h"
#include "vmm/stats/sample.h"

namespace vmm {

// kHigher and kLower stand for better and worse where neither direction is good; kNotWorse is a gate's word
// for a row that may well be better but certainly lost no more than the gate lets pass.
enum class Verdict : uint8_t {
  kBaseline,
  kBetter,
  kWorse,
  kHigher,
  kLower,
  kEquivalent,
  kNotWorse,
  kInconclusive,
  kTooFew,
};
std::string_view verdict_name(Verdict verdict);

// Significance level of verdicts: of better and worse for a whole family of comparisons (Holm), of
// equivalence for each row.
inline constexpr double kAlpha = 0.05;
// Ratios from 1/1.03 to 1.03 are as good as equal, unless --margin says otherwise.
inline constexpr double kDefaultMargin = 0.03;

// True if more blocks could change the verdict into one that says something.
constexpr bool is_open(Verdict verdict) {
  return verdict == Verdict::kInconclusive || verdict == Verdict::kTooFew;
}

// Equivalent if the interval of the two one-sided tests lies inside 1/(1 + margin) … 1 + margin; else better
// or worse if the adjusted p is below kAlpha and the 95 % interval on that side of 1; else inconclusive.
Verdict judge(const RatioEstimate& ratio, double p_adjusted, double margin, Better better);

// The same for a gate: worse is a significant loss whose estimate is beyond `limit`, not worse if a loss
// beyond it is excluded at 5 % without equivalence or gain having been shown.
Verdict judge_gate(const RatioEstimate& ratio, double p_adjusted, double limit, Better better);

// A comparison that goes on until it is settled looks at its data several times. It looks after `first`
// blocks, then after half as many again, and so on; the k-th look spends kAlpha / 2^k, so that all looks
// together spend no more than kAlpha. Without looks (`first` = 0) everything is spent at once.
class Looks {
 public:
  explicit Looks(uint32_t first) : first_(first) {}
  // What p-values are multiplied by at this number of blocks: 1 without looks.
  [[nodiscard]] double factor(size_t blocks) const;
  // The first look after `blocks` blocks; only with looks.
  [[nodiscard]] uint32_t next(uint32_t blocks) const;

 private:
  uint32_t first_;
};

// Chance with which the forecast number of blocks settles the verdict if ratio and noise are as estimated.
inline constexpr double kForecastPower = 0.8;
inline constexpr size_t kMostForecastBlocks = 1'000'000;

// How many blocks, those there are included, would settle this ratio at the noise seen: either as a
// difference (at kAlpha divided by `family`) or as an equivalence, whichever comes first. Nothing if not even
// kMostForecastBlocks would.
std::optional<size_t> blocks_to_settle(const RatioEstimate& ratio, double margin, size_t family, Looks looks);

// How often each verdict was given: better and higher together, worse and lower together.
struct VerdictCounts {
  size_t better = 0;
  size_t worse = 0;
  size_t equivalent = 0;
  size_t inconclusive = 0;
  size_t too_few = 0;
  void add(Verdict verdict);
  [[nodiscard]] std::string text() const;  // "2 better, 0 worse, 1 equivalent, 1 inconclusive, 0 too few"
};

}  // namespace vmm
