// What else the values of a cell say: whether a run's place in its block matters, and whether they gather at
// two levels. Pure and seeded, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace vmm {

// A block: the value of each slot, and the place in the block at which it was measured (0: first).
struct PlacedBlock {
  std::vector<double> values;
  std::vector<uint32_t> places;
};
struct PlaceEffect {
  double first_to_last = 1;  // ratio of the first place to the last, slots and blocks set aside
  double p = 1;              // of "the place does not matter": the order within each block drawn again
  size_t blocks = 0;
};
inline constexpr size_t kLeastPlacedBlocks = 5;
// Blocks with another number of slots than the first, or with values that have no logarithm, are left out.
// Nothing if fewer than kLeastPlacedBlocks are left.
std::optional<PlaceEffect> place_effect(std::span<const PlacedBlock> blocks, uint64_t seed);

// Two levels at which values gather.
struct Humps {
  double low = 0;  // medians
  double high = 0;
  size_t at_low = 0;  // how many values
  size_t at_high = 0;
};
inline constexpr size_t kLeastHumpValues = 10;
// Nothing unless the best cut in two explains more of the variance of the logarithms than it does in 99 of
// 100 samples of the flattest distribution with one hump, each side has a fifth of the values, and the levels
// are apart by more than `margin`.
std::optional<Humps> find_humps(std::span<const double> values, double margin);

}  // namespace vmm
