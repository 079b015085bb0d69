#include "vmm/stats/shape.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

#include "sched/base/rng.h"
#include "vmm/stats/sample.h"

namespace vmm {
namespace {

constexpr int kRedraws = 2'000;

// What is left of the logarithms when each slot's and each block's mean are taken off.
std::vector<std::vector<double>> residuals(const std::vector<PlacedBlock>& blocks) {
  const size_t slots = blocks.front().values.size();
  const auto count = static_cast<double>(blocks.size());
  std::vector<std::vector<double>> left;
  std::vector<double> of_slot(slots, 0);
  for (const PlacedBlock& block : blocks) {
    auto& row = left.emplace_back();
    double mean = 0;
    for (const double value : block.values) {
      row.push_back(std::log(value));
      mean += row.back() / static_cast<double>(slots);
    }
    for (size_t slot = 0; slot < slots; ++slot) of_slot[slot] += (row[slot] -= mean) / count;
  }
  for (auto& row : left) {
    for (size_t slot = 0; slot < slots; ++slot) row[slot] -= of_slot[slot];
  }
  return left;
}

// Mean residual by place.
std::vector<double> by_place(const std::vector<std::vector<double>>& left,
                             const std::vector<std::vector<uint32_t>>& places) {
  std::vector<double> means(left.front().size(), 0);
  for (size_t b = 0; b < left.size(); ++b) {
    for (size_t slot = 0; slot < means.size(); ++slot) means[places[b][slot]] += left[b][slot];
  }
  for (double& mean : means) mean /= static_cast<double>(left.size());
  return means;
}

double spread(const std::vector<double>& means) {
  double squares = 0;
  for (const double mean : means) squares += mean * mean;
  return squares;
}

bool is_order(const PlacedBlock& block) {
  std::vector<uint32_t> sorted = block.places;
  std::sort(sorted.begin(), sorted.end());
  for (uint32_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != i) return false;
  }
  return block.places.size() == block.values.size();
}

struct Cut {
  double explained = 0;  // share of the variance
  size_t below = 0;      // how many values lie below it
};

// Of ascending values, among the cuts that leave each side a fifth.
Cut best_cut(const std::vector<double>& values) {
  const size_t n = values.size();
  const size_t least = std::max<size_t>(2, n / 5);
  double sum = 0;
  double squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(n);
  for (const double value : values) squares += (value - mean) * (value - mean);
  Cut best;
  if (squares <= 0) return best;
  double below = 0;
  for (size_t i = 1; i + least <= n; ++i) {
    below += values[i - 1] - mean;
    if (i < least) continue;
    const auto a = static_cast<double>(i);
    const auto b = static_cast<double>(n - i);
    const double between = below * below * (1 / a + 1 / b);
    if (between / squares > best.explained) best = {between / squares, i};
  }
  return best;
}

// Of a uniform sample of n: what 99 of 100 do not exceed. Seeded, so that it is a constant.
double drawn_bound(size_t n) {
  constexpr size_t kDraws = 1'000;
  constexpr uint64_t kSeed = 0x68756d7073;
  sched::Rng rng(kSeed + n);
  std::vector<double> explained;
  std::vector<double> sample(n);
  for (size_t i = 0; i < kDraws; ++i) {
    for (double& value : sample) value = static_cast<double>(rng.next() >> 11) * 0x1p-53;
    std::sort(sample.begin(), sample.end());
    explained.push_back(best_cut(sample).explained);
  }
  return quantile(std::move(explained), 0.99);
}

// It varies slowly with n, so a few sizes are enough: the next smaller one is on the cautious side.
double flat_bound(size_t n) {
  static std::mutex mutex;
  static std::map<size_t, double> known;
  size_t size = kLeastHumpValues;
  while (size + std::max<size_t>(1, size / 8) <= n && size < 400) size += std::max<size_t>(1, size / 8);
  const std::lock_guard lock(mutex);
  const auto found = known.find(size);
  return found != known.end() ? found->second : known.emplace(size, drawn_bound(size)).first->second;
}

}  // namespace

std::optional<PlaceEffect> place_effect(std::span<const PlacedBlock> blocks, uint64_t seed) {
  std::vector<PlacedBlock> usable;
  for (const PlacedBlock& block : blocks) {
    const bool whole = block.values.size() >= 2 && is_order(block) &&
                       block.values.size() == blocks.front().values.size() &&
                       std::all_of(block.values.begin(), block.values.end(), [](double v) { return v > 0; });
    if (whole) usable.push_back(block);
  }
  if (usable.size() < kLeastPlacedBlocks) return std::nullopt;
  const auto left = residuals(usable);
  std::vector<std::vector<uint32_t>> places;
  for (const PlacedBlock& block : usable) places.push_back(block.places);
  const auto means = by_place(left, places);
  const double seen = spread(means);
  PlaceEffect effect{.first_to_last = std::exp(means.front() - means.back()), .blocks = usable.size()};
  sched::Rng rng(seed);
  int as_large = 1;  // the order that was used is one of those that could have been
  for (int i = 0; i < kRedraws; ++i) {
    for (auto& order : places) {
      for (size_t k = order.size(); k > 1; --k) std::swap(order[k - 1], order[rng.below(k)]);
    }
    as_large += spread(by_place(left, places)) >= seen * (1 - 1e-12) ? 1 : 0;
  }
  effect.p = static_cast<double>(as_large) / (kRedraws + 1);
  return effect;
}

std::optional<Humps> find_humps(std::span<const double> values, double margin) {
  std::vector<double> sorted;
  for (const double value : values) {
    if (value > 0) sorted.push_back(std::log(value));
  }
  if (sorted.size() < kLeastHumpValues) return std::nullopt;
  std::sort(sorted.begin(), sorted.end());
  const Cut cut = best_cut(sorted);
  if (cut.below == 0 || cut.explained <= flat_bound(sorted.size())) return std::nullopt;
  const std::span<const double> all(sorted);
  const double low = sorted_quantile(all.first(cut.below), 0.5);
  const double high = sorted_quantile(all.subspan(cut.below), 0.5);
  if (high - low <= std::log1p(margin)) return std::nullopt;
  return Humps{.low = std::exp(low),
               .high = std::exp(high),
               .at_low = cut.below,
               .at_high = sorted.size() - cut.below};
}

}  // namespace vmm
