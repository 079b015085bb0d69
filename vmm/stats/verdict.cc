#include "vmm/stats/verdict.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace vmm {
namespace {

Verdict direction(bool is_higher, Better better) {
  if (better == Better::kNeither) return is_higher ? Verdict::kHigher : Verdict::kLower;
  return is_higher == (better == Better::kHigher) ? Verdict::kBetter : Verdict::kWorse;
}

// Beyond these degrees of freedom Student's quantile is the normal one to three digits.
constexpr size_t kManyFreedom = 400;

double quantile_t(double tail, size_t blocks) {
  return student_quantile(1 - tail, static_cast<unsigned>(std::clamp<size_t>(blocks - 1, 1, kManyFreedom)));
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  constexpr std::string_view kNames[] = {"baseline",   "better",    "worse",        "higher", "lower",
                                         "equivalent", "not worse", "inconclusive", "too few"};
  return kNames[static_cast<size_t>(verdict)];
}

Verdict judge(const RatioEstimate& ratio, double p_adjusted, double margin, Better better) {
  if (ratio.equal_low > 1 / (1 + margin) && ratio.equal_high < 1 + margin) return Verdict::kEquivalent;
  const bool is_higher = ratio.low > 1;
  const bool is_lower = ratio.high < 1;
  if (p_adjusted >= kAlpha || (!is_higher && !is_lower)) return Verdict::kInconclusive;
  return direction(is_higher, better);
}

Verdict judge_gate(const RatioEstimate& ratio, double p_adjusted, double limit, Better better) {
  const Verdict verdict = judge(ratio, p_adjusted, limit, better);
  const bool loss_is_low = better == Better::kHigher;
  const bool beyond = loss_is_low ? ratio.ratio <= 1 / (1 + limit) : ratio.ratio >= 1 + limit;
  const bool excluded = loss_is_low ? ratio.equal_low > 1 / (1 + limit) : ratio.equal_high < 1 + limit;
  if (verdict == Verdict::kWorse && !beyond) return Verdict::kInconclusive;
  return verdict == Verdict::kInconclusive && excluded ? Verdict::kNotWorse : verdict;
}

double Looks::factor(size_t blocks) const {
  if (first_ == 0) return 1;
  double factor = 2;
  for (uint32_t look = first_; look < blocks; look = next(look)) factor *= 2;
  return factor;
}

uint32_t Looks::next(uint32_t blocks) const {
  uint32_t look = first_;
  while (look <= blocks) look += (look + 1) / 2;
  return look;
}

std::optional<size_t> blocks_to_settle(const RatioEstimate& ratio, double margin, size_t family,
                                       Looks looks) {
  const double distance = std::abs(std::log(ratio.ratio));
  const double room = std::log1p(margin) - distance;
  const double deviation = ratio.error * std::sqrt(static_cast<double>(ratio.pairs));
  const auto settles = [&](size_t blocks) {
    const double error = deviation / std::sqrt(static_cast<double>(blocks));
    const double spent = kAlpha / looks.factor(blocks);
    const double power = quantile_t(1 - kForecastPower, blocks);
    const auto divisor = static_cast<double>(2 * std::max<size_t>(1, family));
    return distance >= (quantile_t(spent / divisor, blocks) + power) * error ||
           room >= (quantile_t(spent, blocks) + power) * error;
  };
  size_t enough = ratio.pairs + 1;
  size_t short_of = ratio.pairs;
  for (size_t step = 1; !settles(enough); step *= 2) {
    if (enough > kMostForecastBlocks) return std::nullopt;
    short_of = enough;
    enough += step;
  }
  while (enough - short_of > 1) {
    const size_t middle = short_of + (enough - short_of) / 2;
    (settles(middle) ? enough : short_of) = middle;
  }
  return enough;
}

void VerdictCounts::add(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBaseline:
      return;
    case Verdict::kBetter:
    case Verdict::kHigher:
      ++better;
      return;
    case Verdict::kWorse:
    case Verdict::kLower:
      ++worse;
      return;
    case Verdict::kEquivalent:
    case Verdict::kNotWorse:
      ++equivalent;
      return;
    case Verdict::kInconclusive:
      ++inconclusive;
      return;
    case Verdict::kTooFew:
      ++too_few;
      return;
  }
}

std::string VerdictCounts::text() const {
  return fmt::format("{} better, {} worse, {} equivalent, {} inconclusive, {} too few", better, worse,
                     equivalent, inconclusive, too_few);
}

}  // namespace vmm
